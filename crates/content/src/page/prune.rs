//! What inside the main content is no content: navigation, controls, permalink signs, hidden parts.

use super::dom::{Count, Dom, Facts};
use super::tag::Tag;
use regex::Regex;
use std::sync::LazyLock;

/// Words of classes and ids that name furniture. They only count together with the numbers in [`is_furniture`].
static FURNITURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i-u)(?:^|[ _-])(?:nav(?:bar|header|footer|igation|path|links?)?|breadcrumbs?|side-?bar\w*|menu|toc|table-?of-?contents|contents|footer|header|page-?nav\w*|pagination|pager|prev|next|search\w*|skip\w*|related|share\w*|social|cookie\w*|banner|promo\w*|newsletter|feedback|edit(?:-this)?-page|edit-?on-?\w+|copy\w*|toplang|bottomlang|quickview|docnav|sphinxsidebar|out-of-band|theme-(?:toggle|switch\w*|picker|menu)|versions?|version-?(?:menu|switch\w*|select\w*|picker|list|dropdown|warning|banner)|last-updated|headertitle-?nav|tablist)(?:$|[ _-])",
    )
    .expect("the expression is a constant that the tests compile")
});

/// Least text of a page after soft pruning, as a share of what hard pruning leaves. Below it the links are the content: an index.
const MIN_KEPT: f32 = 0.2;
/// Signs that stand for a link to the heading itself.
const PERMALINK_SIGNS: &[&str] =
    &["¶", "#", "§", "🔗", "\u{f0c1}", "\u{200b}", "◆", "◆\u{a0}", "[src]", "[source]", "⚓", "∞"];
/// Words that do so only in a link of one of [`PERMALINK_CLASSES`].
const PERMALINK_WORDS: &[&str] = &["Source", "source", "link", "Link", "permalink", "Permalink", "src"];
/// Classes of links that repeat their heading.
const PERMALINK_CLASSES: &[&str] = &[
    "headerlink",
    "hash-link",
    "anchor-link",
    "anchorjs-link",
    "sl-anchor-link",
    "header-anchor",
    "heading-anchor",
    "permalink",
    "srclink",
    "src",
    "doc-anchor",
    "tooltip",
    "test-arrow",
    "viewcode-link",
    "headinglink",
    "autoanchor",
];
/// Classes that name navigation and nothing else, whatever the numbers say.
const NAVIGATION_CLASSES: &[&str] = &[
    "navheader",
    "navfooter",
    "breadcrumb",
    "breadcrumbs",
    "sphinxsidebar",
    "pagination",
    "toplang",
    "bottomlang",
    "skip-link",
    "skip-links",
    "pagination-nav",
    "prev-next",
    "prev-next-area",
    "mdbook-help-container",
    "edit-page-link",
    "theme-edit-this-page",
    "quickview",
    "path",
    "rightside",
];
/// Most text of such a part.
const MAX_NAVIGATION: u32 = 1000;
/// Links from which a part that holds little else is a menu.
const MENU_LINKS: u32 = 8;
/// Classes of parts that only screen readers or scripts use.
const UNSEEN_CLASSES: &[&str] = &[
    "sr-only",
    "hideme",
    "visually-hidden",
    "visuallyhidden",
    "screen-reader-text",
    "copybtn",
    "copy-button",
    "clipboard-button",
    "btn-clipboard",
    "code-copy",
    "katex-html",
    "MathJax_Preview",
    "mw-editsection",
    "hidden-print",
];

/// Columns of line numbers beside a listing, `pre` elements themselves.
const LINE_NUMBER_CLASSES: &[&str] = &["linenos", "lineno", "linenodiv", "gutter", "rouge-gutter"];

/// Which nodes are left out; a dropped node takes its subtree with it.
pub(super) fn prune(dom: &Dom, facts: &Facts, root: usize, in_container: bool) -> Vec<bool> {
    let (mut hard, hard_kept) = mark(dom, facts, root, |at, count| is_never_content(dom, facts, at, count));
    let (soft, soft_kept) = mark(dom, facts, root, |at, count| {
        hard.get(at).copied().unwrap_or(false) || is_furniture(dom, at, count, in_container)
    });
    if soft_kept as f32 >= MIN_KEPT * hard_kept as f32 {
        return soft;
    }
    hard.shrink_to_fit();
    hard
}

/// Marks what the rule drops; also gives the text that is left.
fn mark(dom: &Dom, facts: &Facts, root: usize, rule: impl Fn(usize, Count) -> bool) -> (Vec<bool>, u32) {
    let mut dropped = vec![false; dom.len()];
    let mut kept = facts.at(root).text;
    let (mut at, end) = (root + 1, dom.end(root));
    while at < end {
        if dom.is_element(at) && rule(at, facts.at(at)) {
            if let Some(slot) = dropped.get_mut(at) {
                *slot = true;
            }
            kept = kept.saturating_sub(facts.at(at).text);
            at = dom.end(at);
        } else {
            at += 1;
        }
    }
    (dropped, kept)
}

