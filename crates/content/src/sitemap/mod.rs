//! Sitemaps and feeds: from a list that a site publishes to the URLs it names.
//!
//! Read are sitemaps and sitemap indexes (sitemaps.org), plain lists of URLs, RSS, RDF and Atom, and JSON feeds,
//! each also gzipped. The bytes decide which, not the media type, which servers get wrong. Nothing here fails:
//! what was read before a mistake or a bound is returned, with a problem that names it. DTDs are passed over and
//! their entities never expanded; XML is read in one forward pass that keeps no tree.
//!
//! Feeds are read by the same pass and not by `feed-rs`: it panics on numbers it cannot hold (an
//! `itunes:duration` of 23 digits), and a crawl needs three of its hundred fields.

mod date;
mod json;
#[cfg(test)]
mod tests;
mod text;
mod unpack;
mod xml;

use argiope_protocol::{CanonicalUrl, Timestamp};
use url::Url;

/// Decoded bytes of a sitemap that are read: the protocol's own limit (sitemaps.org).
pub const MAX_SITEMAP_BYTES: usize = 50 * 1024 * 1024;

/// Entries of one file that are read: the protocol's own limit (sitemaps.org).
pub const MAX_SITEMAP_ENTRIES: usize = 50_000;

/// What a sitemap or feed says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SitemapContents {
    /// Pages, in the order of the file, at most [`MAX_SITEMAP_ENTRIES`] together with `sitemaps`.
    pub pages: Vec<SitemapEntry>,
    /// Further sitemaps, from an index.
    pub sitemaps: Vec<CanonicalUrl>,
    /// Codes of what was wrong, each once: `too_large`, `too_many_entries`, `gzip_broken`, `gzip_bomb`,
    /// `xml_syntax`, `xml_too_deep`, `truncated`, `doctype_ignored`, `invalid_url`, `invalid_date`,
    /// `json_syntax`, `not_a_sitemap`.
    pub problems: Vec<&'static str>,
}

/// A page named by a sitemap or feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitemapEntry {
    /// Its URL.
    pub url: CanonicalUrl,
    /// When the site says it changed. A hint: many sites put the time of the request here.
    pub last_modified: Option<Timestamp>,
}

/// Reads a sitemap or feed that was fetched from `url`. Total: any bytes.
///
/// `content_type` serves only for its `charset`. URLs without host are resolved against `url`.
#[must_use]
pub fn parse(body: &[u8], content_type: Option<&str>, url: &CanonicalUrl) -> SitemapContents {
    let mut collector = Collector { base: url.as_url().clone(), contents: SitemapContents::default() };
    let unpacked = unpack::unpack(body, &mut collector);
    let text = unpack::decode(&unpacked, content_type);
    match text.trim_start().chars().next() {
        Some('<') => xml::read(&text, &mut collector),
        Some('{') => json::read(&text, &mut collector),
        _ => text::read(&text, &mut collector),
    }
    collector.contents
}

/// What all formats write into: the place of bounds and of resolving.
struct Collector {
    base: Url,
    contents: SitemapContents,
}

impl Collector {
    fn problem(&mut self, code: &'static str) {
        if !self.contents.problems.contains(&code) {
            self.contents.problems.push(code);
        }
    }

    /// Whether another entry may be added; says so when not.
    fn has_room(&mut self) -> bool {
        let has_room = self.contents.pages.len() + self.contents.sitemaps.len() < MAX_SITEMAP_ENTRIES;
        if !has_room {
            self.problem("too_many_entries");
        }
        has_room
    }

    fn add_page(&mut self, location: &str, modified: Option<&str>) {
        let Some(url) = self.resolve(location) else { return };
        let last_modified = modified.map(str::trim).filter(|text| !text.is_empty()).and_then(|text| {
            let read = date::read(text);
            if read.is_none() {
                self.problem("invalid_date");
            }
            read
        });
        self.contents.pages.push(SitemapEntry { url, last_modified });
    }

    fn add_sitemap(&mut self, location: &str) {
        if let Some(url) = self.resolve(location) {
            self.contents.sitemaps.push(url);
        }
    }

    fn resolve(&mut self, location: &str) -> Option<CanonicalUrl> {
        let location = location.trim();
        let url = if location.is_empty() { None } else { CanonicalUrl::join(&self.base, location).ok() };
        if url.is_none() {
            self.problem("invalid_url");
        }
        url
    }
}
