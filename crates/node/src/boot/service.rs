//! What commands ask of a data directory: answered by the process that holds it, a running crawl or the command itself.

use super::verify::{self, Findings};
use super::{Found, Question, Stores, find_job, now};
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_actors::Engine;
use argiope_protocol::{ErrorCode, JobId, JobState, PageKey, PageRecord, RejectReason};
use argiope_store::frontier::{JobRecord, UrlEntry, UrlFilter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages looked at for one answer.
const MAX_PAGES: usize = 200;
/// An answer is full when its Markdown and links have this many bytes: a page more makes at most twice its bound.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Answers, on open stores.
#[derive(Clone)]
pub(crate) struct Service {
    config: Config,
    stores: Stores,
    engine: Option<Arc<Engine>>,
}

/// A page of a job, for an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exported {
    /// Which one.
    pub(crate) key: PageKey,
    /// Its record and Markdown; nothing when a later crawl removed it.
    pub(crate) page: Option<(PageRecord, String)>,
}

impl Service {
    /// Beside the engine that works on the stores.
    pub(crate) fn of_crawl(config: &Config, stores: &Stores, engine: &Arc<Engine>) -> Self {
        Self { config: config.clone(), stores: stores.clone(), engine: Some(Arc::clone(engine)) }
    }

    /// Of a command that opens the stores itself.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        Ok(Self { config: config.clone(), stores: Stores::open(config).await?, engine: None })
    }

    pub(crate) async fn jobs(&self) -> Result<Vec<JobRecord>> {
        Ok(self.stores.frontier.jobs().await?)
    }

    /// The job that a user named: id, its beginning, or `last`.
    pub(crate) async fn job(&self, id: &str) -> Result<JobRecord> {
        find_job(self.stores.frontier.as_ref(), id).await
    }

    pub(crate) async fn move_to(&self, id: &str, state: JobState) -> Result<JobRecord> {
        let job = self.job(id).await?;
        Ok(self.stores.frontier.set_job_state(job.id, state, now()).await?)
    }

    /// Lets a job go on in the running crawl.
    ///
    /// # Errors
    /// `AR0001` when the job has ended.
    pub(crate) async fn resume(&self, id: &str) -> Result<JobRecord> {
        let job = self.job(id).await?;
        check_unended(&job)?;
        self.go_on(job.id).await
    }

    /// Puts the failed URLs of a job back to its queue, and lets it go on in the running crawl. Answers how many.
    pub(crate) async fn retry(&self, id: &str) -> Result<(JobRecord, u64)> {
        let job = self.job(id).await?;
        let n_urls = self.stores.frontier.retry_failed(job.id, now()).await?;
        if n_urls == 0 {
            return Ok((job, 0));
        }
        Ok((self.go_on(job.id).await?, n_urls))
    }

    async fn go_on(&self, job: JobId) -> Result<JobRecord> {
        let missing = || CliError::new(ErrorCode::Internal, "no crawl runs in this process");
        self.engine.as_ref().ok_or_else(missing)?.resume(job).await.map_err(super::running::failed)
    }

    pub(crate) async fn urls(
        &self,
        job: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>> {
        Ok(self.stores.frontier.list_urls(job, filter, after, limit).await?)
    }

    pub(crate) async fn reject_samples(&self, job: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
        Ok(self.stores.frontier.reject_samples(job).await?)
    }

    /// Pages of a job in key order, after `after`; an empty list is the end.
    pub(crate) async fn pages(&self, job: JobId, after: Option<PageKey>) -> Result<Vec<Exported>> {
        let tenant = self.stores.frontier.job(job).await?.spec.tenant;
        let mut pages = Vec::new();
        let mut n_bytes = 0;
        for (key, _) in self.urls(job, UrlFilter::Pages, after, MAX_PAGES).await? {
            let page = match self.stores.pages.record(&tenant, &key).await? {
                None => None,
                Some(record) => {
                    let markdown = self.stores.pages.markdown(&tenant, &key).await?.unwrap_or_default();
                    n_bytes += markdown.len() + record.outlinks.iter().map(|url| url.as_str().len()).sum::<usize>();
                    Some((record, markdown))
                }
            };
            pages.push(Exported { key, page });
            if n_bytes >= FULL_BYTES {
                break;
            }
        }
        Ok(pages)
    }

    /// Beside a running crawl only what holds at every instant of it is compared, and nothing is removed.
    pub(crate) async fn verify(&self, keep: bool) -> Result<Findings> {
        match self.engine {
            Some(_) => verify::compare_ledger(&self.stores).await,
            None => verify::compare(&self.stores, &self.config.tenant, keep).await,
        }
    }

    pub(crate) async fn search(&self, question: Question) -> Result<Vec<Found>> {
        super::search(&self.config, &self.stores.vectors, question).await
    }
}

/// Refuses a job in a final state.
///
/// # Errors
/// `AR0001`.
pub(crate) fn check_unended(job: &JobRecord) -> Result<()> {
    if matches!(job.state, JobState::Running | JobState::Paused) { Ok(()) } else { Err(ended(job)) }
}

/// The job stays as it is.
pub(crate) fn ended(job: &JobRecord) -> CliError {
    CliError::new(ErrorCode::Usage, format!("job {} is {} and stays so", job.id, job.state.code()))
        .advise("`argiope crawl` with the same seeds crawls it again; `argiope retry ID` tries failed pages again")
}
