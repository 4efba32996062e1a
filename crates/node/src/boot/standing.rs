//! How the node stands: for monitors, operators and those who follow a job.

use super::{Events, Service, job_spec};
use crate::config::Config;
use crate::errors::Result;
use argiope_protocol::{CanonicalUrl, JobId, JobSpec, ShardId};
use argiope_store::FrontierStore;
use argiope_store::frontier::JobRecord;
use std::time::Duration;

/// A store that is slower than this cannot be worked with.
const PATIENCE: Duration = Duration::from_secs(5);

impl Service {
    /// The configuration in effect.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// The frontier, for questions.
    pub(crate) fn frontier(&self) -> &dyn FrontierStore {
        self.stores.frontier.as_ref()
    }

    /// The job that these seeds and the configuration ask for.
    pub(crate) fn spec_for(&self, seeds: Vec<CanonicalUrl>) -> JobSpec {
        job_spec(&self.config, seeds)
    }

    /// A job by its whole id.
    pub(crate) async fn job_by_id(&self, id: JobId) -> Result<JobRecord> {
        Ok(self.stores.frontier.job(id).await?)
    }

    /// What the engine of this process tells from now on; `None` when none runs.
    pub(crate) fn events(&self) -> Option<Events> {
        self.engine.as_ref().map(|engine| Events::new(engine.subscribe()))
    }

    /// Requests under way.
    pub(crate) fn n_requests(&self) -> u32 {
        self.engine.as_ref().map_or(0, |engine| engine.n_requests())
    }

    /// Whether the engine takes no more work.
    pub(crate) fn is_draining(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.is_draining())
    }

    /// What keeps the node from working: a store that does not answer, an engine that drains. Each store is asked for
    /// one thing that costs it little.
    pub(crate) async fn unready(&self) -> Vec<String> {
        let tenant = &self.config.tenant;
        let frontier = async { self.stores.frontier.load(ShardId::new(0)).await.map(drop) };
        let pages = async { self.stores.pages.scan(tenant, None, 1).await.map(drop) };
        let vectors = async { self.stores.vectors.scan_heads(tenant, None, 1).await.map(drop) };
        let (frontier, pages, vectors) =
            tokio::join!(answers("frontier", frontier), answers("pages", pages), answers("index", vectors));
        let draining = self.is_draining().then(|| "the engine drains".to_owned());
        [draining, frontier, pages, vectors].into_iter().flatten().collect()
    }
}

async fn answers(what: &str, question: impl Future<Output = argiope_store::Result<()>>) -> Option<String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{what}: {}: {error}", error.code())),
        Err(_) => Some(format!("{what}: no answer within {} s", PATIENCE.as_secs())),
    }
}
