//! Whole pages: documentation generators' shapes against golden Markdown, hostile input against bounds.

// Test helpers outside `#[test]` functions are not covered by clippy's exemption of tests.
#![allow(clippy::unwrap_used)]

use argiope_content::page::{Depth, Extraction, PageInput, ParsedPage, Problem, parse};
use argiope_protocol::CanonicalUrl;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// The smallest stack a parser thread may have: recursion over a page's tree would overflow it.
const SMALL_STACK: usize = 512 * 1024;

fn page_at(url: &str, html: &[u8], depth: Depth) -> ParsedPage {
    let url = CanonicalUrl::parse(url).unwrap();
    parse(&PageInput {
        url: &url,
        body: html,
        content_type: Some("text/html"),
        x_robots_tag: &[],
        robots_token: "argiope",
        depth,
        max_links: 5000,
    })
}

fn page(html: impl AsRef<[u8]>) -> ParsedPage {
    page_at("https://docs.example.org/library/page.html", html.as_ref(), Depth::Markdown)
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "html"));
    files.sort();
    files
}

/// With `ARGIOPE_BLESS` set, golden files are written instead of compared.
#[test]
fn documentation_pages_become_their_golden_markdown() {
    for file in fixtures() {
        let parsed = page(std::fs::read(&file).unwrap());
        let anchors: Vec<String> = parsed
            .headings
            .iter()
            .map(|heading| format!("<!-- {} {} {:?} -->", heading.level, heading.text, heading.anchor))
            .collect();
        let actual = format!(
            "<!-- {} | {} -->\n{}\n\n{}",
            parsed.extraction.code(),
            parsed.title,
            anchors.join("\n"),
            parsed.markdown
        );
        let golden = file.with_extension("md");
        if std::env::var_os("ARGIOPE_BLESS").is_some() {
            std::fs::write(&golden, &actual).unwrap();
        }
        assert_eq!(actual, std::fs::read_to_string(&golden).unwrap(), "{}", golden.display());
        for heading in &parsed.headings {
            let line = parsed.markdown[heading.offset..].lines().next().unwrap();
            assert!(line.trim_start().starts_with(&"#".repeat(usize::from(heading.level))), "{line}");
        }
    }
}

#[test]
fn both_depths_find_the_same_links_and_directives() {
    for file in fixtures() {
        let html = std::fs::read(&file).unwrap();
        let tree = page(&html);
        let stream = page_at("https://docs.example.org/library/page.html", &html, Depth::Links);
        assert_eq!(
            (tree.links, tree.title, tree.canonical),
            (stream.links, stream.title, stream.canonical),
            "{}",
            file.display()
        );
        assert_eq!(tree.directives, stream.directives);
    }
}

