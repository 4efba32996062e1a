//! Takes jobs and lets them go on.

use super::{Engine, EngineError, How, Submitted};
use crate::job::JobRuntime;
use crate::support::now;
use argiope_protocol::{JobId, JobSpec, JobState, PageKey};
use argiope_store::frontier::JobRecord;
use std::time::Duration;

/// Known pages offered at once for a recrawl.
const KNOWN_BATCH: usize = 500;
/// Between the look at a start window and the request's head lies less.
const STARTED_REST: Duration = Duration::from_millis(20);

impl Engine {
    /// Takes a job. The same crawl (`JobSpec::identity`) goes on when it is unfinished, and is crawled again
    /// when it has ended.
    ///
    /// # Errors
    /// When a pattern is not valid or the frontier does not answer.
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, EngineError> {
        let earlier = self.earlier(spec.identity()).await?;
        let unfinished = earlier.iter().rev().find(|job| matches!(job.state, JobState::Running | JobState::Paused));
        match unfinished {
            Some(job) => {
                self.context.stores.frontier.update_job(job.id, &spec).await?;
                self.begin(job.id, How::Resumed).await?;
                Ok(Submitted { job: job.id, how: How::Resumed })
            }
            None => self.make(JobId::from_uuid(uuid::Uuid::now_v7()), &spec, !earlier.is_empty()).await,
        }
    }

    /// Takes a job under an id of the caller's. When the id is there already, nothing is changed and [`How::Known`]
    /// answered: whoever did not hear the first answer may ask again, also after a restart.
    ///
    /// # Errors
    /// When a pattern is not valid or the frontier does not answer.
    pub async fn submit_as(&self, id: JobId, spec: JobSpec) -> Result<Submitted, EngineError> {
        match self.context.stores.frontier.job(id).await {
            Err(argiope_store::Error::UnknownJob(_)) => {
                let is_recrawl = !self.earlier(spec.identity()).await?.is_empty();
                self.make(id, &spec, is_recrawl).await
            }
            Err(error) => Err(error.into()),
            // Made by a call that broke off before its seeds were offered.
            Ok(job) if job.state == JobState::Running && self.context.jobs.get(id).is_none() => {
                self.begin(id, How::Resumed).await?;
                Ok(Submitted { job: id, how: How::Known })
            }
            Ok(_) => Ok(Submitted { job: id, how: How::Known }),
        }
    }

    /// Jobs that are the same crawl, oldest first.
    async fn earlier(&self, identity: [u8; 16]) -> Result<Vec<JobRecord>, EngineError> {
        let jobs = self.context.stores.frontier.jobs().await?;
        Ok(jobs.into_iter().filter(|job| job.spec.identity() == identity).collect())
    }

    async fn make(&self, id: JobId, spec: &JobSpec, is_recrawl: bool) -> Result<Submitted, EngineError> {
        JobRuntime::try_new(id, spec.clone(), Vec::new(), now()).map_err(EngineError::Patterns)?;
        self.context.stores.frontier.create_job(id, spec, now()).await?;
        let how = if is_recrawl { How::Recrawl } else { How::New };
        self.begin(id, how).await?;
        Ok(Submitted { job: id, how })
    }

    async fn begin(&self, id: JobId, how: How) -> Result<JobRecord, EngineError> {
        let record = self.context.stores.frontier.set_job_state(id, JobState::Running, now()).await?;
        self.context.register(&record).await?;
        self.context.offer_seeds(id, &record.spec).await?;
        if how == How::Recrawl {
            self.offer_known(id, &record.spec, record.spec.identity()).await?;
        }
        self.context.watch(id).await?;
        Ok(record)
    }

    /// Lets an unfinished job go on.
    ///
    /// # Errors
    /// When there is no such job or the frontier does not answer.
    pub async fn resume(&self, id: JobId) -> Result<JobRecord, EngineError> {
        self.begin(id, How::Resumed).await
    }

    /// Whether any job goes on: one is running, or has leases out.
    ///
    /// # Errors
    /// When the frontier does not answer.
    pub async fn is_working(&self) -> Result<bool, EngineError> {
        for id in self.context.jobs.ids() {
            let job = self.context.stores.frontier.job(id).await?;
            if job.state == JobState::Running || job.counters.leased > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pauses, resumes, ends or cancels a job. When it returns nothing of a job that does not run starts any more, on any
    /// node.
    ///
    /// # Errors
    /// When there is no such job or the frontier does not answer.
    pub async fn move_job(&self, id: JobId, state: JobState) -> Result<JobRecord, EngineError> {
        if state == JobState::Running {
            return self.resume(id).await;
        }
        let record = self.context.stores.frontier.set_job_state(id, state, now()).await?;
        self.context.jobs.stop(id);
        if let Some(peers) = self.frontier.peers() {
            peers.job_moved(id).await;
        }
        // A request whose window was found open just before has written its head by then.
        tokio::time::sleep(STARTED_REST).await;
        Ok(record)
    }

    /// Another node changed the state of a job: unless it runs, nothing of it starts here any more.
    ///
    /// # Errors
    /// When the frontier does not answer.
    pub async fn job_moved(&self, id: JobId) -> Result<(), EngineError> {
        if self.context.stores.frontier.job(id).await?.state != JobState::Running {
            self.context.jobs.stop(id);
        }
        Ok(())
    }

    /// Pages that earlier crawls of the same job stored are checked again, also when nothing links to them now.
    async fn offer_known(&self, id: JobId, spec: &JobSpec, identity: [u8; 16]) -> Result<(), EngineError> {
        let Some(job) = self.context.jobs.get(id) else { return Ok(()) };
        let filter = job.filter();
        let mut after: Option<PageKey> = None;
        loop {
            let batch = self.context.stores.frontier.known_pages(&spec.tenant, identity, after, KNOWN_BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = Some(*last);
            let known = batch.into_iter().map(|(_, candidate)| candidate);
            let allowed = known.filter(|known| filter.check(&known.url, known.depth, known.source).is_ok());
            self.context.offer(id, allowed.collect()).await?;
        }
    }
}
