//! Where the main content is: a documentation container that holds most of the page's unlinked text.

use super::dom::{Count, Dom, Facts};
use super::tag::Tag;

/// What the page's own words say about its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A documentation generator, or listings, definition lists and heading links.
    Documentation,
    /// It calls itself an article.
    Article,
    /// Nothing.
    None,
}

/// Classes and ids of documentation containers, most specific first; the rank of `main` and `article` lies between.
const SPECIFIC: &[&str] = &[
    "main-content",
    "markdown-body",
    "theme-doc-markdown",
    "rst-content",
    "devsite-article-body",
    "md-content",
    "apicontent",
    "vp-doc",
    "sl-markdown-content",
    "manual-text",
    "page-content",
    "documentwrapper",
];
const GENERAL: &[&str] = &["content__default", "content", "main", "bodyContent", "docContent", "body", "contents"];

/// Candidates of one rank: more are parts of a list, not the content.
const MAX_CANDIDATES: usize = 3;
/// Share of the page's unlinked text that a container must hold.
const MIN_SHARE: f32 = 0.5;
/// Unlinked text outside a small page's `main`, in characters.
const MAX_OUTSIDE: u32 = 1500;
/// Unlinked text that may come with a title outside its container, beyond a quarter of the container's.
const MAX_BESIDE_TITLE: u32 = 300;
/// Share of linked text from which a page is an index: its links are its content, and all text is weighed.
const INDEX_DENSITY: f32 = 0.75;
/// Longest title that is compared, in bytes.
const MAX_TITLE_BYTES: usize = 300;
/// Classes of blocks that are a page's title and no heading.
const TITLE_CLASSES: &[&str] = &["title", "headertitle", "caption"];
/// Nodes at the start of a container among which its title stands.
const MAX_BEFORE_TITLE: usize = 200;
/// Share of the chosen container that a container within it must hold to be taken instead.
const MIN_NARROWER: f32 = 0.97;

/// The container, when the page has one.
pub(super) fn find(dom: &Dom, facts: &Facts, evidence: Evidence, title: &str) -> Option<usize> {
    if evidence == Evidence::Article {
        return None;
    }
    let body = dom.body()?;
    let weigh = if facts.at(body).link_density() > INDEX_DENSITY { Count::all } else { Count::unlinked };
    let needed = (weigh(&facts.at(body)) as f32 * MIN_SHARE).max(1.0);
    let mut ranked: Vec<(usize, usize)> = dom.descendants(body).filter_map(|at| Some((rank(dom, at)?, at))).collect();
    ranked.sort_unstable();
    let best = ranked.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() <= MAX_CANDIDATES).find_map(
        |group| {
            let best = group.iter().map(|&(_, at)| at).max_by_key(|&at| weigh(&facts.at(at)))?;
            (weigh(&facts.at(best)) as f32 >= needed).then_some(best)
        },
    );
    let best = best.or_else(|| small(dom, facts, &ranked, body))?;
    let narrowest = narrow(dom, facts, &ranked, best);
    Some(with_title(dom, facts, body, narrowest, title))
}

/// The only `main` of a page that has little text anywhere: a stub beside menus and pop-ups.
fn small(dom: &Dom, facts: &Facts, ranked: &[(usize, usize)], body: usize) -> Option<usize> {
    let mut groups = ranked
        .chunk_by(|one, other| one.0 == other.0)
        .filter(|group| group.iter().all(|&(rank, _)| rank <= SPECIFIC.len()));
    let best = groups.find_map(|group| match group {
        [(_, at)] if facts.at(*at).text > 0 => Some(*at),
        _ => None,
    })?;
    let outside = facts.at(body).unlinked().saturating_sub(facts.at(best).unlinked());
    (dom.descendants(body).contains(&best) && outside <= MAX_OUTSIDE).then_some(best)
}

/// A container within the container that holds nearly all of it leaves out headers and page navigation.
fn narrow(dom: &Dom, facts: &Facts, ranked: &[(usize, usize)], container: usize) -> usize {
    let mut best = container;
    for &(_, at) in ranked {
        let (inner, outer) = (facts.at(at), facts.at(best));
        let is_inside = dom.descendants(best).contains(&at);
        let holds_all =
            inner.n_headings == outer.n_headings && inner.n_tables == outer.n_tables && inner.pre == outer.pre;
        if is_inside && holds_all && inner.all() as f32 >= MIN_NARROWER * outer.all() as f32 {
            best = at;
        }
    }
    best
}