proptest! {
    /// A page cut into pieces that are put together anew: tags, quotes and raw text in places where nobody put them.
    #[test]
    fn both_depths_read_tags_alike(cuts in prop::collection::vec((any::<prop::sample::Index>(), 1..60_usize), 1..12)) {
        let page_of_tags = concat!(
            "<title>t</title><a href=1>x</a><!-- <a href=2> --><script>'<!-- <script>' </script><a href='3'>y</a></script>",
            "<style>a>b{}</style><p class=\"x>y\"><a title='<a href=4>' href=\"5\" rel=nofollow>z</a><br/><a href=6 / >",
            "<noscript><a href=7></a></noscript><iframe><a href=8></iframe><a HREF=9 href=10></a><?x?><!doctype a>",
        );
        let html: String = cuts.iter().map(|(at, length)| {
            let at = at.index(page_of_tags.len());
            &page_of_tags[at..(at + length).min(page_of_tags.len())]
        }).collect();
        let (tree, stream) = (page(&html), page_at("https://docs.example.org/library/page.html", html.as_bytes(), Depth::Links));
        let paths = |page: &ParsedPage| page.links.iter().map(|link| link.url.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(paths(&tree), paths(&stream), "{}", html);
    }
}

#[test]
fn links_follow_the_base_and_rel() {
    let html = r##"<base href="/sub/"><meta name=robots content="noindex"><link rel=alternate type=application/rss+xml href=feed.xml>
        <a href=a#x>1</a><a href="a?utm_source=1" rel="NoFollow x">2</a><a href=b rel=nofollow>3</a><a href="mailto:x@y">4</a>
        <a href="http://[bad">5</a><a href="#top">6</a><a href=" c d ">7</a><a href="javascript:x">8</a>"##;
    for depth in [Depth::Links, Depth::Markdown] {
        let parsed = page_at("https://docs.example.org/library/page.html", html.as_bytes(), depth);
        let links: Vec<(&str, bool)> =
            parsed.links.iter().map(|link| (link.url.as_url().path(), link.nofollow)).collect();
        assert_eq!(links, [("/sub/a", false), ("/sub/b", true), ("/sub/c%20d", false)], "{depth:?}");
        assert_eq!((parsed.n_links_invalid, parsed.directives.noindex, parsed.directives.nofollow), (1, true, false));
        assert_eq!(parsed.feeds.first().map(CanonicalUrl::as_str), Some("https://docs.example.org/sub/feed.xml"));
    }
}

#[test]
fn links_beyond_the_bound_are_counted() {
    let html: String = (0..100_000).map(|n| format!("<a href=/p{n}>{n}</a>")).collect();
    for depth in [Depth::Links, Depth::Markdown] {
        let parsed = page_at("https://example.org/", html.as_bytes(), depth);
        assert_eq!((parsed.links.len(), parsed.n_links_over), (5000, 95_000), "{depth:?}");
    }
}

/// Parses on a thread with a small stack, at both depths.
fn survives(html: Vec<u8>) -> ParsedPage {
    let parse_both = move || {
        page_at("https://example.org/", &html, Depth::Links);
        page(&html)
    };
    std::thread::Builder::new().stack_size(SMALL_STACK).spawn(parse_both).unwrap().join().unwrap()
}

#[test]
fn deep_nesting_is_given_up_without_recursion() {
    for tag in [
        "div",
        "ul><li",
        "table><tr><td",
        "b",
        "a href=x",
        "dl><dt",
        "blockquote",
        "svg",
        "span",
        "font color=1",
        "math",
    ] {
        let parsed = survives(format!("<{tag}>").repeat(100_000).into_bytes());
        assert!(
            parsed.problems.iter().any(Problem::is_fatal) || !parsed.markdown.contains("<div"),
            "{tag}: {:?}",
            parsed.problems
        );
    }
    assert_eq!(survives("<div>".repeat(100_000).into_bytes()).problems, [Problem::TooDeep]);
}

#[test]
fn nesting_up_to_the_bound_fits_a_small_stack() {
    for tag in ["div", "ul><li", "blockquote", "section", "dl><dd", "span", "article"] {
        let n_levels = if tag.contains('>') { 120 } else { 240 };
        let mut html = format!("<{tag}>").repeat(n_levels).into_bytes();
        html.extend_from_slice(
            "<p>some text, with commas, that is long enough to be an article. </p>".repeat(20).as_bytes(),
        );
        let parsed = survives(html);
        assert!(parsed.problems.is_empty(), "{tag}: {:?}", parsed.problems);
        assert!(parsed.markdown.contains("some text, with commas"), "{tag}");
    }
}

#[test]
fn floods_end_at_a_bound() {
    let formatting: String = std::iter::once("<p>".to_owned())
        .chain((0..200).map(|n| format!("<font size={n}>")))
        .chain((0..200_000).map(|_| "<p>x".to_owned()))
        .collect();
    assert!(survives(formatting.into_bytes()).problems.iter().any(Problem::is_fatal));
    let parsed = survives("<p>".repeat(10 * 1024 * 1024 / 3).into_bytes());
    // Which bound comes first depends on the machine and the build.
    assert!(matches!(parsed.problems.as_slice(), [Problem::TooManyNodes | Problem::CpuTime]), "{:?}", parsed.problems);
    for unclosed in [
        "<!--",
        "<a href=\"",
        "<script>",
        "<title>",
        "<textarea>",
        "<![CDATA[",
        "<pre>",
        "<table>",
        "<select><option>",
        "<plaintext>",
        "<template>",
    ] {
        survives(format!("{unclosed}{}", "x <".repeat(300_000)).into_bytes());
    }
}

#[test]
fn huge_numbers_and_attributes_are_harmless() {
    let parsed = page(
        "<table><tr><th colspan=999999 rowspan=99999999999>a<th>b<tr><td>1<td>2</table><ol start=18446744073709551615><li>x<li>y</ol><ol start=-5><li>z</ol>",
    );
    assert!(parsed.markdown.contains("| a |") && parsed.markdown.contains("b |"), "{}", parsed.markdown);
    assert!(parsed.markdown.len() < 400);
    let parsed = survives(
        format!("<main><p class=\"{}\" id=\"{0}\">text<a href=\"{0}\">link</a></main>", "nav ".repeat(1_000_000))
            .into_bytes(),
    );
    assert!(parsed.markdown.contains("text"), "{}", parsed.markdown.len());
    let wide = format!("<table>{}</table>", format!("<tr>{}</tr>", "<td>c</td>".repeat(1000)).repeat(100));
    assert!(survives(wide.into_bytes()).markdown.contains("| c |"));
}

#[test]
fn broken_text_is_kept_and_reported() {
    let mut html = b"<main><p>before \xFF\xFE\0 after</p></main>".to_vec();
    html.extend_from_slice("<p>ok</p>".as_bytes());
    let url = CanonicalUrl::parse("https://example.org/").unwrap();
    let parsed = parse(&PageInput {
        url: &url,
        body: &html,
        content_type: Some("text/html; charset=utf-8"),
        x_robots_tag: &["argiope: noindex".into()],
        robots_token: "argiope",
        depth: Depth::Markdown,
        max_links: 10,
    });
    assert_eq!(parsed.problems, [Problem::DecodeErrors]);
    assert!(parsed.markdown.contains("before") && parsed.markdown.contains("after"));
    assert!(parsed.directives.noindex);
}

#[test]
fn text_bodies_are_kept() {
    let url = CanonicalUrl::parse("https://example.org/a/README.md").unwrap();
    let input = |body: &'static str, kind: &'static str| {
        parse(&PageInput {
            url: &url,
            body: body.as_bytes(),
            content_type: Some(kind),
            x_robots_tag: &[],
            robots_token: "argiope",
            depth: Depth::Markdown,
            max_links: 10,
        })
    };
    let markdown =
        input("intro\n\n# Title\n\n```\n# no\n```\n## Two ##\n[x](b.md) <https://c.example/>", "text/markdown");
    assert_eq!(markdown.title, "Title");
    assert_eq!(markdown.headings.iter().map(|heading| heading.text.as_str()).collect::<Vec<_>>(), ["Title", "Two"]);
    assert!(markdown.markdown[markdown.headings[1].offset..].starts_with("## Two"));
    assert_eq!(
        markdown.links.iter().map(|link| link.url.as_str()).collect::<Vec<_>>(),
        ["https://example.org/a/b.md", "https://c.example/"]
    );
    let plain = input("Title\n\n1. not a list\n\n  col   a\n  col   b\n\nend", "text/plain");
    assert_eq!(plain.markdown, "Title\n\n1\\. not a list\n\n```\n  col   a\n  col   b\n```\n\nend");
    assert_eq!(input("\u{1}\u{2}", "application/pdf").problems, [Problem::NotText]);
}

#[test]
fn an_article_loses_its_surroundings() {
    let sentence =
        "The river rose for three days, and on the fourth the bridge, old as it was, gave way under the water. ";
    let html = format!(
        "<html><head><title>The bridge - News</title><meta property=og:type content=article></head><body><div class=menu><a href=/a>Home</a></div>\
         <div class=story><h1>The bridge</h1>{}</div><div class=related-links><a href=/x>Other story one</a><a href=/y>Other story two</a></div></body></html>",
        format!("<p>{}</p>", sentence.repeat(4)).repeat(5)
    );
    let parsed = page(html);
    assert_eq!(parsed.extraction, Extraction::Article);
    assert!(parsed.markdown.contains("gave way") && !parsed.markdown.contains("Other story"), "{}", parsed.markdown);
    assert_ne!(parsed.simhash, 0);
}

fn mutate(mut html: Vec<u8>, edits: &[(usize, u8, usize)]) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"<table><tr><td colspan=999999>",
        b"</p></div></ul></td>",
        b"<!--",
        b"<pre><code class=\"language-\">",
        b"&#x110000;&;",
        b"<li><ul><ol>",
        b"\0",
        b"<svg><math><mi>",
        b"<img src=x alt=\"]()[\">",
        b"<h1><h2>",
        b"<th><caption>",
        b"<a href=x><div>",
        b"</table>",
        b"<dl><dt><dd>",
        b"<code>`",
    ];
    for &(at, kind, length) in edits {
        let at = at % html.len().max(1);
        let end = (at + length).min(html.len());
        match kind % 4 {
            0 => drop(html.drain(at..end)),
            1 => drop(html.splice(at..at, PIECES[length % PIECES.len()].iter().copied()).count()),
            2 => {
                let piece = html[at..end].to_vec();
                let to = (at * 7) % html.len().max(1);
                html.splice(to..to, piece);
            }
            _ => html.get_mut(at).into_iter().for_each(|byte| *byte = length as u8),
        }
    }
    html
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_pages_never_panic(which in 0usize..32, edits in proptest::collection::vec((any::<usize>(), any::<u8>(), 0usize..300), 1..20)) {
        let files = fixtures();
        let html = mutate(std::fs::read(&files[which % files.len()]).unwrap(), &edits);
        let parsed = page(&html);
        for heading in &parsed.headings {
            prop_assert!(parsed.markdown.is_char_boundary(heading.offset));
        }
        page_at("https://example.org/", &html, Depth::Links);
    }
}
