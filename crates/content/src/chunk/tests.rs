use super::*;
use crate::model::StaticModel;
use proptest::prelude::*;

const SMALL: ChunkLimits = ChunkLimits { target_tokens: 40, max_tokens: 60 };

/// The outline that a page would give: `#` lines outside fences, the anchor from the text.
fn headings(markdown: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut fence = None;
    let mut offset = 0;
    for line in markdown.split_inclusive('\n') {
        let text = line.trim_end();
        let level = text.len() - text.trim_start_matches('#').len();
        if let Some(open) = &fence {
            if blocks::closes(text, open) {
                fence = None;
            }
        } else if let Some(open) = blocks::marker(text) {
            fence = Some(open);
        } else if (1..=6).contains(&level) && text[level..].starts_with(' ') {
            let text = text[level..].trim().to_owned();
            let anchor = Some(text.to_lowercase().replace(' ', "-"));
            headings.push(Heading { level: level as u8, text, anchor, offset });
        }
        offset += line.len();
    }
    headings
}

fn cut(markdown: &str, title: &str, limits: ChunkLimits) -> Vec<Chunk> {
    chunk(markdown, &headings(markdown), title, StaticModel::builtin().tokenizer(), limits)
}

/// Embedded texts of small chunks.
fn check(title: &str, markdown: &str, expected: &[&str]) {
    let chunks = cut(markdown, title, SMALL);
    let embedded: Vec<&str> = chunks.iter().map(|chunk| chunk.embedded_text.as_str()).collect();
    assert_eq!(embedded, expected, "{markdown}");
}

fn words(n: usize) -> String {
    ["the", "crawler", "reads", "a", "page"].iter().cycle().take(n).copied().collect::<Vec<_>>().join(" ")
}

fn fences_are_closed(text: &str) -> bool {
    let mut fence = None;
    for line in text.lines() {
        match &fence {
            Some(open) if blocks::closes(line, open) => fence = None,
            Some(_) => {}
            None => fence = blocks::marker(line),
        }
    }
    fence.is_none()
}

#[test]
fn nothing_gives_nothing() {
    check("", "", &[]);
    check("Title", "\n \n\t\n", &[]);
}

#[test]
fn each_heading_starts_a_chunk_and_is_not_said_twice() {
    check(
        "Logging HOWTO — Python",
        "# Logging HOWTO\n\nIntro.\n\n## Levels\n\nFive of them.\n\n### Debug\n\nLowest.\n",
        &[
            "Logging HOWTO — Python\nIntro.",
            "Logging HOWTO — Python › Levels\nFive of them.",
            "Logging HOWTO — Python › Levels › Debug\nLowest.",
        ],
    );
    check("Logging", "# Logging HOWTO\n\nIntro.", &["Logging HOWTO\nIntro."]);
    check("", "Text without any heading.", &["Text without any heading."]);
}

#[test]
fn a_bare_heading_travels_with_the_first_text_below_it() {
    check("T", "# A\n\n## B\n\ntext", &["T › A › B\ntext"]);
    check("T", "## A\n\n## B\n\ntext\n\n## C", &["T › A", "T › B\ntext", "T › C"]);
    let chunks = cut("# A\n\n## B\n\ntext", "T", SMALL);
    assert_eq!(chunks[0].text, "# A\n\n## B\n\ntext");
    assert_eq!(chunks[0].heading_path, ["A", "B"]);
    assert_eq!(chunks[0].anchor.as_deref(), Some("b"));
    assert_eq!(chunks[0].range, (0, 15));
}

#[test]
fn small_blocks_are_joined_up_to_the_target() {
    let paragraph = words(15);
    let markdown = format!("{paragraph}\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}");
    let pair = format!("{paragraph}\n\n{paragraph}");
    check("", &markdown, &[&pair, &pair]);
}

#[test]
fn a_short_introduction_stays_with_its_code() {
    let code = format!("```sh\n{}\n```", words(45));
    check("", &format!("For example:\n\n{code}"), &[&format!("For example:\n\n{code}")]);
}

#[test]
fn a_crumb_at_the_end_goes_to_its_neighbour() {
    let paragraph = words(40);
    check("", &format!("{paragraph}\n\nThat is all."), &[&format!("{paragraph}\n\nThat is all.")]);
}

