//! From a configuration to open stores and a running engine: the only module that talks to the engine.
//!
//! Verbs see [`Stores`] (the three contracts), [`Running`] (a started engine), [`Node`] (one that answers over HTTP and
//! runs until it is stopped), [`search`] and [`client`]. [`Service`] is what they ask, whoever holds the stores.

mod addresses;
mod intake;
mod model;
mod named;
mod node;
mod outgoing;
mod pages;
mod redis;
mod rules;
mod running;
mod seeds;
mod service;
mod standing;
mod stores;
mod verify;

pub(crate) use argiope_actors::support::now;
pub(crate) use intake::job_spec;
pub(crate) use model::embedder;
pub(crate) use named::{find_job, unknown_job};
pub(crate) use node::{Node, Wish};
pub(crate) use outgoing::client;
pub(crate) use pages::{place as pages_place, shared as shared_pages};
pub(crate) use rules::{ROBOTS_TOKEN, egress_verdict, kept_robots_verdict, robots_summary, scope_verdict, verdict};
pub(crate) use running::{Events, Running};
pub(crate) use seeds::{check_seeds, parse_url};
pub(crate) use service::{MAX_PAGES, Service, check_unended, ended};
pub(crate) use stores::{Stores, vectors_on_server};
pub(crate) use verify::Findings;

use crate::config::{Config, FrontierBackend};
use crate::errors::{CliError, Result};
use argiope_actors::query::{Query, SearchHit, SearchRequest};
use argiope_protocol::ErrorCode;
use argiope_store::VectorStore;
use std::sync::Arc;

/// A question to the index.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Words (BM25).
    Lexical,
    /// Meaning (vectors).
    Semantic,
    /// Both, fused.
    Hybrid,
}

/// One passage that answers.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
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

/// Whether something was ever stored in the configured data directory, or is kept elsewhere.
pub(crate) fn has_data(config: &Config) -> bool {
    let is_shared = matches!(config.frontier.backend, FrontierBackend::Redis { .. });
    is_shared || std::fs::read_dir(&config.data_dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// What answers questions.
///
/// # Errors
/// When the embedder is not available.
pub(crate) fn query(config: &Config, vectors: &Arc<dyn VectorStore>) -> Result<Query> {
    Ok(Query::new(Arc::clone(vectors), embedder(config)?))
}

/// Asks the index.
///
/// # Errors
/// When index or embedder are not available.
pub(crate) async fn search(config: &Config, vectors: &Arc<dyn VectorStore>, question: Question) -> Result<Vec<Found>> {
    let query = query(config, vectors)?;
    let mut request = SearchRequest::new(config.tenant.clone(), question.text);
    request.mode = match question.mode {
        Mode::Lexical => argiope_actors::query::Mode::Lexical,
        Mode::Semantic => argiope_actors::query::Mode::Semantic,
        Mode::Hybrid => argiope_actors::query::Mode::Hybrid,
    };
    request.limit = question.limit;
    request.filter = question.filter;
    request.one_per_page = question.one_per_page;
    let hits = query
        .search(request)
        .await
        .map_err(|error| CliError::new(error.code(), "the question cannot be answered").because(error))?;
    Ok(hits.into_iter().map(Found::from).collect())
}

impl From<SearchHit> for Found {
    fn from(hit: SearchHit) -> Self {
        let payload = hit.payload;
        let url = match &payload.anchor {
            Some(anchor) => format!("{}#{anchor}", payload.url),
            None => payload.url,
        };
        Self { score: hit.score, url, title: payload.title, heading_path: payload.heading_path, text: payload.text }
    }
}
