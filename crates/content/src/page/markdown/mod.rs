//! The main content as Markdown, with its headings.
//!
//! One loop over the flat tree ([`walk`]): text gathers in [`inline`] until a block ends, then [`output`] writes it
//! under the prefixes of the lists and quotes that are open; [`blocks`] and [`media`] are parts of the loop. [`code`] and [`table`] handle what has its own layout,
//! [`anchor`] finds the fragment of a heading, [`escape`] keeps text from turning into markup.

mod anchor;
mod blocks;
mod code;
mod escape;
mod inline;
mod media;
mod output;
mod table;
mod walk;

pub(super) use escape::escape_line_start;

use super::dom::{Dom, Facts};
use super::{Extraction, Heading, ParsedPage, Problem, simhash};
use url::Url;

/// Most Markdown of one page, in bytes. The largest single page of real manuals makes 6 MiB.
pub(super) const MAX_MARKDOWN_BYTES: usize = 8 * 1024 * 1024;

/// What the writer gives.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) markdown: String,
    pub(super) headings: Vec<Heading>,
    pub(super) simhash: u64,
    pub(super) is_cut: bool,
}

/// Writes the subtree at `root` but for dropped nodes. `title` is the element that becomes the first heading: one that
/// stands elsewhere comes first.
pub(super) fn render(
    dom: &Dom,
    facts: &Facts,
    dropped: &[bool],
    root: usize,
    title: Option<usize>,
    base: &Url,
) -> Rendered {
    let mut writer = walk::Writer::new(dom, facts, dropped, base, title);
    if let Some(title) = title.filter(|title| !dom.descendants(root).contains(title)) {
        writer.write(title);
    }
    writer.write(root);
    let (markdown, headings, is_cut) = writer.finish();
    let texts = kept_texts(dom, dropped, root);
    Rendered { simhash: simhash::simhash(texts), markdown, headings, is_cut }
}

fn kept_texts<'d>(dom: &'d Dom, dropped: &'d [bool], root: usize) -> impl Iterator<Item = &'d str> {
    let (mut at, end) = (root, dom.end(root));
    std::iter::from_fn(move || {
        while at < end {
            let here = at;
            if dropped.get(here).copied().unwrap_or(false) {
                at = dom.end(here);
                continue;
            }
            at += 1;
            if let Some(text) = dom.text(here) {
                return Some(text);
            }
        }
        None
    })
}

impl Rendered {
    /// Puts a first heading before an article that has none.
    pub(super) fn prepend_title(&mut self, title: &str) {
        if title.is_empty() || self.headings.iter().any(|heading| heading.level == 1) {
            return;
        }
        let line = format!("# {}\n\n", title.split_whitespace().collect::<Vec<_>>().join(" "));
        self.headings.iter_mut().for_each(|heading| heading.offset += line.len());
        self.headings.insert(0, Heading { level: 1, text: title.to_owned(), anchor: None, offset: 0 });
        self.markdown.insert_str(0, &line);
    }

    /// Moves into the page.
    pub(super) fn store(self, page: &mut ParsedPage, extraction: Extraction) {
        page.extraction = if self.markdown.is_empty() { Extraction::None } else { extraction };
        page.markdown = self.markdown;
        page.headings = self.headings;
        page.simhash = self.simhash;
        page.problems.extend(self.is_cut.then_some(Problem::MarkdownTooLong));
    }
}
