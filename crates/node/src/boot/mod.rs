//! From a configuration to open stores and a running engine: the only module that talks to the engine.
//!
//! Verbs see [`Stores`] (the three contracts), [`Running`] (a started engine), [`search`] and [`egress`].

mod model;
mod outgoing;
mod seeds;
mod stores;

pub(crate) use model::Model;
pub(crate) use outgoing::client;
pub(crate) use seeds::check_seeds;
pub(crate) use stores::Stores;

use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobId, JobSpec, Timestamp};
use argiope_store::frontier::JobRecord;
use std::time::Duration;

/// How a submitted job relates to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Nothing like it was there.
    New,
    /// An unfinished job goes on.
    Resumed,
    /// A finished job is crawled again.
    Recrawl,
}

/// A job that the engine works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submitted {
    /// Its id.
    pub(crate) job: JobId,
    /// How it came to be.
    pub(crate) how: How,
}

/// A question to the index.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) text: String,
    /// Which sides answer.
    pub(crate) mode: Mode,
    /// Most hits.
    pub(crate) limit: usize,
    /// Which chunks may be found.
    pub(crate) filter: argiope_store::vectors::SearchFilter,
    /// At most one hit a page.
    pub(crate) one_per_page: bool,
}

/// Which sides of the index answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Words (BM25).
    Lexical,
    /// Meaning (vectors).
    Semantic,
    /// Both, fused.
    Hybrid,
}

/// One passage that answers.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Found {
    /// Higher is better; comparable inside one answer.
    pub(crate) score: f32,
    /// The page, with the anchor of the nearest heading.
    pub(crate) url: String,
    /// The page's title.
    pub(crate) title: String,
    /// Headings above the passage, outermost first.
    pub(crate) heading_path: Vec<String>,
    /// The passage's Markdown.
    pub(crate) text: String,
}

/// The async runtime.
///
/// # Errors
/// When the system gives no threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("argiope")
        .build()
        .map_err(|error| CliError::new(ErrorCode::Internal, "the runtime does not start").because(error))
}

/// Wall-clock time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default())
}

/// Whether something was ever stored in the configured data directory.
pub(crate) fn has_data(config: &Config) -> bool {
    std::fs::read_dir(&config.data_dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// What needs the engine, in a build without it.
pub(crate) fn not_wired() -> CliError {
    CliError::new(ErrorCode::Internal, "the engine is not part of this build")
}

/// A started engine.
pub(crate) struct Running {
    /// Its stores.
    pub(crate) stores: Stores,
}

impl Running {
    /// Starts the engine on open stores.
    ///
    /// # Errors
    /// When a store or the embedder is not available.
    pub(crate) async fn start(_config: &Config, stores: Stores) -> Result<Self> {
        let _ = Self { stores };
        Err(not_wired())
    }

    /// Hands in a job.
    pub(crate) async fn submit(&self, _spec: JobSpec) -> Result<Submitted> {
        Err(not_wired())
    }

    /// The next event as one JSON object, for people who follow with `--json`; `None` when there are no more.
    pub(crate) async fn next_event(&mut self) -> Option<serde_json::Value> {
        None
    }

    /// Waits until the job has nothing left to do; independent of this value, so that events can be read beside it.
    pub(crate) fn waiter(&self, _job: JobId) -> impl Future<Output = Result<JobRecord>> + Send + 'static {
        std::future::ready(Err(not_wired()))
    }

    /// Stops taking work and waits for what is under way. Answers how many leases were still out at the end.
    pub(crate) async fn drain(&self, _deadline: Duration) -> u64 {
        0
    }
}

/// Asks the index.
///
/// # Errors
/// When index or embedder are not available.
pub(crate) async fn search(_config: &Config, _stores: &Stores, _question: Question) -> Result<Vec<Found>> {
    Err(not_wired())
}
