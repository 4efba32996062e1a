//! The job's ledger: one set of numbers, moved in the same atomic step as the URLs they count.

use serde::{Deserialize, Serialize};

/// Where a job's URLs are. At every instant, also after a crash,
/// `discovered = queued + leased + stored + unchanged + skipped + failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounters {
    /// URLs ever admitted.
    pub discovered: u64,
    /// Waiting in the frontier.
    pub queued: u64,
    /// Being worked on.
    pub leased: u64,
    /// Pages whose new content is durable.
    pub stored: u64,
    /// Pages found as they were.
    pub unchanged: u64,
    /// URLs that need no page: robots, `noindex`, redirects, media types we do not read, sitemaps.
    pub skipped: u64,
    /// URLs given up after all attempts.
    pub failed: u64,
}

impl JobCounters {
    /// Whether the ledger balances.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.discovered == self.queued + self.leased + self.stored + self.unchanged + self.skipped + self.failed
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.queued == 0 && self.leased == 0
    }

    /// URLs that count against the page limit: those that are pages, or may still become one.
    /// Skipped and failed URLs give their place back.
    #[must_use]
    pub const fn pages_in_budget(&self) -> u64 {
        self.queued + self.leased + self.stored + self.unchanged
    }
}
