//! Main-content extraction on pages of eleven documentation generators whose text was marked by hand
//! (`tests/quality/extraction`, described in `docs/QUALITY.md`).

use argiope_content::page::{Depth, PageInput, parse};
use argiope_protocol::CanonicalUrl;
use argiope_protocol::passage::indexed_text;
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Mark {
    generator: String,
    /// Lines of the main text, in order.
    keep: Vec<String>,
    /// Lines of navigation, headers and footers.
    gone: Vec<String>,
    headings: usize,
    code_blocks: usize,
    table_rows: usize,
}

/// Found and expected, of one kind of thing.
#[derive(Default, Clone, Copy)]
struct Tally(usize, usize);

impl Tally {
    fn add(&mut self, other: Self) {
        self.0 += other.0;
        self.1 += other.1;
    }

    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    fn share(self) -> f64 {
        if self.1 == 0 { 1.0 } else { self.0 as f64 / self.1 as f64 }
    }
}

/// Lines kept, navigation gone, headings, code blocks, table rows. Of counts the smaller side is what was found:
/// one too many is as wrong as one too few.
type Score = [Tally; 5];

fn score(mark: &Mark, markdown: &str) -> Score {
    let text = letters(&indexed_text(markdown));
    let n_kept = mark.keep.iter().filter(|line| text.contains(&letters(line))).count();
    let n_gone = mark.gone.iter().filter(|line| !text.contains(&letters(line))).count();
    let mut seen = [0_usize; 3];
    let mut in_fence = false;
    for line in markdown.lines().map(|line| line.trim_start_matches(['>', ' ', '-'])) {
        if line.starts_with("```") {
            in_fence = !in_fence;
            seen[1] += usize::from(in_fence);
        } else if !in_fence {
            seen[0] += usize::from(line.trim_start_matches('#').starts_with(' ') && line.starts_with('#'));
            seen[2] += usize::from(is_row(line));
        }
    }
    let count = |seen: usize, expected: usize| Tally(seen.min(expected), seen.max(expected));
    [
        Tally(n_kept, mark.keep.len()),
        Tally(n_gone, mark.gone.len()),
        count(seen[0], mark.headings),
        count(seen[1], mark.code_blocks),
        count(seen[2], mark.table_rows),
    ]
}

/// A row of a table with text in it: neither the rule nor the empty header that Markdown needs above rows without one.
fn is_row(line: &str) -> bool {
    line.starts_with('|') && !line.starts_with("| ---") && line.contains(|c| !matches!(c, '|' | ' '))
}

/// What both renderings agree on: letters and digits.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/quality/extraction");
    let entries = std::fs::read_dir(folder).expect("the marked pages are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

fn markdown_of(path: &Path) -> String {
    let file = std::fs::File::open(path.with_extension("html.gz")).expect("the page is beside its mark");
    let mut body = Vec::new();
    GzDecoder::new(file).read_to_end(&mut body).expect("well packed");
    let input = PageInput {
        url: &CanonicalUrl::parse("http://docs.example/page.html").expect("valid"),
        body: &body,
        content_type: Some("text/html; charset=utf-8"),
        x_robots_tag: &[],
        robots_token: "argiope",
        depth: Depth::Markdown,
        max_links: 5_000,
    };
    parse(&input).markdown
}

#[test]
fn marked_pages_keep_their_text_and_lose_their_navigation() {
    let mut total = Score::default();
    for path in pages() {
        let mark: Mark = serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("a mark");
        let markdown = markdown_of(&path);
        let page = score(&mark, &markdown);
        let shares = page.map(|tally| format!("{:.3} ({}/{})", tally.share(), tally.0, tally.1)).join("  ");
        println!("{:44} {:14} {shares}", path.file_stem().expect("a name").display(), mark.generator);
        if std::env::var_os("SHOW_LOST").is_some() {
            let text = letters(&indexed_text(&markdown));
            mark.keep
                .iter()
                .filter(|line| !text.contains(&letters(line)))
                .for_each(|line| println!("    lost: {line}"));
            mark.gone.iter().filter(|line| text.contains(&letters(line))).for_each(|line| println!("    left: {line}"));
        }
        total.iter_mut().zip(page).for_each(|(sum, tally)| sum.add(tally));
    }
    println!("kept, gone, headings, code blocks, table rows: {:.3?}", total.map(Tally::share));
    assert!(pages().len() >= 30);
    for (tally, floor) in total.iter().zip(FLOORS) {
        assert!(tally.share() >= floor, "{:.3} < {floor}", tally.share());
    }
}

/// Just below what was measured; docs/QUALITY.md has the figures.
const FLOORS: [f64; 5] = [0.998, 0.99, 0.99, 1.0, 0.99];
