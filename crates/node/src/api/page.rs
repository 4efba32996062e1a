//! URLs and pages as the interface shows them.

use super::time;
use argiope_protocol::{
    Candidate, CanonicalUrl, FailReason, Fate, JobId, PageKey, PageRecord, SkipReason, Timestamp, UrlKind, UrlSource,
};
use argiope_store::frontier::{UrlEntry, UrlState};
use serde::{Deserialize, Serialize};

/// What a cursor is, for those who give another.
pub(crate) const CURSOR: &str = "what `next` of the part before said";

/// Where a list goes on after this page.
pub(crate) fn cursor(key: &PageKey) -> String {
    key.to_string()
}

/// The page of a cursor.
pub(crate) fn parse_cursor(text: &str) -> Option<PageKey> {
    let is_whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_whole)?;
    Some(PageKey::from_bytes(number.to_be_bytes()))
}

/// Part of a list of pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PagePart {
    /// The pages, in the order of their keys.
    pub(crate) items: Vec<PageView>,
    /// Pages of the job that a later crawl removed.
    pub(crate) missing: u64,
    /// Where the next part begins (`after`); nothing at the end.
    pub(crate) next: Option<String>,
}

/// One URL of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UrlView {
    /// The URL.
    pub(crate) url: CanonicalUrl,
    /// `queued`, `leased`, `stored`, `unchanged`, `skipped` or `failed`.
    pub(crate) state: String,
    /// Why it was skipped or failed.
    pub(crate) reason: Option<String>,
    /// When it may be leased, when its lease runs out.
    #[serde(with = "time::opt")]
    pub(crate) until: Option<Timestamp>,
    /// Attempts so far.
    pub(crate) attempts: u8,
    /// Links between it and a seed.
    pub(crate) depth: u16,
    /// What it should hold.
    pub(crate) kind: UrlKind,
    /// Where it was found.
    pub(crate) source: UrlSource,
}

impl From<UrlEntry> for UrlView {
    fn from(entry: UrlEntry) -> Self {
        let (state, reason, until) = match entry.state {
            UrlState::Queued { not_before } => ("queued", None, Some(not_before)),
            UrlState::Leased { deadline } => ("leased", None, Some(deadline)),
            UrlState::Ended(Fate::Stored) => ("stored", None, None),
            UrlState::Ended(Fate::Unchanged) => ("unchanged", None, None),
            UrlState::Ended(Fate::Skipped(reason)) => ("skipped", Some(reason.code()), None),
            UrlState::Ended(Fate::Failed(reason, retry_at)) => ("failed", Some(reason.code()), retry_at),
        };
        let Candidate { url, kind, source, depth, .. } = entry.candidate;
        let (state, reason) = (state.to_owned(), reason.map(str::to_owned));
        Self { url, state, reason, until, attempts: entry.attempts, depth, kind, source }
    }
}

impl UrlView {
    /// Back; `None` when a newer node says what this program does not know.
    pub(crate) fn into_entry(self) -> Option<(PageKey, UrlEntry)> {
        let reason = self.reason.unwrap_or_default();
        let until = self.until.unwrap_or_default();
        let state = match self.state.as_str() {
            "queued" => UrlState::Queued { not_before: until },
            "leased" => UrlState::Leased { deadline: until },
            "stored" => UrlState::Ended(Fate::Stored),
            "unchanged" => UrlState::Ended(Fate::Unchanged),
            "skipped" => UrlState::Ended(Fate::Skipped(*SkipReason::ALL.iter().find(|known| known.code() == reason)?)),
            "failed" => {
                let reason = FailReason::ALL.iter().find(|known| known.code() == reason)?;
                UrlState::Ended(Fate::Failed(*reason, self.until))
            }
            _ => return None,
        };
        let Self { url, kind, source, depth, attempts, .. } = self;
        let key = PageKey::of(&url);
        let candidate = Candidate { url, kind, source, depth, redirect_chain: Vec::new() };
        Some((key, UrlEntry { candidate, attempts, state }))
    }
}

/// A stored page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageView {
    /// Its URL.
    pub(crate) url: CanonicalUrl,
    /// Its title, may be empty.
    pub(crate) title: String,
    /// ISO 639-1, when known.
    pub(crate) language: Option<String>,
    /// The job that stored this content.
    pub(crate) job: JobId,
    /// Links between it and a seed.
    pub(crate) depth: u16,
    /// HTTP status.
    pub(crate) status: u16,
    /// `Content-Type`, verbatim.
    pub(crate) content_type: Option<String>,
    /// When it was fetched.
    #[serde(with = "time")]
    pub(crate) fetched_at: Timestamp,
    /// Passages in the index.
    pub(crate) chunks: usize,
    /// Links that were offered to the frontier.
    pub(crate) links: Vec<CanonicalUrl>,
    /// Things that were odd about it, as codes.
    pub(crate) problems: Vec<String>,
    /// Its Markdown; nothing when it was not asked for.
    pub(crate) markdown: Option<String>,
}

impl PageView {
    /// Of a record, with or without the page's Markdown.
    pub(crate) fn new(record: PageRecord, markdown: Option<String>) -> Self {
        Self {
            url: record.url,
            title: record.title,
            language: record.language,
            job: record.job,
            depth: record.depth,
            status: record.fetch.status,
            content_type: record.fetch.content_type,
            fetched_at: record.fetch.fetched_at,
            chunks: record.chunks.len(),
            links: record.outlinks,
            problems: record.problems,
            markdown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let key = PageKey::of(&CanonicalUrl::parse("https://a.example/").unwrap());
        assert_eq!(parse_cursor(&cursor(&key)), Some(key));
        for bad in ["", "0", "+0000000000000000000000000000000", "zz000000000000000000000000000000"] {
            assert_eq!(parse_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_url_survives_the_way_to_a_command() {
        let url = CanonicalUrl::parse("https://a.example/x").unwrap();
        let at = Timestamp::from_millis(1_000);
        let states = [
            UrlState::Queued { not_before: at },
            UrlState::Leased { deadline: at },
            UrlState::Ended(Fate::Stored),
            UrlState::Ended(Fate::Unchanged),
            UrlState::Ended(Fate::Skipped(SkipReason::Gone)),
            UrlState::Ended(Fate::Failed(FailReason::Tls, None)),
            UrlState::Ended(Fate::Failed(FailReason::Timeout, Some(at))),
        ];
        for state in states {
            let entry = UrlEntry { candidate: Candidate::seed(url.clone()), attempts: 2, state };
            let text = serde_json::to_string(&UrlView::from(entry.clone())).unwrap();
            let back = serde_json::from_str::<UrlView>(&text).unwrap().into_entry().unwrap();
            assert_eq!(back, (PageKey::of(&url), entry), "{text}");
        }
    }
}
