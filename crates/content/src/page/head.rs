//! Links and metadata, collected element by element, from the tree and from the stream alike.

use super::container::Evidence;
use super::directives::Directives;
use super::dom::Dom;
use super::metadata::Metadata;
use super::tag::Tag;
use super::{Link, PageInput, ParsedPage, language};
use argiope_protocol::url::InvalidUrl;
use argiope_protocol::{CanonicalUrl, PageKey};
use std::collections::{HashMap, HashSet};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

/// Longest title, description or generator that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 2048;
/// Longest link text that is worth resolving; longer ones are no URL that a crawl takes.
const MAX_HREF_BYTES: usize = 8192;
/// Feeds of one page.
const MAX_FEEDS: usize = 16;
/// Raw links that are held back until the base is known; `base` comes first on real pages.
const MAX_RAW_LINKS_FACTOR: usize = 4;

/// Generators of documentation, and the names by which they sign, lower case.
const DOCUMENTATION_GENERATORS: &[&str] = &[
    "sphinx",
    "docutils",
    "mdbook",
    "rustdoc",
    "docbook",
    "asciidoc",
    "docusaurus",
    "mkdocs",
    "vitepress",
    "vuepress",
    "gitbook",
    "doxygen",
    "javadoc",
    "antora",
    "publican",
    "texinfo",
    "makeinfo",
    "pandoc",
    "hevea",
    "typedoc",
    "jsdoc",
    "yard",
    "ex_doc",
    "zola",
    "nextra",
    "starlight",
    "mintlify",
    "mandoc",
    "groff",
    "latex2html",
    "gtk-doc",
    "hotdoc",
];

/// Collects what the head and the links of a page say.
pub(super) struct Collector<'a> {
    input: &'a PageInput<'a>,
    base: Option<Url>,
    title: String,
    language: Option<String>,
    description: Option<String>,
    generator: Option<String>,
    canonical: Option<String>,
    directives: Directives,
    metadata: Metadata,
    feeds: Vec<String>,
    raw_links: Vec<(String, bool)>,
    /// Places in `raw_links` by the text's hash. Of two texts with one hash the later is not found again: its links are
    /// one only at the end, by their page.
    raw_index: HashMap<u64, usize>,
    n_links_over: u32,
    n_documentation_signs: u32,
}

impl<'a> Collector<'a> {
    pub(super) fn new(input: &'a PageInput<'a>) -> Self {
        Self {
            input,
            base: None,
            title: String::new(),
            language: None,
            description: None,
            generator: None,
            canonical: None,
            directives: Directives::default(),
            metadata: Metadata::default(),
            feeds: Vec::new(),
            raw_links: Vec::new(),
            raw_index: HashMap::new(),
            n_links_over: 0,
            n_documentation_signs: 0,
        }
    }

    /// Reads the whole tree.
    pub(super) fn read(&mut self, dom: &Dom) {
        let mut has_title = false;
        for at in 0..dom.len() {
            let tag = dom.tag(at);
            if tag == Tag::Other {
                continue;
            }
            self.element(tag, |name| dom.attribute(at, name));
            match tag {
                Tag::Title if !has_title && dom.tag(dom.parent(at)) != Tag::Svg => {
                    self.title(&dom.plain_text(at, MAX_TEXT_BYTES, |_| false));
                    has_title = true;
                }
                Tag::Script
                    if dom
                        .attribute(at, "type")
                        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/ld+json")) =>
                {
                    dom.descendants(at)
                        .filter_map(|index| dom.text(index))
                        .for_each(|text| self.metadata.json_ld(text));
                }
                Tag::Pre => self.n_documentation_signs += 3,
                Tag::Dt => self.n_documentation_signs += 1,
                Tag::A
                    if dom.has_class(
                        at,
                        &["headerlink", "header", "hash-link", "header-anchor", "permalink", "doc-anchor"],
                    ) =>
                {
                    self.n_documentation_signs += 1;
                }
                _ => {}
            }
        }
    }

