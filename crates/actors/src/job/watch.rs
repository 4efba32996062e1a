//! Makes jobs known to the stages, and starts who watches their ledgers.

use super::actor::{JobActor, JobArguments};
use super::runtime::{JobRuntime, Jobs};
use crate::config::Stores;
use crate::event::Event;
use crate::frontier::Frontier;
use crate::supervisor::{Child, SupervisorMessage};
use argiope_content::filter::InvalidPattern;
use argiope_protocol::{Candidate, JobId, JobSpec};
use argiope_store::frontier::{JobRecord, RejectTally};
use ractor::ActorRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// What jobs need. Cheap to clone.
#[derive(Clone)]
pub struct JobContext {
    /// The running jobs.
    pub jobs: Jobs,
    /// The stores.
    pub stores: Stores,
    /// Where seeds are offered.
    pub frontier: Frontier,
    /// Who keeps the watchers.
    pub supervisor: ActorRef<SupervisorMessage>,
    /// Where progress is told.
    pub events: broadcast::Sender<Event>,
    /// How often a ledger is read.
    pub look_every: Duration,
    /// Whether other nodes store pages too.
    pub is_shared: bool,
}

/// Why a job is not known.
#[derive(Debug)]
pub enum JobError {
    /// Its patterns are no regular expressions.
    Patterns(Vec<InvalidPattern>),
    /// A store did not answer.
    Store(argiope_store::Error),
    /// Nobody can be started to watch it.
    Watch(String),
}

impl From<argiope_store::Error> for JobError {
    fn from(error: argiope_store::Error) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Patterns(patterns) => write!(f, "{} of the scope's patterns are not valid", patterns.len()),
            Self::Store(error) => error.fmt(f),
            Self::Watch(why) => write!(f, "the job's watcher does not start: {why}"),
        }
    }
}

impl JobContext {
    /// Makes a running job known to the stages.
    ///
    /// # Errors
    /// When its patterns are not valid or the pages do not answer.
    pub async fn register(&self, record: &JobRecord) -> Result<(), JobError> {
        let runtime = JobRuntime::try_new(record.id, record.spec.clone(), record.anchors.clone(), record.created_at)
            .map_err(JobError::Patterns)?;
        let knows_nothing = !self.is_shared && self.stores.pages.scan(&record.spec.tenant, None, 1).await?.is_empty();
        let runtime = if knows_nothing { runtime.without_known_pages() } else { runtime };
        let earlier = self.jobs.get(record.id).filter(|earlier| !earlier.is_stopped());
        self.jobs.insert(Arc::new(match earlier {
            Some(earlier) => runtime.in_place_of(&earlier),
            None => runtime,
        }));
        Ok(())
    }

    /// Seeds are offered at every start: a kill between the job's making and its first offer must not lose them.
    ///
    /// # Errors
    /// When the frontier does not take them.
    pub async fn offer_seeds(&self, job: JobId, spec: &JobSpec) -> Result<(), JobError> {
        self.offer(job, spec.seeds.iter().cloned().map(Candidate::seed).collect()).await?;
        spec.seeds.iter().for_each(|seed| self.frontier.ready(&seed.host()));
        Ok(())
    }

    /// Offers URLs to a job.
    ///
    /// # Errors
    /// When the frontier does not take them.
    pub async fn offer(&self, job: JobId, candidates: Vec<Candidate>) -> Result<(), JobError> {
        let Some(first) = candidates.first() else { return Ok(()) };
        let host = first.url.host();
        self.frontier.admit(job, &host, candidates, RejectTally::default()).await?;
        Ok(())
    }

    /// Watches a job's ledger until it ends, unless somebody here does already.
    ///
    /// # Errors
    /// When the watcher does not start.
    pub async fn watch(&self, id: JobId) -> Result<(), JobError> {
        if !self.jobs.watch_once(id) {
            return Ok(());
        }
        let JobContext { jobs, stores, events, look_every, .. } = self.clone();
        let arguments = JobArguments { id, store: stores.frontier, jobs, events, look_every };
        let child = Child::new("job", || JobActor, arguments, |_| ()).that_may_end();
        let started = child.start(&self.supervisor).await;
        if started.is_err() {
            self.jobs.unwatch(id);
        }
        started.map_err(JobError::Watch)
    }
}
