//! What commands ask of a data directory: answered by the process that holds it, a running crawl or the command itself.

use super::verify::{self, Findings};
use super::{Found, Question, Stores, find_job, now};
use crate::api::{PagePart, PageView, page};
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_actors::Engine;
use argiope_protocol::{CanonicalUrl, ErrorCode, JobId, JobState, PageKey, PageRecord, RejectReason};
use argiope_store::frontier::{JobRecord, UrlEntry, UrlFilter};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages looked at for one answer.
pub(crate) const MAX_PAGES: usize = 200;
/// An answer is full when its Markdown and links have this many bytes: a page more makes at most twice its bound.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Answers, on open stores.
#[derive(Clone)]
pub(crate) struct Service {
    pub(super) config: Config,
    pub(super) stores: Stores,
    pub(super) engine: Option<Arc<Engine>>,
    /// Held while a job is taken.
    pub(super) intake: Arc<tokio::sync::Mutex<()>>,
}

impl Service {
    /// Beside the engine that works on the stores.
    pub(crate) fn of_crawl(config: &Config, stores: &Stores, engine: &Arc<Engine>) -> Self {
        Self {
            config: config.clone(),
            stores: stores.clone(),
            engine: Some(Arc::clone(engine)),
            intake: Arc::default(),
        }
    }

    /// Of a command that opens the stores itself.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        Ok(Self { config: config.clone(), stores: Stores::open(config).await?, engine: None, intake: Arc::default() })
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
        match &self.engine {
            Some(engine) => engine.move_job(job.id, state).await.map_err(super::running::failed),
            None => Ok(self.stores.frontier.set_job_state(job.id, state, now()).await?),
        }
    }

    /// Lets a job go on in the running crawl.
    ///
    /// # Errors
    /// `AR0007` when the job has ended.
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
        self.working_engine()?.resume(job).await.map_err(super::running::failed)
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

    /// Pages of a job in key order, after `after`, at most `limit` and fewer when they are large; without a `next` it
    /// is the end.
    pub(crate) async fn pages(
        &self,
        job: JobId,
        after: Option<PageKey>,
        limit: usize,
        has_markdown: bool,
    ) -> Result<PagePart> {
        let tenant = self.stores.frontier.job(job).await?.spec.tenant;
        let mut part = PagePart::default();
        let mut n_bytes = 0;
        for (key, _) in self.urls(job, UrlFilter::Pages, after, limit.min(MAX_PAGES)).await? {
            part.next = Some(page::cursor(&key));
            match self.stores.pages.record(&tenant, &key).await? {
                None => part.missing += 1,
                Some(record) => self.add_page(&mut part, &mut n_bytes, record, has_markdown).await?,
            }
            if n_bytes >= FULL_BYTES {
                break;
            }
        }
        Ok(part)
    }

    /// Pages of all jobs, as [`Service::pages`].
    pub(crate) async fn all_pages(&self, after: Option<PageKey>, limit: usize, has_markdown: bool) -> Result<PagePart> {
        let mut part = PagePart::default();
        let mut n_bytes = 0;
        for record in self.stores.pages.scan(&self.config.tenant, after, limit.min(MAX_PAGES)).await? {
            part.next = Some(page::cursor(&record.key));
            self.add_page(&mut part, &mut n_bytes, record, has_markdown).await?;
            if n_bytes >= FULL_BYTES {
                break;
            }
        }
        Ok(part)
    }

    /// The page that is stored under a URL.
    pub(crate) async fn page(&self, url: &CanonicalUrl, has_markdown: bool) -> Result<Option<PageView>> {
        let Some(record) = self.stores.pages.record(&self.config.tenant, &PageKey::of(url)).await? else {
            return Ok(None);
        };
        let mut part = PagePart::default();
        self.add_page(&mut part, &mut 0, record, has_markdown).await?;
        Ok(part.items.pop())
    }

    async fn add_page(
        &self,
        part: &mut PagePart,
        n_bytes: &mut usize,
        record: PageRecord,
        has_markdown: bool,
    ) -> Result<()> {
        let markdown = match has_markdown {
            true => Some(self.stores.pages.markdown(&record.tenant, &record.key).await?.unwrap_or_default()),
            false => None,
        };
        *n_bytes += markdown.as_ref().map_or(0, String::len);
        *n_bytes += record.outlinks.iter().map(|url| url.as_str().len()).sum::<usize>();
        part.items.push(PageView::new(record, markdown));
        Ok(())
    }

    /// Whether some job runs, or has leases out.
    async fn is_crawled(&self) -> Result<bool> {
        let jobs = self.stores.frontier.jobs().await?;
        Ok(jobs.iter().any(|job| job.state == JobState::Running || job.counters.leased > 0))
    }

    /// Beside a running crawl only what holds at every instant of it is compared, and nothing is removed.
    pub(crate) async fn verify(&self, keep: bool) -> Result<Findings> {
        match self.engine {
            Some(_) => verify::compare_ledger(&self.stores).await,
            // Nodes elsewhere may be between two writes of a page.
            None if self.stores.shared.is_some() && self.is_crawled().await? => {
                verify::compare_ledger(&self.stores).await
            }
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
/// `AR0007`.
pub(crate) fn check_unended(job: &JobRecord) -> Result<()> {
    if matches!(job.state, JobState::Running | JobState::Paused) { Ok(()) } else { Err(ended(job)) }
}

/// The job stays as it is.
pub(crate) fn ended(job: &JobRecord) -> CliError {
    CliError::new(ErrorCode::JobEnded, format!("job {} is {} and stays so", job.id, job.state.code()))
}
