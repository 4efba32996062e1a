//! Asks whoever holds the data: a node, when one is named; else the crawl that runs in the data directory; else the
//! stores, opened here.

use super::{Answer, Request, ask};
use crate::api::PagePart;
use crate::boot::{self, Findings, Found, Question, Service};
use crate::client::Endpoint;
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobId, JobState, PageKey, RejectReason};
use argiope_store::frontier::{JobRecord, UrlEntry, UrlFilter};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A crawl that starts or ends holds the directory for a moment without answering.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A command's way to the data. A crawl that ends between two questions is no error: the stores are opened
/// then. A directory that is not there is not made.
pub(crate) struct Session {
    config: Config,
    here: Option<Service>,
    endpoint: Option<Endpoint>,
}

impl Session {
    /// Opens nothing yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), here: None, endpoint: None }
    }

    /// The node that was named instead of a data directory.
    fn endpoint(&mut self) -> Result<Option<Endpoint>> {
        if let (None, Some(client)) = (&self.endpoint, &self.config.client) {
            self.endpoint = Some(Endpoint::new(client)?);
        }
        Ok(self.endpoint.clone())
    }

    async fn ask(&mut self, request: Request) -> Result<Answer> {
        if let Some(endpoint) = self.endpoint()? {
            return endpoint.answer(request).await;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(service) = &self.here {
                return request.answer(service).await;
            }
            if let Some(answer) = ask(&self.config.data_dir, &request).await? {
                return Ok(answer);
            }
            match Service::open(&self.config).await {
                Ok(service) => self.here = Some(service),
                Err(error) if error.code == ErrorCode::DataDirLocked && Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether there is anything to ask; a node is always asked.
    fn has_data(&self) -> bool {
        self.config.client.is_some() || boot::has_data(&self.config)
    }

    /// All jobs, oldest first.
    pub(crate) async fn jobs(&mut self) -> Result<Vec<JobRecord>> {
        if !self.has_data() {
            return Ok(Vec::new());
        }
        match self.ask(Request::Jobs).await? {
            Answer::Jobs(jobs) => Ok(jobs),
            other => Err(other.unexpected()),
        }
    }

    /// The job that a user named.
    pub(crate) async fn job(&mut self, id: &str) -> Result<JobRecord> {
        self.one_job(id, Request::Job { id: id.to_owned() }).await
    }

    /// Pauses or cancels a job.
    pub(crate) async fn move_to(&mut self, id: &str, state: JobState) -> Result<JobRecord> {
        self.one_job(id, Request::Move { id: id.to_owned(), state }).await
    }

    async fn one_job(&mut self, id: &str, request: Request) -> Result<JobRecord> {
        if !self.has_data() {
            let place = self.config.data_dir.display();
            return Err(boot::unknown_job(id).because(format!("nothing was crawled into {place} yet")));
        }
        match self.ask(request).await? {
            Answer::Job(job) => Ok(*job),
            other => Err(other.unexpected()),
        }
    }

    /// URLs of a job in key order, after `after`.
    pub(crate) async fn urls(
        &mut self,
        job: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>> {
        match self.ask(Request::Urls { job, filter, after, limit }).await? {
            Answer::Urls(urls) => Ok(urls),
            other => Err(other.unexpected()),
        }
    }

    /// Samples of rejected links.
    pub(crate) async fn reject_samples(&mut self, job: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
        match self.ask(Request::RejectSamples { job }).await? {
            Answer::RejectSamples(samples) => Ok(samples.into_iter().collect()),
            other => Err(other.unexpected()),
        }
    }

    /// Pages of a job in key order, after `after`; without a `next` it is the end.
    pub(crate) async fn pages(&mut self, job: JobId, after: Option<PageKey>) -> Result<PagePart> {
        match self.ask(Request::Pages { job, after }).await? {
            Answer::Pages(pages) => Ok(pages),
            other => Err(other.unexpected()),
        }
    }

    /// Compares the stores.
    pub(crate) async fn verify(&mut self, keep: bool) -> Result<Findings> {
        if !self.has_data() {
            return Ok(Findings::default());
        }
        match self.ask(Request::Verify { keep }).await? {
            Answer::Verified(findings) => Ok(findings),
            other => Err(other.unexpected()),
        }
    }

    /// Asks the index. One on a server needs no data directory.
    pub(crate) async fn search(&mut self, question: Question) -> Result<Vec<Found>> {
        if !self.has_data() {
            return match boot::vectors_on_server(&self.config).await? {
                Some(vectors) => boot::search(&self.config, &vectors, question).await,
                None => Ok(Vec::new()),
            };
        }
        match self.ask(Request::Search(question)).await? {
            Answer::Hits(hits) => Ok(hits),
            other => Err(other.unexpected()),
        }
    }

    async fn ask_running(&mut self, request: Request) -> Result<Option<Answer>> {
        match self.endpoint()? {
            Some(endpoint) => endpoint.answer(request).await.map(Some),
            None => ask(&self.config.data_dir, &request).await,
        }
    }

    /// Lets a job go on in the crawl that runs; `None` when none runs.
    pub(crate) async fn resume(&mut self, id: &str) -> Result<Option<JobRecord>> {
        match self.ask_running(Request::Resume { id: id.to_owned() }).await? {
            None => Ok(None),
            Some(Answer::Job(job)) => Ok(Some(*job)),
            Some(other) => Err(other.unexpected()),
        }
    }

    /// Has the crawl that runs try a job's failed URLs again; `None` when none runs.
    pub(crate) async fn retry(&mut self, id: &str) -> Result<Option<(JobRecord, u64)>> {
        match self.ask_running(Request::Retry { id: id.to_owned() }).await? {
            None => Ok(None),
            Some(Answer::Retried { job, n_urls }) => Ok(Some((*job, n_urls))),
            Some(other) => Err(other.unexpected()),
        }
    }
}

impl Answer {
    fn unexpected(&self) -> CliError {
        CliError::new(ErrorCode::Internal, "the crawl that holds the data directory answered something else")
    }
}
