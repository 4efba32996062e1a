//! Takes jobs and lets them go on.

use super::{Engine, EngineError, How, Submitted};
use crate::job::{JobActor, JobArguments, JobRuntime};
use crate::supervisor::{Child, Starter};
use crate::support::now;
use argiope_protocol::{Candidate, JobId, JobSpec, JobState, PageKey};
use argiope_store::frontier::{JobRecord, RejectTally};
use ractor::Actor;
use std::sync::Arc;

/// Known pages offered at once for a recrawl.
const KNOWN_BATCH: usize = 500;

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
                self.stores.frontier.update_job(job.id, &spec).await?;
                self.begin(job.id, &spec, How::Resumed).await
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
        match self.stores.frontier.job(id).await {
            Err(argiope_store::Error::UnknownJob(_)) => {
                let is_recrawl = !self.earlier(spec.identity()).await?.is_empty();
                self.make(id, &spec, is_recrawl).await
            }
            Err(error) => Err(error.into()),
            // Made by a call that broke off before its seeds were offered.
            Ok(job) if job.state == JobState::Running && self.jobs.get(id).is_none() => {
                self.begin(id, &job.spec, How::Resumed).await?;
                Ok(Submitted { job: id, how: How::Known })
            }
            Ok(_) => Ok(Submitted { job: id, how: How::Known }),
        }
    }

    /// Jobs that are the same crawl, oldest first.
    async fn earlier(&self, identity: [u8; 16]) -> Result<Vec<JobRecord>, EngineError> {
        let jobs = self.stores.frontier.jobs().await?;
        Ok(jobs.into_iter().filter(|job| job.spec.identity() == identity).collect())
    }

    async fn make(&self, id: JobId, spec: &JobSpec, is_recrawl: bool) -> Result<Submitted, EngineError> {
        JobRuntime::try_new(id, spec.clone(), Vec::new(), now()).map_err(EngineError::Patterns)?;
        self.stores.frontier.create_job(id, spec, now()).await?;
        self.begin(id, spec, if is_recrawl { How::Recrawl } else { How::New }).await
    }

    async fn begin(&self, id: JobId, spec: &JobSpec, how: How) -> Result<Submitted, EngineError> {
        let record = self.stores.frontier.set_job_state(id, JobState::Running, now()).await?;
        let is_watched = self.register(&record).await?;
        self.offer_seeds(id, spec).await?;
        if how == How::Recrawl {
            self.offer_known(id, spec, spec.identity()).await?;
        }
        if !is_watched {
            self.watch(id).await?;
        }
        Ok(Submitted { job: id, how })
    }

    /// Lets an unfinished job go on.
    ///
    /// # Errors
    /// When there is no such job or the frontier does not answer.
    pub async fn resume(&self, id: JobId) -> Result<JobRecord, EngineError> {
        let record = self.stores.frontier.set_job_state(id, JobState::Running, now()).await?;
        let is_watched = self.register(&record).await?;
        self.offer_seeds(id, &record.spec).await?;
        if !is_watched {
            self.watch(id).await?;
        }
        Ok(record)
    }

    /// Whether any job goes on: one is running, or has leases out.
    ///
    /// # Errors
    /// When the frontier does not answer.
    pub async fn is_working(&self) -> Result<bool, EngineError> {
        for id in self.jobs.ids() {
            let job = self.stores.frontier.job(id).await?;
            if job.state == JobState::Running || job.counters.leased > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a running job known to the stages. Answers whether it was known already.
    pub(super) async fn register(&self, record: &JobRecord) -> Result<bool, EngineError> {
        let is_known = self.jobs.get(record.id).is_some();
        let runtime = JobRuntime::try_new(record.id, record.spec.clone(), record.anchors.clone(), record.created_at)
            .map_err(EngineError::Patterns)?;
        let is_first = self.stores.pages.scan(&record.spec.tenant, None, 1).await?.is_empty();
        self.jobs.insert(Arc::new(if is_first { runtime.without_known_pages() } else { runtime }));
        Ok(is_known)
    }

    /// Watches a job's ledger until it ends.
    pub(super) async fn watch(&self, id: JobId) -> Result<(), EngineError> {
        let (store, jobs, events) = (Arc::clone(&self.stores.frontier), self.jobs.clone(), self.events.clone());
        let starter: Starter = Box::new(move |supervisor| {
            let arguments = JobArguments { id, store: Arc::clone(&store), jobs: jobs.clone(), events: events.clone() };
            Box::pin(async move {
                let (actor, _) = Actor::spawn_linked(None, JobActor, arguments, supervisor).await?;
                Ok(actor.get_cell())
            })
        });
        self.start_child(Child { name: "job", starter, watched: None, may_end: true }).await
    }

    /// Seeds are offered at every start: a kill between the job's making and its first offer must not lose them.
    pub(super) async fn offer_seeds(&self, job: JobId, spec: &JobSpec) -> Result<(), EngineError> {
        self.offer(job, spec.seeds.iter().cloned().map(Candidate::seed).collect()).await?;
        spec.seeds.iter().for_each(|seed| self.frontier.ready(&seed.host()));
        Ok(())
    }

    async fn offer(&self, job: JobId, candidates: Vec<Candidate>) -> Result<(), EngineError> {
        let Some(first) = candidates.first() else { return Ok(()) };
        let host = first.url.host();
        self.frontier.admit(job, &host, candidates, RejectTally::default()).await?;
        Ok(())
    }

    /// Pages that earlier crawls of the same job stored are checked again, also when nothing links to them now.
    async fn offer_known(&self, id: JobId, spec: &JobSpec, identity: [u8; 16]) -> Result<(), EngineError> {
        let Some(job) = self.jobs.get(id) else { return Ok(()) };
        let filter = job.filter();
        let mut after: Option<PageKey> = None;
        loop {
            let batch = self.stores.frontier.known_pages(&spec.tenant, identity, after, KNOWN_BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = Some(*last);
            let known = batch.into_iter().map(|(_, candidate)| candidate);
            self.offer(id, known.filter(|known| filter.check(&known.url, known.depth, known.source).is_ok()).collect())
                .await?;
        }
    }
}