    /// Takes one element.
    pub(super) fn element<'n>(&mut self, tag: Tag, attribute: impl Fn(&str) -> Option<&'n str>) {
        match tag {
            Tag::A | Tag::Area => {
                if let Some(href) = attribute("href") {
                    let nofollow = attribute("rel").is_some_and(|rel| has_word(rel, "nofollow"));
                    self.link(href, nofollow);
                }
            }
            Tag::Frame => attribute("src").into_iter().for_each(|source| self.link(source, false)),
            Tag::Html => {
                self.language = self.language.take().or_else(|| attribute("lang").and_then(language::declared))
            }
            Tag::Base => {
                if self.base.is_none()
                    && let Some(href) = attribute("href")
                {
                    self.base = self
                        .input
                        .url
                        .as_url()
                        .join(href.trim())
                        .ok()
                        .filter(|url| matches!(url.scheme(), "http" | "https"));
                }
            }
            Tag::Link => self.link_element(attribute),
            Tag::Meta => self.meta(attribute),
            _ => {}
        }
    }

    /// Takes the title.
    pub(super) fn title(&mut self, text: &str) {
        if self.title.is_empty() {
            self.title = bounded(text);
        }
    }

    /// What the page's own words say about its kind.
    pub(super) fn evidence(&self) -> Evidence {
        let generator = self.generator.as_deref().unwrap_or_default().to_ascii_lowercase();
        if DOCUMENTATION_GENERATORS.iter().any(|name| generator.contains(name)) {
            Evidence::Documentation
        } else if self.metadata.is_article() {
            Evidence::Article
        } else if self.n_documentation_signs >= 3 {
            Evidence::Documentation
        } else {
            Evidence::None
        }
    }

    fn link(&mut self, href: &str, nofollow: bool) {
        let href = href.trim();
        let target = href.split('#').next().unwrap_or_default();
        if target.is_empty() || has_foreign_scheme(target) {
            return;
        }
        let hash = xxh3_64(target.as_bytes());
        let known = self.raw_index.get(&hash).and_then(|&index| self.raw_links.get_mut(index));
        if let Some(link) = known.filter(|link| link.0 == target) {
            link.1 &= nofollow;
        } else if target.len() > MAX_HREF_BYTES
            || self.raw_links.len() >= self.input.max_links.saturating_mul(MAX_RAW_LINKS_FACTOR)
        {
            self.n_links_over = self.n_links_over.saturating_add(1);
        } else {
            self.raw_index.entry(hash).or_insert(self.raw_links.len());
            self.raw_links.push((target.to_owned(), nofollow));
        }
    }

    fn link_element<'n>(&mut self, attribute: impl Fn(&str) -> Option<&'n str>) {
        let (Some(rel), Some(href)) = (attribute("rel"), attribute("href")) else { return };
        if href.len() > MAX_HREF_BYTES {
            return;
        }
        if has_word(rel, "canonical") {
            self.canonical.get_or_insert_with(|| href.to_owned());
        } else if has_word(rel, "next") || has_word(rel, "prev") {
            self.link(href, false);
        } else if has_word(rel, "alternate")
            && self.feeds.len() < MAX_FEEDS
            && attribute("type").is_some_and(is_feed_type)
        {
            self.feeds.push(href.to_owned());
        }
    }

    fn meta<'n>(&mut self, attribute: impl Fn(&str) -> Option<&'n str>) {
        let (Some(name), Some(content)) = (attribute("name").or_else(|| attribute("property")), attribute("content"))
        else {
            return;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "description" => self.description = Some(bounded(content)),
            "generator" => self.generator = Some(bounded(content)),
            "language" | "content-language" => {
                self.language = self.language.take().or_else(|| language::declared(content))
            }
            name => {
                self.directives.apply_meta(name, content, self.input.robots_token);
                self.metadata.meta(name, content);
            }
        }
    }

    /// Resolves and stores everything; gives the base for further links.
    pub(super) fn finish(self, page: &mut ParsedPage) -> Url {
        let base = self.base.unwrap_or_else(|| self.input.url.as_url().clone());
        page.n_links_over = self.n_links_over;
        let mut index: HashMap<PageKey, usize> = HashMap::with_capacity(self.raw_links.len());
        for (href, nofollow) in self.raw_links {
            match CanonicalUrl::join(&base, &href) {
                Ok(url) => keep_link(page, &mut index, url, nofollow, self.input.max_links),
                Err(InvalidUrl::Scheme(_)) => {}
                Err(_) => page.n_links_invalid = page.n_links_invalid.saturating_add(1),
            }
        }
        let mut seen = HashSet::new();
        let feeds = self.feeds.iter().filter_map(|href| CanonicalUrl::join(&base, href).ok());
        page.feeds = feeds.filter(|url| seen.insert(url.clone())).collect();
        page.canonical = self.canonical.and_then(|href| CanonicalUrl::join(&base, &href).ok());
        page.description = self.description.filter(|text| !text.is_empty()).or_else(|| self.metadata.description());
        (page.title, page.language, page.generator, page.directives) =
            (self.title, self.language, self.generator, self.directives);
        page.metadata = self.metadata.into_map();
        base
    }
}

fn keep_link(
    page: &mut ParsedPage,
    index: &mut HashMap<PageKey, usize>,
    url: CanonicalUrl,
    nofollow: bool,
    max_links: usize,
) {
    let page_key = PageKey::of(&url);
    if let Some(link) = index.get(&page_key).and_then(|&at| page.links.get_mut(at)) {
        link.nofollow &= nofollow;
    } else if page.links.len() >= max_links {
        page.n_links_over = page.n_links_over.saturating_add(1);
    } else {
        index.insert(page_key, page.links.len());
        page.links.push(Link { url, page_key, nofollow });
    }
}

/// Takes links of a text body.
pub(super) fn collect_links<'t>(page: &mut ParsedPage, input: &PageInput<'_>, links: impl Iterator<Item = &'t str>) {
    let mut collector = Collector::new(input);
    links.for_each(|href| collector.link(href, false));
    let (title, language) = (std::mem::take(&mut page.title), page.language.take());
    collector.finish(page);
    (page.title, page.language) = (title, language);
}

fn has_word(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|candidate| candidate.eq_ignore_ascii_case(word))
}

fn is_feed_type(kind: &str) -> bool {
    matches!(
        kind.trim().to_ascii_lowercase().as_str(),
        "application/rss+xml" | "application/atom+xml" | "application/feed+json"
    )
}

/// `mailto:`, `javascript:` and their like, told without parsing.
fn has_foreign_scheme(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            && !scheme.eq_ignore_ascii_case("http")
            && !scheme.eq_ignore_ascii_case("https")
    })
}

fn bounded(text: &str) -> String {
    let mut collapsed = String::new();
    for word in text.split_whitespace() {
        if collapsed.len() + word.len() >= MAX_TEXT_BYTES {
            break;
        }
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}
