//! The frontier of one machine, on one database file.
//!
//! A call that writes goes through a bounded queue to one thread ([`writer`]), which runs a group of calls in one
//! durable transaction and answers after its commit. Reads see the newest commit. Values carry their own checksums
//! ([`record`]); what lies under which key is told in [`keys`] and [`rows`]; a URL moves in one place only
//! ([`ledger`]), so that the job's counters cannot miss a step. The data directory's lock makes this process the
//! only one: at open every former claim is void, and leases of dead processes go back to the queue.
//!
//! Never here: network, clock (time is a parameter), decisions about scope.

mod admit;
mod claims;
mod contract;
mod counter;
mod engine;
mod hosts;
mod hot;
mod jobs;
mod keys;
mod lease;
mod ledger;
mod lists;
mod record;
mod rows;
mod settle;
mod table;
mod verify;
mod writer;

use crate::{Error, Result};
use argiope_protocol::Timestamp;
use engine::Engine;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use table::{Snapshot, Step};
use tokio::sync::mpsc;
use writer::{Call, Pending, Writer};

/// Calls that wait for the writer; a caller waits for room when there are more.
const MAX_WAITING_CALLS: usize = 1_024;

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Memory that the engine may use for its page cache.
    pub cache_bytes: usize,
}

impl Default for OpenOptions {
    /// 16 MiB hold the inner nodes and the hot leaves of a million URLs.
    fn default() -> Self {
        Self { cache_bytes: 16 * 1024 * 1024 }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// How often the store was opened, this time included.
    pub opens: u64,
    /// Commits that were made and are not in the database any more: their URLs will be fetched again.
    pub lost_commits: u64,
    /// The commit counter beside the database is missing or damaged, so lost commits would go unnoticed.
    pub is_counter_missing: bool,
    /// The last process did not close the database; the engine repaired it.
    pub was_repaired: bool,
}

/// The embedded [`FrontierStore`](crate::FrontierStore). Dropping it closes the database after the calls that wait.
pub struct EmbeddedFrontier {
    engine: Arc<Engine>,
    /// `None` only while it is dropped.
    calls: Option<mpsc::Sender<Call>>,
    writer: Option<JoinHandle<()>>,
    report: OpenReport,
}

impl EmbeddedFrontier {
    /// Opens or makes the database at `path`. Blocks: reads and repairs the file.
    ///
    /// # Errors
    /// `Locked` when another process uses it, `Newer` when a newer version wrote it, `Corrupt`, `DiskFull`, `Engine`.
    pub fn open(path: &Path, options: &OpenOptions, now: Timestamp) -> Result<Self> {
        let (engine, counter, report) = Engine::open(path, options, now)?;
        if report.lost_commits > 0 {
            tracing::warn!(
                n_commits = report.lost_commits,
                "frontier lost the end of its history, URLs will be fetched again"
            );
        }
        if report.is_counter_missing {
            tracing::warn!("frontier commit counter is missing or damaged, lost commits cannot be seen");
        }
        let engine = Arc::new(engine);
        let (calls, queue) = mpsc::channel(MAX_WAITING_CALLS);
        let writer = Writer::new(engine.clone(), counter);
        let writer = std::thread::Builder::new()
            .name("frontier-writer".to_owned())
            .spawn(move || writer.serve(queue))
            .map_err(|error| Error::engine("start writer thread", error))?;
        Ok(Self { engine, calls: Some(calls), writer: Some(writer), report })
    }

    /// What opening found.
    #[must_use]
    pub const fn open_report(&self) -> &OpenReport {
        &self.report
    }

    /// Runs a call in the writer's next group. Dropping the future does not stop a call that was queued.
    async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Step<'_>) -> Result<T> + Send + 'static,
    {
        let calls = self.calls.as_ref().ok_or(Error::Closed)?;
        let (call, answer) = Pending::new(operation);
        calls.send(Box::new(call)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Reads the newest commit on a thread that may block.
    async fn read<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    {
        let engine = self.engine.clone();
        let read = tokio::task::spawn_blocking(move || engine.read(operation)).await;
        read.unwrap_or_else(|error| {
            Err(Error::Corrupt { what: "frontier database".to_owned(), detail: error.to_string() })
        })
    }
}

impl Drop for EmbeddedFrontier {
    fn drop(&mut self) {
        self.calls = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("frontier writer thread panicked");
        }
        self.engine.close();
    }
}

impl std::fmt::Debug for EmbeddedFrontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedFrontier").field("report", &self.report).finish_non_exhaustive()
    }
}