#[test]
fn a_long_fence_is_cut_between_lines_and_keeps_its_language() {
    let lines: Vec<String> = (0..30).map(|n| format!("    let line_{n} = {n};")).collect();
    let chunks = cut(&format!("```rust\n{}\n```\n", lines.join("\n")), "", SMALL);
    assert!(chunks.len() > 2);
    let mut seen = Vec::new();
    for chunk in &chunks {
        let body = chunk.text.strip_prefix("```rust\n").and_then(|text| text.strip_suffix("\n```")).unwrap();
        seen.extend(body.lines().map(str::to_owned));
    }
    assert_eq!(seen, lines);
}

#[test]
fn a_long_table_repeats_its_header() {
    let rows: Vec<String> = (0..40).map(|n| format!("| option {n} | meaning |")).collect();
    let header = "| Name | Use |\n|---|---|\n";
    let chunks = cut(&format!("{header}{}", rows.join("\n")), "", SMALL);
    assert!(chunks.len() > 2);
    let seen: Vec<&str> = chunks.iter().flat_map(|chunk| chunk.text.strip_prefix(header).unwrap().lines()).collect();
    assert_eq!(seen, rows);
}

#[test]
fn a_long_paragraph_is_cut_between_sentences() {
    let sentence = "The crawler reads a page. ";
    for chunk in cut(sentence.repeat(40).trim_end(), "", SMALL) {
        assert!(chunk.text.starts_with("The") && chunk.text.ends_with("page."), "{}", chunk.text);
    }
}

#[test]
fn a_fence_that_was_never_closed_is_closed() {
    check("", "```\ncode", &["```\ncode\n```"]);
    check("", "- ```sh\n  ls", &["- ```sh\n  ls\n  ```"]);
}

#[test]
fn foreign_text_is_bounded_by_its_bytes() {
    for text in ["爬虫读取页面并且把它变成段落".repeat(500), "QUJD".repeat(5_000), "-".repeat(20_000)] {
        let chunks = cut(&text, "", ChunkLimits::default());
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| chunk.text.len() <= 384 * 12));
        assert_eq!(chunks.iter().map(|chunk| chunk.text.as_str()).collect::<String>(), text);
    }
}

#[test]
fn headings_that_point_nowhere_are_ignored() {
    let heading = |offset, level| Heading { level, text: "x".repeat(1_000), anchor: None, offset };
    let headings = [heading(3, 0), heading(1, 200), heading(0, 9), heading(usize::MAX, 1)];
    let chunks = chunk("a\n\nb é", &headings, &"t".repeat(9_000), StaticModel::builtin().tokenizer(), SMALL);
    assert_eq!(chunks.last().map(|chunk| chunk.range), Some((3, 7)));
    assert!(chunks.iter().all(|chunk| chunk.n_tokens() <= 60));
}

#[test]
fn a_fence_of_a_long_first_line_alone_is_kept() {
    let markdown = format!("~~~{}", "word".repeat(40));
    let limits = ChunkLimits { target_tokens: 10, max_tokens: 16 };
    let chunks = cut(&markdown, "", limits);
    assert_eq!(chunks.iter().map(|chunk| chunk.range).collect::<Vec<_>>(), [(0, 163)]);
    assert!(chunks.iter().all(|chunk| fences_are_closed(&chunk.text)), "{chunks:?}");
}

fn block() -> impl Strategy<Value = String> {
    let text = "([a-zA-Z0-9é日.,`*|~>#_-]{1,12}[ \n]?){1,60}";
    prop_oneof![
        4 => "[A-Za-z ]{1,80}\\.( [A-Za-z0-9 ,]{1,80}[.!?]){0,12}",
        2 => text,
        1 => "(```|~~~~|  ```|- ```|> ~~~)(rust|c)?\n([ -_a-~é]{0,60}\n){0,30}(```|~~~~)?",
        1 => "\\| a \\| b \\|\n\\|--\\|--\\|\n(\\| [a-z ]{0,30} \\| [a-z]{1,9} \\|\n){0,30}",
        1 => "(- [a-z ]{1,40}\n){1,20}",
        1 => "[a-zA-Z0-9+/=.]{100,900}",
        1 => "\\PC{0,200}",
        2 => "#{1,6} [A-Za-z é]{0,40}",
    ]
}

