//! A URL as it lies in Redis. The layout is told in `lua/base.lua`, which writes the first 28 bytes.

use crate::{Error, Result};
use argiope_protocol::{Candidate, CanonicalUrl, PageKey, Timestamp, UrlKind, UrlSource};

/// Bytes before the redirect chain.
const HEAD_BYTES: usize = 32;
/// Largest count that Redis adds up without loss: 2^52, since scripts count in doubles.
pub(super) const MAX_COUNT: u64 = 1 << 52;
/// Pages of a redirect chain that a record can hold.
const MAX_CHAIN: usize = u8::MAX as usize;

const SOURCES: [UrlSource; 5] =
    [UrlSource::Seed, UrlSource::Redirect, UrlSource::Link, UrlSource::Sitemap, UrlSource::Known];

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) page: PageKey,
    /// Earliest next lease of a queued URL.
    pub(super) since: Timestamp,
    /// Grows with each admission to the shard.
    pub(super) age: u64,
    pub(super) attempts: u8,
    pub(super) candidate: Candidate,
}

impl Record {
    /// Band, depth, age: smaller is served first.
    pub(super) const fn rank(&self) -> (u8, u16, u64) {
        (self.candidate.source.band(), self.candidate.depth, self.age)
    }

    /// From its bytes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        Self::read_opt(bytes).ok_or_else(|| Error::Corrupt {
            what: "a URL's record".to_owned(),
            detail: format!("{} bytes that do not decode", bytes.len()),
        })
    }

    fn read_opt(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize, len: usize| {
            Some(bytes.get(at..at + len)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
        };
        let page = PageKey::from_bytes(bytes.get(..16)?.try_into().ok()?);
        let flags = *bytes.get(28)?;
        let n_chain = usize::from(*bytes.get(31)?);
        let text_at = HEAD_BYTES + 16 * n_chain;
        let chain = bytes.get(HEAD_BYTES..text_at)?.chunks_exact(16);
        let candidate = Candidate {
            url: CanonicalUrl::parse(std::str::from_utf8(bytes.get(text_at..)?).ok()?).ok()?,
            kind: if flags & 1 == 0 { UrlKind::Page } else { UrlKind::Sitemap },
            source: *SOURCES.get(usize::from((flags >> 1) & 7))?,
            depth: u16::try_from(number(29, 2)?).ok()?,
            redirect_chain: chain.filter_map(|page| Some(PageKey::from_bytes(page.try_into().ok()?))).collect(),
        };
        let since = super::codes::time(number(16, 6)?);
        Some(Self { page, since, age: number(22, 4)?, attempts: *bytes.get(27)?, candidate })
    }
}

/// The part of a record that is offered: flags, depth, chain, text.
pub(super) fn offered(candidate: &Candidate) -> Vec<u8> {
    let chain = candidate.redirect_chain.get(..MAX_CHAIN).unwrap_or(&candidate.redirect_chain);
    let source = SOURCES.iter().position(|source| *source == candidate.source).unwrap_or_default();
    let mut bytes = Vec::with_capacity(4 + 16 * chain.len() + candidate.url.as_str().len());
    let kind = u8::from(candidate.kind == UrlKind::Sitemap);
    bytes.push(kind | (u8::try_from(source).unwrap_or_default() << 1) | (candidate.source.band() << 4));
    bytes.extend_from_slice(&candidate.depth.to_be_bytes());
    bytes.push(u8::try_from(chain.len()).unwrap_or(u8::MAX));
    chain.iter().for_each(|page| bytes.extend_from_slice(page.as_bytes()));
    bytes.extend_from_slice(candidate.url.as_str().as_bytes());
    bytes
}

/// The list in which a URL waits: smaller is served first.
pub(super) const fn level(candidate: &Candidate) -> u64 {
    candidate.source.band() as u64 * 65_536 + candidate.depth as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_offered() {
        let url = CanonicalUrl::parse("https://example.org/a?b=c").unwrap();
        for source in SOURCES {
            for (kind, chain) in [(UrlKind::Page, 0_u8), (UrlKind::Sitemap, 3)] {
                let redirect_chain = (0..chain).map(|n| PageKey::from_bytes([n; 16])).collect();
                let candidate = Candidate { url: url.clone(), kind, source, depth: 300, redirect_chain };
                let mut bytes = PageKey::of(&url).as_bytes().to_vec();
                bytes.extend_from_slice(&[0, 0, 0, 0, 1, 2, 0, 0, 0, 7, 5, 2]);
                bytes.extend(offered(&candidate));
                let record = Record::read(&bytes).unwrap();
                assert_eq!((record.since, record.age, record.attempts), (Timestamp::from_millis(258), 7, 2));
                assert_eq!((record.page, record.candidate), (PageKey::of(&url), candidate));
                assert!(Record::read(&bytes[..31]).is_err());
            }
        }
    }
}
