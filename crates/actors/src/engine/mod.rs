//! The handle that a program holds: starts the stages on open stores, takes jobs, drains.

mod cluster;
mod jobs;
mod look;
mod start;

use crate::embedder::SharedEmbedder;
use crate::event::Event;
use crate::frontier::ownership::OwnershipMessage;
use crate::frontier::{Frontier, Orders};
use crate::job::{JobContext, JobError};
use crate::support::Edge;
use argiope_content::filter::InvalidPattern;
use argiope_egress::{BuildError, EgressCounters};
use argiope_protocol::JobId;
use argiope_store::frontier::JobRecord;
use ractor::ActorRef;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Why an engine does not start or take a job.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The egress client cannot be built.
    #[error("egress: {0}")]
    Egress(#[from] BuildError),
    /// A store does not answer.
    #[error(transparent)]
    Store(#[from] argiope_store::Error),
    /// Patterns of a job's scope are no regular expressions.
    #[error("{} of the scope's patterns are not valid", .0.len())]
    Patterns(Vec<InvalidPattern>),
    /// A stage does not start.
    #[error("{stage} does not start: {why}")]
    Stage {
        /// Which one.
        stage: &'static str,
        /// What it said.
        why: String,
    },
}

impl From<JobError> for EngineError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Patterns(patterns) => Self::Patterns(patterns),
            JobError::Store(error) => Self::Store(error),
            JobError::Watch(why) => Self::Stage { stage: "job", why },
        }
    }
}

/// How a submitted job relates to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nothing like it was there.
    New,
    /// An unfinished job goes on.
    Resumed,
    /// A finished job is crawled again: what did not change is neither fetched whole nor embedded.
    Recrawl,
    /// It was there under this id: nothing was changed.
    Known,
}

impl How {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Resumed => "resumed",
            Self::Recrawl => "recrawl",
            Self::Known => "known",
        }
    }
}

/// A job that the engine works on.
#[derive(Debug, Clone, Copy)]
pub struct Submitted {
    /// Its id.
    pub job: JobId,
    /// How it came to be.
    pub how: How,
}

/// What a drain left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Items still between stages when the deadline came; they are fetched again.
    pub n_left: u32,
}

/// The actor that claims shards, which may be a new one after a restart.
type OwnershipRoute = Arc<RwLock<Option<ActorRef<OwnershipMessage>>>>;

/// The running crawl of this node.
pub struct Engine {
    frontier: Frontier,
    context: JobContext,
    ownership: OwnershipRoute,
    orders: Orders,
    embedder: Arc<SharedEmbedder>,
    draining: Arc<AtomicBool>,
    edges: Vec<Edge>,
    counters: Arc<EgressCounters>,
}

impl Engine {
    /// What the engine tells from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.context.events.subscribe()
    }

    /// A job's record.
    ///
    /// # Errors
    /// When there is no such job or the frontier does not answer.
    pub async fn job(&self, id: JobId) -> Result<JobRecord, EngineError> {
        Ok(self.context.stores.frontier.job(id).await?)
    }

    /// What the egress client counted.
    #[must_use]
    pub const fn egress_counters(&self) -> &Arc<EgressCounters> {
        &self.counters
    }

    /// Counts the queued URLs of each shard anew, for their gauges. It reads what it counts, so that it costs more the
    /// more hosts have something queued: the caller decides how often.
    ///
    /// # Errors
    /// When the frontier does not answer.
    pub async fn measure_queues(&self) -> Result<(), EngineError> {
        Ok(self.frontier.measure_queues().await?)
    }

    /// Takes no more leases, and waits until what is under way is settled or the deadline comes.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        self.draining.store(true, Ordering::Relaxed);
        let until = Instant::now() + deadline;
        loop {
            let n_left = self.edges.iter().map(|edge| edge.in_flight().items).sum();
            if n_left == 0 || Instant::now() >= until {
                self.context.supervisor.stop(Some("drained".to_owned()));
                return DrainReport { n_left };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
