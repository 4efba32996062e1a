//! A fetched body in, everything that the crawl wants to know about the page out.
//!
//! In order: [`kind`] says what the bytes are, [`guard`] parses HTML once under bounds, [`dom`] lays the tree out
//! flat, [`head`] collects links and metadata ([`directives`] and [`metadata`] read single values), [`container`]
//! and [`prune`] find the main content ([`article`] where no container is found), [`markdown`] writes it down and
//! [`simhash`] fingerprints it. A job that only asks for links takes [`stream`] instead, which only [`scan`]s for
//! tags and builds no tree.
//! [`text`] handles bodies that are no HTML. No walk here is recursive, whatever the page nests.
//!
//! Apart from the guard's reading of the thread's CPU clock, without which a time bound cannot exist, all of it is
//! a function of the input.

mod article;
mod container;
mod directives;
mod dom;
mod guard;
mod head;
mod kind;
mod language;
mod markdown;
mod metadata;
mod prune;
mod scan;
mod simhash;
mod stream;
mod tag;
#[cfg(test)]
mod tests;
mod text;

use crate::decode;
use argiope_protocol::{CanonicalUrl, PageKey};
use std::collections::BTreeMap;

pub use directives::Directives;
pub use kind::{TextKind, is_html, text_kind};

/// How much of a page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Links, base, canonical, meta robots and title: streamed, no tree.
    Links,
    /// All of it.
    Markdown,
}

/// What [`parse`] needs.
#[derive(Debug, Clone, Copy)]
pub struct PageInput<'a> {
    /// Where the body came from, after redirects.
    pub url: &'a CanonicalUrl,
    /// The body, content codings undone.
    pub body: &'a [u8],
    /// `Content-Type`, verbatim.
    pub content_type: Option<&'a str>,
    /// Every `X-Robots-Tag` header.
    pub x_robots_tag: &'a [String],
    /// Our product token, as in robots.txt.
    pub robots_token: &'a str,
    /// How much is wanted.
    pub depth: Depth,
    /// Distinct links that are kept; more are counted.
    pub max_links: usize,
}

/// A link that can be crawled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it leads.
    pub url: CanonicalUrl,
    /// The key of that page.
    pub page_key: PageKey,
    /// Every occurrence carries `rel=nofollow`.
    pub nofollow: bool,
}

/// A heading of the Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Plain text, whitespace collapsed.
    pub text: String,
    /// Fragment that leads to it.
    pub anchor: Option<String>,
    /// Byte offset of its line in the Markdown.
    pub offset: usize,
}

/// Which extractor found the main content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extraction {
    /// A documentation container, or the whole of a text body.
    Container,
    /// Readability, for articles.
    Article,
    /// The body, pruned.
    Body,
    /// Nothing was extracted.
    None,
}

impl Extraction {
    /// The name that records carry.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Article => "article",
            Self::Body => "body",
            Self::None => "none",
        }
    }
}

/// What was odd about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// More tree nodes than the bound; parsing was given up.
    TooManyNodes,
    /// Elements nested deeper than the bound; parsing was given up.
    TooDeep,
    /// More CPU time than the bound; parsing was given up.
    CpuTime,
    /// The Markdown was cut at its bound.
    MarkdownTooLong,
    /// Bytes that are no text in the page's encoding.
    DecodeErrors,
    /// The body is neither HTML nor text.
    NotText,
}

impl Problem {
    /// The name that records carry.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyNodes => "too_many_nodes",
            Self::TooDeep => "too_deep",
            Self::CpuTime => "cpu_time",
            Self::MarkdownTooLong => "markdown_too_long",
            Self::DecodeErrors => "decode_errors",
            Self::NotText => "not_text",
        }
    }

    /// Whether the page was not parsed to its end, so that what was found is incomplete.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::TooManyNodes | Self::TooDeep | Self::CpuTime)
    }
}