fn rank(dom: &Dom, at: usize) -> Option<usize> {
    let tag = dom.tag(at);
    if !matches!(tag, Tag::Div | Tag::Main | Tag::Article | Tag::Section | Tag::Td) {
        return None;
    }
    let named = |names: &[&str]| {
        names.iter().position(|&name| dom.attribute(at, "id") == Some(name) || dom.has_class(at, &[name]))
    };
    if let Some(rank) = named(SPECIFIC) {
        return Some(rank);
    }
    let base = SPECIFIC.len();
    if tag == Tag::Main || dom.attribute(at, "role") == Some("main") {
        return Some(base);
    }
    if dom.attribute(at, "itemprop") == Some("articleBody") {
        return Some(base + 1);
    }
    if tag == Tag::Article {
        return Some(base + 2);
    }
    named(GENERAL).map(|rank| base + 3 + rank)
}

/// A container without `h1` grows to the element that also holds the page's `h1`, when that adds little else.
fn with_title(dom: &Dom, facts: &Facts, body: usize, container: usize, page_title: &str) -> usize {
    let is_h1 = |at: &usize| dom.tag(*at) == Tag::H1 && facts.at(*at).text > 0;
    if dom.descendants(container).any(|at| is_h1(&at)) || names_page(dom, container, &[], page_title) {
        return container;
    }
    let Some(title) = dom.descendants(body).take_while(|at| *at < container).filter(is_h1).last() else {
        return container;
    };
    let mut at = container;
    while !dom.descendants(at).contains(&title) && at != body {
        at = dom.parent(at);
    }
    let most = facts.at(container).unlinked().saturating_mul(5) / 4 + MAX_BESIDE_TITLE;
    if facts.at(at).unlinked() <= most { at } else { container }
}

/// Whether the first heading of the container is the page's title: an `h1` outside is the site's name then.
fn names_page(dom: &Dom, container: usize, dropped: &[bool], page_title: &str) -> bool {
    first_heading(dom, container, dropped).is_some_and(|at| {
        let text = text_of(dom, at, dropped);
        !text.is_empty() && page_title.contains(&text)
    })
}

fn first_heading(dom: &Dom, container: usize, dropped: &[bool]) -> Option<usize> {
    dom.descendants(container).find(|&at| dom.tag(at).heading_level().is_some() && is_kept(dropped, at))
}

fn is_kept(dropped: &[bool], at: usize) -> bool {
    !dropped.get(at).copied().unwrap_or(false)
}

fn text_of(dom: &Dom, at: usize, dropped: &[bool]) -> String {
    dom.plain_text(at, MAX_TITLE_BYTES, |index| !is_kept(dropped, index))
}

/// The element that names the page where no heading of the container does: an `h1` before the container that the
/// page's title repeats, else a block with the class of a title that makes up most of the page's title, before the
/// container (Doxygen) or at its start (Haddock).
pub(super) fn title_element(dom: &Dom, container: usize, dropped: &[bool], page_title: &str) -> Option<usize> {
    if page_title.is_empty() || names_page(dom, container, dropped, page_title) {
        return None;
    }
    let body = dom.body()?;
    let heading = first_heading(dom, container, dropped);
    let has_h1 = || dom.descendants(container).any(|at| dom.tag(at) == Tag::H1 && is_kept(dropped, at));
    let h1_before = || {
        dom.descendants(body).take_while(|&at| at < container).filter(|&at| dom.tag(at) == Tag::H1).find(|&at| {
            let text = text_of(dom, at, dropped);
            !text.is_empty() && page_title.contains(&text)
        })
    };
    let end = heading.unwrap_or(usize::MAX).min(container + MAX_BEFORE_TITLE);
    let titled_block = || {
        let is_block = |at: usize| matches!(dom.tag(at), Tag::Div | Tag::P) && is_kept(dropped, at);
        dom.descendants(body)
            .take_while(|&at| at < end)
            .filter(|&at| is_block(at) && dom.has_class(at, TITLE_CLASSES))
            .find(|&at| is_most_of_title(&text_of(dom, at, dropped), page_title))
    };
    if has_h1() { titled_block() } else { h1_before().or_else(titled_block) }
}

/// Whether a text is the title or the longer part of it: `Site: Page`, `Page - Site`.
fn is_most_of_title(text: &str, page_title: &str) -> bool {
    let ends_here = |rest: &str| !rest.trim_start().starts_with(char::is_alphanumeric);
    let starts_here = |rest: &str| !rest.trim_end().ends_with(char::is_alphanumeric);
    2 * text.len() >= page_title.len()
        && (page_title.strip_prefix(text).is_some_and(ends_here)
            || page_title.strip_suffix(text).is_some_and(starts_here))
}