fn page() -> impl Strategy<Value = String> {
    proptest::collection::vec(block(), 0..14).prop_map(|blocks| blocks.join("\n\n"))
}

#[test]
fn link_targets_are_shown_but_neither_embedded_nor_weighed() {
    let page = |n: usize| {
        let link = format!("[text](https://docs.example/{}.html)", "long/path/".repeat(n));
        format!("# One\n\n{}", vec![link; 8].join(" and "))
    };
    let chunks = cut(&page(20), "One", SMALL);
    assert_eq!(chunks.len(), 1, "eight words of links fit one chunk");
    assert!(chunks[0].text.contains("](https://docs.example/long"));
    assert_eq!(chunks[0].embedded_text, format!("One\n{}", ["[text]"; 8].join(" and ")));
    let other = cut(&page(19), "One", SMALL);
    assert_eq!(other[0].embedded_text, chunks[0].embedded_text);
    assert_ne!(other[0].hash, chunks[0].hash, "a changed target is a changed chunk: it is shown");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn chunks_cover_the_page_in_order_within_bounds(markdown in page(), title in "\\PC{0,60}", max in 16_usize..90) {
        let limits = ChunkLimits { target_tokens: max * 2 / 3, max_tokens: max };
        let chunks = cut(&markdown, &title, limits);
        prop_assert_eq!(&cut(&markdown, &title, limits), &chunks);
        let mut end = 0;
        for chunk in &chunks {
            let (from, to) = (chunk.range.0 as usize, chunk.range.1 as usize);
            prop_assert!(end <= from && from < to, "{:?} after {}", chunk.range, end);
            prop_assert_eq!(markdown.get(end..from).map(str::trim), Some(""));
            prop_assert!(markdown.get(from..to).is_some());
            end = to;
            prop_assert!(fences_are_closed(&chunk.text), "{}", chunk.text);
            prop_assert!(fences_are_closed(&chunk.embedded_text), "{}", chunk.embedded_text);
            prop_assert!(chunk.token_ids.len() <= max + CUT_WORD_SLACK_TOKENS, "{} > {}: {}", chunk.n_tokens(), max, chunk.embedded_text);
            prop_assert_eq!(chunk.hash, ChunkHash::of(CHUNKER_VERSION, &chunk.embedded_text));
        }
        prop_assert_eq!(markdown.get(end..).map(str::trim), Some(""));
    }

    #[test]
    fn each_line_is_in_some_chunk_and_no_chunk_crosses_a_heading(markdown in page()) {
        let chunks = cut(&markdown, "T", ChunkLimits::default());
        let all: String = chunks.iter().flat_map(|chunk| [chunk.text.as_str(), "\n"]).collect();
        // A cut fence may get a longer or shorter last line.
        let is_sign = |word: &str| word.chars().all(|character| matches!(character, '`' | '~'));
        for word in markdown.split_whitespace().filter(|word| word.len() <= CUT_FREE_BYTES && !is_sign(word)) {
            prop_assert!(all.contains(word), "{word} is lost");
        }
        for heading in headings(&markdown) {
            let inside = chunks.iter().find(|chunk| {
                (chunk.range.0 as usize) < heading.offset && heading.offset < chunk.range.1 as usize
            });
            // Only above a heading without text of its own.
            let before = inside.and_then(|chunk| markdown.get(chunk.range.0 as usize..heading.offset));
            prop_assert!(before.is_none_or(|text| text.lines().all(|line| line.starts_with('#') || line.trim().is_empty())));
        }
    }

    #[test]
    fn an_edit_changes_no_chunk_of_another_section(before in page(), old in "[a-z .]{1,400}", new in "[a-z .]{1,400}", after in page()) {
        // An open fence would swallow the sections below it.
        prop_assume!(fences_are_closed(&before));
        let build = |middle: &str| format!("# One\n\nx\n\n{before}\n\n# Two\n\n{middle}\n\n# Three\n\n{after}");
        let hashes = |middle: &str| -> Vec<ChunkHash> {
            let chunks = cut(&build(middle), "T", SMALL);
            chunks.iter().filter(|chunk| chunk.heading_path.first().is_none_or(|first| first != "Two")).map(|chunk| chunk.hash).collect()
        };
        prop_assert_eq!(hashes(&old), hashes(&new));
    }
}

/// Words up to here are never cut.
const CUT_FREE_BYTES: usize = 64;