/// What a page holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedPage {
    /// `title`, else the first `h1`, else empty.
    pub title: String,
    /// ISO 639-1, as declared, else as detected.
    pub language: Option<String>,
    /// WHATWG name of the encoding.
    pub charset: &'static str,
    /// `meta name=description` or `og:description`.
    pub description: Option<String>,
    /// `meta name=generator`.
    pub generator: Option<String>,
    /// `link rel=canonical`.
    pub canonical: Option<CanonicalUrl>,
    /// Of meta robots and `X-Robots-Tag`.
    pub directives: Directives,
    /// Distinct links in page order.
    pub links: Vec<Link>,
    /// Links that are no URL.
    pub n_links_invalid: u32,
    /// Links beyond `max_links`.
    pub n_links_over: u32,
    /// OpenGraph properties and JSON-LD `type`, `headline` and dates; bounded.
    pub metadata: BTreeMap<String, String>,
    /// RSS and Atom feeds that the page names.
    pub feeds: Vec<CanonicalUrl>,
    /// How the main content was found.
    pub extraction: Extraction,
    /// The main content.
    pub markdown: String,
    /// Its headings in order.
    pub headings: Vec<Heading>,
    /// 64-bit simhash over 3-word shingles of the main text; 0 when there is none.
    pub simhash: u64,
    /// Odd things, each at most once.
    pub problems: Vec<Problem>,
}

impl ParsedPage {
    fn empty(charset: &'static str) -> Self {
        Self {
            title: String::new(),
            language: None,
            charset,
            description: None,
            generator: None,
            canonical: None,
            directives: Directives::default(),
            links: Vec::new(),
            n_links_invalid: 0,
            n_links_over: 0,
            metadata: BTreeMap::new(),
            feeds: Vec::new(),
            extraction: Extraction::None,
            markdown: String::new(),
            headings: Vec::new(),
            simhash: 0,
            problems: Vec::new(),
        }
    }
}

/// Parses a page. Total: any bytes give a page, what went wrong is in `problems`.
#[must_use]
pub fn parse(input: &PageInput<'_>) -> ParsedPage {
    let decoded = decode::decode(input.body, input.content_type);
    let kind = text_kind(input.content_type, input.body);
    let mut page = ParsedPage::empty(decoded.charset);
    match kind {
        None => page.problems.push(Problem::NotText),
        Some(TextKind::Html) if input.depth == Depth::Links => stream::fill(&mut page, input, &decoded.text),
        Some(TextKind::Html) => fill_from_tree(&mut page, input, &decoded.text),
        Some(TextKind::Markdown) => text::fill_markdown(&mut page, input, &decoded.text),
        Some(TextKind::Plain) => text::fill_plain(&mut page, input, &decoded.text),
    }
    directives::apply_headers(&mut page.directives, input.x_robots_tag, input.robots_token);
    if decoded.had_errors && kind.is_some() {
        page.problems.push(Problem::DecodeErrors);
    }
    page
}

fn fill_from_tree(page: &mut ParsedPage, input: &PageInput<'_>, html: &str) {
    let (document, exceeded) = guard::parse(html);
    page.problems.extend(exceeded);
    let dom = match dom::Dom::flatten(&document) {
        Ok(dom) => dom,
        Err(problem) => {
            page.problems.extend((!page.problems.contains(&problem)).then_some(problem));
            return;
        }
    };
    let mut collector = head::Collector::new(input);
    collector.read(&dom);
    let evidence = collector.evidence();
    let base = collector.finish(page);
    if exceeded.is_none() {
        write_main_content(page, &dom, document, evidence, &base);
    }
    if page.title.is_empty() {
        page.title = page
            .headings
            .iter()
            .find(|heading| heading.level == 1)
            .map(|heading| heading.text.clone())
            .unwrap_or_default();
    }
    if page.language.is_none() {
        page.language = language::detect(&page.markdown).map(str::to_owned);
    }
}

fn write_main_content(
    page: &mut ParsedPage,
    dom: &dom::Dom,
    document: dom_query::Document,
    evidence: container::Evidence,
    base: &url::Url,
) {
    let facts = dom::Facts::of(dom);
    let container = container::find(dom, &facts, evidence, &page.title);
    let may_be_article =
        container.is_none() && evidence != container::Evidence::Documentation && facts.fits_readability(dom);
    // A tree that is not asked again goes before the Markdown is written.
    let document = may_be_article.then_some(document);
    if let Some(document) = &document {
        dom.give_back(document);
    }
    if let Some(document) = document
        && let Some(rendered) = article::render(document, &page.title, base, facts.unlinked_text(dom))
    {
        rendered.store(page, Extraction::Article);
        return;
    }
    let (root, extraction) = match container {
        Some(container) => (Some(container), Extraction::Container),
        None => (dom.body(), Extraction::Body),
    };
    let Some(root) = root else { return };
    let dropped = prune::prune(dom, &facts, root, extraction == Extraction::Container);
    let title = container::title_element(dom, root, &dropped, &page.title);
    let rendered = markdown::render(dom, &facts, &dropped, root, title, base);
    rendered.store(page, extraction);
}
