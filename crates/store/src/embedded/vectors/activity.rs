//! Counts of what the writer does, for benchmarks and tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an index has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Groups committed: what several callers wrote, flushed together.
    pub n_groups: u64,
    /// Optimisations: the growing segment became an indexed one.
    pub n_optimized: u64,
    /// Merges of several segments into one.
    pub n_merges: u64,
}

/// The counters behind [`Activity`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) groups: AtomicU64,
    pub(super) optimized: AtomicU64,
    pub(super) merges: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Activity {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Activity { n_groups: count(&self.groups), n_optimized: count(&self.optimized), n_merges: count(&self.merges) }
    }
}
