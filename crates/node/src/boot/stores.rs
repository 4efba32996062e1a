//! The data directory's lock and its three stores.

use super::Model;
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use argiope_store::embedded::data_dir::{DataDir, DiskReserve};
use argiope_store::embedded::frontier::{EmbeddedFrontier, OpenOptions};
use argiope_store::embedded::pages::{EmbeddedPages, PageOptions};
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
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
    _directory: Arc<DataDir>,
}

impl Stores {
    /// Opens the data directory, and makes it when it is not there.
    ///
    /// # Errors
    /// Locked, newer, damaged, made with another model, no space.
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let config = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&config)).await;
        opened.map_err(|error| CliError::new(ErrorCode::Internal, "opening the stores failed").because(error))?
    }
}

fn open(config: &Config) -> Result<Stores> {
    let model = Model::load(config)?;
    let directory = DataDir::open(&config.data_dir)?;
    let reserve = DiskReserve { bytes: config.pages.min_free_bytes, ..DiskReserve::default() };
    let page_options = PageOptions { segment_bytes: config.pages.segment_bytes, reserve, ..PageOptions::default() };
    let vector_options = VectorOptions {
        min_free_bytes: config.pages.min_free_bytes,
        optimize_every: config.vectors.optimize_every_chunks,
        ..VectorOptions::default()
    };
    let frontier = EmbeddedFrontier::open(&directory.frontier(), &OpenOptions::default(), super::now())?;
    let pages = EmbeddedPages::open(&directory.pages(), page_options)?;
    let vectors = EmbeddedVectors::open(directory.vectors(), model.index(), vector_options)?;
    Ok(Stores {
        frontier: Arc::new(frontier),
        pages: Arc::new(pages),
        vectors: Arc::new(vectors),
        _directory: Arc::new(directory),
    })
}
