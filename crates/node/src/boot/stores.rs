//! The data directory's lock and its three stores.

use super::embedder;
use crate::config::{Config, FrontierBackend, PagesBackend, Secret, Vectors};
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobId, JobState};
use argiope_store::embedded::data_dir::{DataDir, DiskReserve};
use argiope_store::embedded::frontier::{EmbeddedFrontier, OpenOptions};
use argiope_store::embedded::pages::{EmbeddedPages, PageOptions};
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
use argiope_store::qdrant::{QdrantOptions, QdrantVectors};
use argiope_store::redis::RedisFrontier;
use argiope_store::{FrontierStore, PageStore, VectorStore};
use std::sync::Arc;

/// The open stores of a data directory. The last clone that is dropped closes them and lets the next process in.
#[derive(Clone)]
pub(crate) struct Stores {
    // Fields are dropped in this order: the directory's lock goes last.
    /// Which URL is fetched when.
    pub(crate) frontier: Arc<dyn FrontierStore>,
    /// What was fetched.
    pub(crate) pages: Arc<dyn PageStore>,
    /// What can be searched.
    pub(crate) vectors: Arc<dyn VectorStore>,
    /// The frontier that nodes share, and their list; `None` when the frontier is in the data directory.
    pub(crate) shared: Option<Arc<RedisFrontier>>,
    _directory: Arc<DataDir>,
}

impl Stores {
    /// Opens the data directory, and makes it when it is not there.
    ///
    /// # Errors
    /// Locked, newer, damaged, made with another model, no space, no server.
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let chosen = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&chosen)).await;
        let opened = opened
            .map_err(|error| CliError::new(ErrorCode::Internal, "opening the stores failed").because(error))??;
        let Opened { frontier, pages, vectors, directory } = opened;
        let unopened = |what: &str| CliError::new(ErrorCode::Internal, format!("no {what} was opened"));
        let pages = match super::pages::shared(config).await? {
            Some(pages) => pages,
            None => pages.ok_or_else(|| unopened("page store"))?,
        };
        let vectors = match vectors_on_server(config).await? {
            Some(vectors) => vectors,
            None => vectors.ok_or_else(|| unopened("index"))?,
        };
        let shared = super::redis::shared(config, &pages).await?;
        let frontier: Arc<dyn FrontierStore> = match (&shared, frontier) {
            (Some(shared), _) => Arc::clone(shared) as Arc<dyn FrontierStore>,
            (None, frontier) => frontier.ok_or_else(|| unopened("frontier"))?,
        };
        Ok(Self { frontier, pages, vectors, shared, _directory: directory })
    }
}

impl Stores {
    /// What the engine needs of them.
    pub(crate) fn for_engine(&self) -> argiope_actors::Stores {
        argiope_actors::Stores {
            frontier: Arc::clone(&self.frontier),
            pages: Arc::clone(&self.pages),
            vectors: Arc::clone(&self.vectors),
        }
    }

    /// Pauses what earlier processes left running, but the crawl with this identity. Answers the paused jobs.
    ///
    /// # Errors
    /// When the frontier does not answer.
    pub(crate) async fn pause_others(&self, identity: [u8; 16]) -> Result<Vec<JobId>> {
        let mut paused = Vec::new();
        for job in self.frontier.jobs().await? {
            if job.state == JobState::Running && job.spec.identity() != identity {
                self.frontier.set_job_state(job.id, JobState::Paused, super::now()).await?;
                paused.push(job.id);
            }
        }
        Ok(paused)
    }
}

/// What opening on a thread of its own leaves.
struct Opened {
    /// `None` when it is shared.
    frontier: Option<Arc<dyn FrontierStore>>,
    /// `None` when they are shared.
    pages: Option<Arc<dyn PageStore>>,
    /// `None` when they are on a server.
    vectors: Option<Arc<dyn VectorStore>>,
    directory: Arc<DataDir>,
}

fn open(config: &Config) -> Result<Opened> {
    let model = embedder(config)?.model().clone();
    let directory = DataDir::open(&config.data_dir)?;
    let reserve = DiskReserve { bytes: config.pages.min_free_bytes, ..DiskReserve::default() };
    let page_options = PageOptions { segment_bytes: config.pages.segment_bytes, reserve, ..PageOptions::default() };
    let frontier: Option<Arc<dyn FrontierStore>> = match config.frontier.backend {
        FrontierBackend::Embedded => {
            let options = OpenOptions::default();
            Some(Arc::new(EmbeddedFrontier::open(&directory.frontier(), &options, super::now())?))
        }
        FrontierBackend::Redis { .. } => None,
    };
    let pages: Option<Arc<dyn PageStore>> = match config.pages.backend {
        PagesBackend::Embedded => Some(Arc::new(EmbeddedPages::open(&directory.pages(), page_options)?)),
        PagesBackend::Objects(_) => None,
    };
    let vectors: Option<Arc<dyn VectorStore>> = match config.vectors {
        Vectors::Embedded { optimize_every_chunks } => {
            let options = VectorOptions {
                min_free_bytes: config.pages.min_free_bytes,
                optimize_every: optimize_every_chunks,
                ..VectorOptions::default()
            };
            Some(Arc::new(EmbeddedVectors::open(directory.vectors(), model, options)?))
        }
        Vectors::Qdrant { .. } => None,
    };
    let directory = Arc::new(directory);
    Ok(Opened { frontier, pages, vectors, directory })
}

/// The index on the server that is configured, `None` when it is in the data directory.
///
/// # Errors
/// When the server is away or refuses, or holds the index of another model.
pub(crate) async fn vectors_on_server(config: &Config) -> Result<Option<Arc<dyn VectorStore>>> {
    let Vectors::Qdrant { url, api_key, prefix, timeout } = &config.vectors else { return Ok(None) };
    let model = embedder(config)?.model().clone();
    let options = QdrantOptions {
        api_key: api_key.as_ref().map(Secret::read).transpose()?,
        prefix: prefix.clone(),
        call_timeout: *timeout,
        ..QdrantOptions::new(url.as_str())
    };
    let opened = Box::pin(QdrantVectors::open(options, model)).await;
    let vectors = opened.map_err(|error| {
        let error = CliError::from(error).because(format!("the Qdrant server is {url} (vectors.url)"));
        let next = match error.code {
            ErrorCode::ModelMismatch => "configure the model the index was made with, or give another `vectors.prefix`",
            _ => "is its gRPC port (6334) reachable, and the key right? `argiope config --print` shows [vectors]",
        };
        error.advise(next)
    })?;
    Ok(Some(Arc::new(vectors)))
}
