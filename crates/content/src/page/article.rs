//! Articles: Readability finds the text, the same writer puts it down.

use super::dom::{Dom, Facts};
use super::markdown::{self, Rendered};
use super::{guard, prune};
use dom_query::Document;
use dom_smoothie::{Config, Readability};
use url::Url;

/// Nodes beyond which Readability, which scores and copies whole trees several times, is not asked.
const MAX_NODES: usize = 60_000;
/// Text beyond which it is not asked, in characters.
const MAX_TEXT: u32 = 1_500_000;
/// Table rows beyond which a page is a reference: Readability takes tables apart.
const MAX_ROWS: u32 = 30;
/// Least share of the page's unlinked text that an article must keep to be believed.
const MIN_SHARE: f32 = 0.25;

impl Facts {
    /// Whether the page is small enough for Readability, and no page of tables.
    pub(super) fn fits_readability(&self, dom: &Dom) -> bool {
        let n_rows = dom.body().map_or(0, |body| self.at(body).n_rows);
        dom.len() <= MAX_NODES && self.unlinked_text(dom) <= MAX_TEXT && n_rows <= MAX_ROWS
    }
}

/// The article's Markdown; `None` when Readability finds none, or too little of the page's unlinked text.
pub(super) fn render(document: Document, title: &str, base: &Url, unlinked_text: u32) -> Option<Rendered> {
    let config = Config { keep_classes: true, disable_json_ld: true, ..Config::default() };
    let mut readability = Readability::with_document(document, None, Some(config)).ok()?;
    let article = readability.parse().ok()?;
    let (document, problem) = guard::parse(&article.content);
    if problem.is_some() {
        return None;
    }
    let dom = Dom::flatten(&document).ok()?;
    let facts = Facts::of(&dom);
    let body = dom.body()?;
    if (facts.at(body).text as f32) < MIN_SHARE * unlinked_text as f32 {
        return None;
    }
    let dropped = prune::prune(&dom, &facts, body, true);
    let mut rendered = markdown::render(&dom, &facts, &dropped, body, None, base);
    let cleaned = article.title.trim();
    rendered.prepend_title(if cleaned.is_empty() { title } else { cleaned });
    Some(rendered)
}
