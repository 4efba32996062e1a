//! What an engine tells its owner while it works.

use argiope_protocol::{CanonicalUrl, Fate, JobCounters, JobId, JobState, RejectReason};

/// One fact. Slow readers miss the oldest ones; the ledger in the frontier is the truth.
#[derive(Debug, Clone)]
pub enum Event {
    /// The ledger of a job moved.
    Progress {
        /// The job.
        job: JobId,
        /// Where its URLs are.
        counters: JobCounters,
    },
    /// A URL reached its end.
    UrlEnded {
        /// The job.
        job: JobId,
        /// The URL.
        url: CanonicalUrl,
        /// Its end.
        fate: Fate,
    },
    /// Nearly all links of a job's first page were refused: the scope may be too narrow.
    ScopeWarning {
        /// The job.
        job: JobId,
        /// The page.
        url: CanonicalUrl,
        /// The most frequent reason.
        reason: RejectReason,
        /// Links refused.
        n_rejected: u64,
        /// Links in all.
        n_links: u64,
    },
    /// A host asks for more time than is granted; it is slowed to the cap.
    CrawlDelayCapped {
        /// The host.
        host: String,
    },
    /// Pages wait for a store (a full disk, a full Redis, an outage); it is tried again by itself.
    Held {
        /// What the store said.
        why: String,
        /// The error's code.
        code: argiope_protocol::ErrorCode,
    },
    /// They go on.
    Released,
    /// A stage failed and is started again.
    Restarted {
        /// Which stage.
        stage: &'static str,
    },
    /// A stage failed too often; the engine drains and stops.
    GaveUp {
        /// Which stage.
        stage: &'static str,
    },
    /// A job reached a state in which it does not go on.
    JobEnded {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
        /// Its ledger.
        counters: JobCounters,
    },
}
