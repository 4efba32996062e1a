//! What is said about the frontier: offers, claims, leases.

use crate::fate::RejectReason;
use crate::ids::{Epoch, JobId, NodeName, PageKey, ShardId, TenantId};
use crate::time::Timestamp;
use crate::url::{CanonicalUrl, Host};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a URL is expected to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlKind {
    /// A page.
    #[default]
    Page,
    /// A sitemap, sitemap index or feed: read for its entries, never stored as a page.
    Sitemap,
}

/// Where a URL was found. Decides its priority band: seeds before sitemaps and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlSource {
    /// Given by the user.
    Seed,
    /// Target of a redirect or of `rel=canonical`; keeps its origin's depth.
    Redirect,
    /// A link of a page.
    Link,
    /// An entry of a sitemap or feed.
    Sitemap,
    /// Stored by an earlier crawl of the same job identity, to be checked again.
    Known,
}

impl UrlSource {
    /// Priority band, 0 first; inside a band it is breadth first.
    #[must_use]
    pub const fn band(self) -> u8 {
        match self {
            Self::Seed | Self::Redirect => 0,
            Self::Link => 1,
            Self::Sitemap | Self::Known => 2,
        }
    }
}

/// A URL offered to the frontier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The URL.
    pub url: CanonicalUrl,
    /// What it should hold.
    pub kind: UrlKind,
    /// Where it came from.
    pub source: UrlSource,
    /// Links between it and a seed.
    pub depth: u16,
    /// Pages of the redirect chain that led here, oldest first; empty unless `source` is `Redirect`.
    pub redirect_chain: Vec<PageKey>,
}

impl Candidate {
    /// A seed.
    #[must_use]
    pub const fn seed(url: CanonicalUrl) -> Self {
        Self { url, kind: UrlKind::Page, source: UrlSource::Seed, depth: 0, redirect_chain: Vec::new() }
    }
}

/// The right of one node to decide for one shard, until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The shard.
    pub shard: ShardId,
    /// Who holds it.
    pub node: NodeName,
    /// Fencing number: every write names it.
    pub epoch: Epoch,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
}

/// Names one lease for ever: the claim's epoch, and a number that grows inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// Epoch of the claim under which it was given.
    pub epoch: Epoch,
    /// Grows with every lease of the epoch.
    pub seq: u64,
}

impl LeaseToken {
    const SEQ_BITS: u32 = 40;

    /// One number that grows with every lease of a shard: fences writes to the vector store.
    /// Room for 2^24 epochs of 2^40 leases.
    #[must_use]
    pub const fn fence(self) -> u64 {
        (self.epoch.0 << Self::SEQ_BITS) | (self.seq & ((1 << Self::SEQ_BITS) - 1))
    }
}

/// The right to fetch one URL once, until `deadline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub token: LeaseToken,
    /// Whose job.
    pub tenant: TenantId,
    /// Which job.
    pub job: JobId,
    /// The host whose gate was written for it.
    pub host: Host,
    /// What to fetch.
    pub candidate: Candidate,
    /// This attempt's number, from 1.
    pub attempt: u8,
    /// When the frontier takes the URL back.
    pub deadline: Timestamp,
}

/// Rejected URLs kept per job and reason as samples.
pub const MAX_REJECT_SAMPLES: usize = 20;

/// Links that a page filter refused before they were offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectTally {
    /// How many, by reason.
    pub counts: BTreeMap<RejectReason, u64>,
    /// Some of them, at most [`MAX_REJECT_SAMPLES`] a reason.
    pub samples: BTreeMap<RejectReason, Vec<String>>,
}

impl RejectTally {
    /// Counts one link and keeps it as a sample while there is room.
    pub fn add(&mut self, reason: RejectReason, url: &str) {
        *self.counts.entry(reason).or_default() += 1;
        let samples = self.samples.entry(reason).or_default();
        if samples.len() < MAX_REJECT_SAMPLES {
            samples.push(url.chars().take(500).collect());
        }
    }
}

/// What became of an offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmitReport {
    /// Newly queued URLs by host.
    pub queued: BTreeMap<Host, u32>,
    /// URLs that the job already had.
    pub n_seen: u32,
    /// URLs refused because the page limit is reached.
    pub n_over_budget: u32,
}

/// The right to send one request to a host that is no URL of a job: robots.txt, or a start that was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartAnswer {
    /// Start within the window; the gate was moved.
    Granted,
    /// Not before then.
    NotBefore(Timestamp),
}

/// What `settle` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettleAnswer {
    /// The URL reached its end.
    Ended,
    /// The URL waits for another attempt.
    Requeued {
        /// Not before then.
        not_before: Timestamp,
    },
    /// The token is not the URL's lease any more; nothing changed.
    Stale,
}
