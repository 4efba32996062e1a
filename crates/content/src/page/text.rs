//! Bodies that are no HTML: Markdown is kept as it is, plain text becomes paragraphs and fences.

use super::head::collect_links;
use super::markdown::{MAX_MARKDOWN_BYTES, escape_line_start};
use super::{Depth, Extraction, Heading, PageInput, ParsedPage, Problem, language, simhash};
use regex::Regex;
use std::sync::LazyLock;

/// Targets of inline links and automatic links.
static LINKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\]\(<?([^)\s<>]+)|<(https?://[^>\s]+)>").expect("the expression is a constant that the tests compile")
});

/// Keeps a Markdown body.
pub(super) fn fill_markdown(page: &mut ParsedPage, input: &PageInput<'_>, text: &str) {
    let text = bounded(page, text);
    let headings = headings_of(text);
    page.title =
        headings.iter().min_by_key(|heading| heading.level).map(|heading| heading.text.clone()).unwrap_or_default();
    let targets =
        LINKS.captures_iter(text).filter_map(|captures| Some(captures.get(1).or_else(|| captures.get(2))?.as_str()));
    collect_links(page, input, targets);
    store(page, input, text.replace("\r\n", "\n"), text);
    if input.depth == Depth::Markdown {
        page.headings = headings_of(&page.markdown);
    }
}

/// Writes a text body: paragraphs as such, what is laid out by blanks as a fence.
pub(super) fn fill_plain(page: &mut ParsedPage, input: &PageInput<'_>, text: &str) {
    let text = bounded(page, text);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    page.title = first.chars().take(120).collect();
    let mut out = String::with_capacity(text.len() + 64);
    let mut fenced: Vec<&str> = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    for paragraph in lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()) {
        if is_laid_out(paragraph) {
            if !fenced.is_empty() {
                fenced.push("");
            }
            fenced.extend(paragraph);
            continue;
        }
        flush_fence(&mut out, &mut fenced);
        for line in paragraph {
            escape_line_start(line, &mut out);
            out.push('\n');
        }
        out.push('\n');
    }
    flush_fence(&mut out, &mut fenced);
    out.truncate(out.trim_end().len());
    store(page, input, out, text);
}

fn flush_fence(out: &mut String, fenced: &mut Vec<&str>) {
    if !fenced.is_empty() {
        let longest =
            fenced.iter().map(|line| line.bytes().take_while(|byte| *byte == b'`').count()).max().unwrap_or(0);
        let ticks = "`".repeat(longest.max(2) + 1);
        out.push_str(&format!("{ticks}\n{}\n{ticks}\n\n", fenced.join("\n")));
        fenced.clear();
    }
}

/// Indented lines or columns.
fn is_laid_out(paragraph: &[&str]) -> bool {
    paragraph.iter().any(|line| line.starts_with(['\t', ' ']) || line.trim().contains("   ") || line.contains('\t'))
}

fn store(page: &mut ParsedPage, input: &PageInput<'_>, markdown: String, text: &str) {
    if input.depth == Depth::Links {
        return;
    }
    page.language = language::detect(&markdown).map(str::to_owned);
    page.simhash = simhash::simhash(std::iter::once(text));
    page.extraction = if markdown.trim().is_empty() { Extraction::None } else { Extraction::Container };
    page.markdown = markdown;
}

fn bounded<'t>(page: &mut ParsedPage, text: &'t str) -> &'t str {
    if text.len() <= MAX_MARKDOWN_BYTES {
        return text;
    }
    page.problems.push(Problem::MarkdownTooLong);
    text.get(..text.floor_char_boundary(MAX_MARKDOWN_BYTES)).unwrap_or_default()
}

/// ATX headings outside fences.
fn headings_of(text: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let (mut offset, mut fence): (usize, Option<(char, usize)>) = (0, None);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let run = |sign: char| trimmed.chars().take_while(|c| *c == sign).count();
        let mark = ['`', '~'].into_iter().map(|sign| (sign, run(sign))).find(|(_, length)| *length >= 3);
        match (fence, mark) {
            (None, Some(opening)) => fence = Some(opening),
            (Some((sign, length)), Some((other, run))) if sign == other && run >= length && trimmed.len() == run => {
                fence = None
            }
            (None, None) => headings.extend(heading_of(trimmed, offset)),
            _ => {}
        }
        offset += line.len();
    }
    headings
}

fn heading_of(line: &str, offset: usize) -> Option<Heading> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let text = line.get(level..)?;
    if !(1..=6).contains(&level) || !text.starts_with([' ', '\t']) {
        return None;
    }
    let text = text.trim().trim_end_matches('#').trim().to_owned();
    (!text.is_empty()).then_some(Heading { level: u8::try_from(level).ok()?, text, anchor: None, offset })
}