/// Dropped on every page.
fn is_never_content(dom: &Dom, facts: &Facts, at: usize, count: Count) -> bool {
    let tag = dom.tag(at);
    if (tag.is_silent() && tag != Tag::Script) || (tag == Tag::Script && !is_math_script(dom, at)) {
        return true;
    }
    if matches!(tag, Tag::Button | Tag::Link | Tag::Meta | Tag::Search | Tag::Dialog | Tag::Title) {
        return true;
    }
    if tag == Tag::A && is_permalink(dom, at, count) {
        return true;
    }
    // Also of a page that consists of links.
    if matches!(tag, Tag::Div | Tag::Table | Tag::Ul | Tag::Ol)
        && count.n_headings == 0
        && count.pre == 0
        && count.text < MAX_NAVIGATION
        && is_navigation(dom, at)
    {
        return true;
    }
    if dom.has_class(at, LINE_NUMBER_CLASSES) {
        return count.n_headings == 0;
    }
    if matches!(dom.attribute(at, "role"), Some("search" | "menu" | "menubar" | "dialog"))
        || dom.has_class(at, UNSEEN_CLASSES) && count.pre == 0
    {
        return count.n_headings == 0;
    }
    let is_tab_panel = dom.attribute(at, "role") == Some("tabpanel");
    if dom.attribute(at, "hidden").is_some() && !is_tab_panel && count.n_headings == 0 && dom.tag(at) != Tag::Pre {
        return true;
    }
    let is_icon = dom.attribute(at, "aria-hidden") == Some("true") && count.text < 60 && tag.heading_level().is_none();
    is_icon && facts.at(at).n_headings == 0 && count.pre == 0
}

fn is_math_script(dom: &Dom, at: usize) -> bool {
    dom.attribute(at, "type").is_some_and(|kind| kind.starts_with("math/tex"))
}

fn is_permalink(dom: &Dom, at: usize, count: Count) -> bool {
    let Some(href) = dom.attribute(at, "href") else { return false };
    if dom.has_class(at, &["sl-anchor-link", "srclink", "test-arrow"]) {
        return true;
    }
    if count.text == 0 {
        return count.n_images == 0 || href.starts_with('#');
    }
    if count.text > 12 {
        return false;
    }
    let text = dom.plain_text(at, 32, |_| false);
    let is_sign = text.is_empty() || PERMALINK_SIGNS.contains(&text.trim());
    // Haddock's link to the source stands behind the declaration.
    let has_class = dom.has_class(at, PERMALINK_CLASSES)
        || (dom.has_class(at, &["link"]) && dom.has_class(dom.parent(at), &["src"]));
    (is_sign && (href.contains('#') || has_class)) || (has_class && PERMALINK_WORDS.contains(&text.trim()))
}

/// Dropped unless the page consists of little else.
fn is_furniture(dom: &Dom, at: usize, count: Count, in_container: bool) -> bool {
    let tag = dom.tag(at);
    let density = count.link_density();
    if matches!(dom.attribute(at, "role"), Some("navigation" | "contentinfo" | "banner")) && count.pre == 0 {
        return true;
    }
    match tag {
        Tag::Nav => return true,
        Tag::Footer => return dom.tag(dom.parent(at)) != Tag::Blockquote,
        Tag::Header => return count.n_headings == 0 || (density > 0.6 && count.n_links >= MENU_LINKS),
        Tag::Aside => {
            return (density > 0.3 || count.text < 40)
                && !dom.has_class(at, &["admonition", "note", "footnote", "callout", "footnote-list"]);
        }
        _ => {}
    }
    if !matches!(
        tag,
        Tag::Div
            | Tag::Section
            | Tag::Ul
            | Tag::Ol
            | Tag::Dl
            | Tag::Span
            | Tag::Form
            | Tag::Table
            | Tag::Tr
            | Tag::Td
            | Tag::Center
            | Tag::P
            | Tag::Menu
            | Tag::Details
    ) || count.pre > 0
    {
        return false;
    }
    if is_navigation(dom, at) && (count.n_headings == 0 || density > 0.5) && count.text < MAX_NAVIGATION {
        return true;
    }
    let is_short = count.text < if in_container { 30 } else { 90 } && count.n_cells == 0;
    let is_linked = density > 0.5 || (count.text == 0 && count.n_links > 0);
    let may_go = (is_linked || is_short) && (count.n_headings == 0 || density > 0.6);
    let is_data = tag == Tag::Table && in_container && count.n_header_cells > 0;
    if may_go
        && !is_data
        && !matches!(tag, Tag::P | Tag::Tr | Tag::Td)
        && has_furniture_name(dom, at, count.n_headings == 0)
    {
        return true;
    }
    // Link lists without prose, outside a container: side bars. Links in a paragraph are a `See also`.
    !in_container
        && matches!(tag, Tag::Ul | Tag::Ol | Tag::Div | Tag::Section | Tag::Table)
        && count.n_links >= MENU_LINKS
        && density > 0.85
        && !dom.descendants(at).any(|index| dom.tag(index) == Tag::P)
}

fn is_navigation(dom: &Dom, at: usize) -> bool {
    // Haddock: copyright, licence and stability of the module.
    let is_colophon = dom.has_class(at, &["info"]) && dom.attribute(dom.parent(at), "id") == Some("module-header");
    is_colophon
        || dom.has_class(at, NAVIGATION_CLASSES)
        || dom.attribute(at, "id").is_some_and(|id| NAVIGATION_CLASSES.contains(&id))
}

/// By class, and by id where that is no heading's: ids of sections are made of their titles.
fn has_furniture_name(dom: &Dom, at: usize, may_use_id: bool) -> bool {
    let is_match =
        |name: &str| dom.attribute(at, name).is_some_and(|value| value.len() < 1000 && FURNITURE.is_match(value));
    is_match("class") || (may_use_id && is_match("id"))
}
