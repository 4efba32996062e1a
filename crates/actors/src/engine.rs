//! The handle that a program holds: starts the stages on open stores, takes jobs, drains.

use crate::config::{EngineConfig, Stores};
use crate::embedder::EmbedStage;
use crate::event::Event;
use crate::fetcher::{BYTES_A_STEP, Fetcher};
use crate::flow::{EmbedTask, FetchTask, ParseTask, WriteTask};
use crate::frontier::{Frontier, RobotsCache, ShardActor, ShardArguments, TurnContext};
use crate::job::{JobActor, JobArguments, JobRuntime, Jobs};
use crate::parser::Parser;
use crate::supervisor::{Child, Starter, Supervisor, SupervisorArguments, SupervisorMessage, Watched};
use crate::support::stage::{Stage, StageActor};
use crate::support::{CpuPool, Edge, Route, now};
use crate::writer::Writer;
use argiope_content::filter::InvalidPattern;
use argiope_egress::{BuildError, EgressCounters, GuardedClient};
use argiope_protocol::credit::Amount;
use argiope_protocol::{Candidate, JobId, JobSpec, JobState, PageKey, ShardId};
use argiope_store::frontier::{JobRecord, RejectTally};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use ractor::{Actor, ActorRef, call_t};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Facts kept for a slow listener; older ones are lost to it.
const EVENTS_KEPT: usize = 4_096;
/// Longest a child's start may take.
const START_DEADLINE_MS: u64 = 30_000;
/// Known pages offered at once for a recrawl.
const KNOWN_BATCH: usize = 500;
/// Pages between parser and writer at once.
const MAX_PAGES_IN_FLIGHT: u32 = 256;

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

/// How a submitted job relates to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nothing like it was there.
    New,
    /// An unfinished job goes on.
    Resumed,
    /// A finished job is crawled again: what did not change is neither fetched whole nor embedded.
    Recrawl,
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

/// The running crawl of this node.
pub struct Engine {
    frontier: Frontier,
    stores: Stores,
    jobs: Jobs,
    supervisor: ActorRef<SupervisorMessage>,
    events: broadcast::Sender<Event>,
    draining: Arc<AtomicBool>,
    edges: Vec<Edge>,
    counters: Arc<EgressCounters>,
}

/// The ways between the stages.
struct Routes {
    fetch: Route<FetchTask>,
    parse: Route<ParseTask>,
    embed: Route<EmbedTask>,
    write: Route<WriteTask>,
}

impl Routes {
    fn new(config: &EngineConfig) -> Self {
        let edge = |name, items, bytes| Edge::new(Amount { items, bytes }, config.metrics.edge(name));
        Self {
            fetch: Route::new(edge("fetch", config.concurrency, u64::MAX)),
            parse: Route::new(edge("parse", config.concurrency.max(16), config.max_parse_bytes)),
            embed: Route::new(edge("embed", MAX_PAGES_IN_FLIGHT, config.max_write_bytes)),
            write: Route::new(edge("write", MAX_PAGES_IN_FLIGHT, config.max_write_bytes)),
        }
    }

    fn edges(&self) -> Vec<Edge> {
        vec![self.fetch.edge().clone(), self.parse.edge().clone(), self.embed.edge().clone(), self.write.edge().clone()]
    }
}

impl Engine {
    /// Starts all stages and claims all shards. Jobs in state `Running` go on.
    ///
    /// # Errors
    /// When the client cannot be built, a store does not answer, or a stage does not start.
    pub async fn start(config: EngineConfig, stores: Stores) -> Result<Self, EngineError> {
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let client = Arc::new(GuardedClient::try_new(config.egress.clone())?);
        let counters = Arc::clone(client.counters());
        let frontier = Frontier::new(Arc::clone(&stores.frontier), config.metrics.clone(), events.clone());
        let arguments = SupervisorArguments {
            metrics: config.metrics.clone(),
            events: events.clone(),
            stuck_after: config.stuck_after,
        };
        let (supervisor, _) = Actor::spawn(None, Supervisor, arguments)
            .await
            .map_err(|error| EngineError::Stage { stage: "supervisor", why: error.to_string() })?;
        let routes = Routes::new(&config);
        let engine = Self {
            frontier,
            stores,
            jobs: Jobs::default(),
            supervisor,
            events,
            draining: Arc::default(),
            edges: routes.edges(),
            counters,
        };
        engine.start_stages(&config, &routes, &client).await?;
        let mut running = engine.stores.frontier.jobs().await?;
        running.retain(|record| record.state == JobState::Running);
        // Known before the first lease, watched after their seeds are offered again: a job without URLs ends.
        running.iter().try_for_each(|record| engine.register(record).map(drop))?;
        engine.start_shards(&config, &routes, client).await?;
        for record in &running {
            engine.offer_seeds(record.id, &record.spec).await?;
            engine.watch(record.id).await?;
        }
        Ok(engine)
    }

    async fn start_stages(
        &self,
        config: &EngineConfig,
        routes: &Routes,
        client: &Arc<GuardedClient>,
    ) -> Result<(), EngineError> {
        let metrics = &config.metrics;
        let pool = CpuPool::start("parser", config.parser_threads, config.concurrency.max(16) as usize)
            .map_err(|error| EngineError::Stage { stage: Parser::NAME, why: error.to_string() })?;
        self.start_stage(
            "write",
            &routes.write,
            config,
            Writer {
                stores: self.stores.clone(),
                frontier: self.frontier.clone(),
                metrics: metrics.clone(),
                is_held: AtomicBool::new(false),
                draining: Arc::clone(&self.draining),
            },
        )
        .await?;
        self.start_stage(
            "embed",
            &routes.embed,
            config,
            EmbedStage {
                embedder: Arc::clone(&config.embedder),
                vectors: Arc::clone(&self.stores.vectors),
                write: routes.write.clone(),
                metrics: metrics.clone(),
            },
        )
        .await?;
        self.start_stage(
            "parse",
            &routes.parse,
            config,
            Parser {
                pool,
                frontier: self.frontier.clone(),
                embedder: Arc::clone(&config.embedder),
                robots_token: config.robots_token.as_str().into(),
                embed: routes.embed.clone(),
                write: routes.write.clone(),
                metrics: metrics.clone(),
            },
        )
        .await?;
        self.start_stage(
            "fetch",
            &routes.fetch,
            config,
            Fetcher {
                client: Arc::clone(client),
                frontier: self.frontier.clone(),
                stores: self.stores.clone(),
                parse: routes.parse.clone(),
                write: routes.write.clone(),
                byte_rate: config
                    .max_bytes_per_sec
                    .and_then(|rate| limiter(rate, u32::try_from(BYTES_A_STEP).unwrap_or(u32::MAX))),
                metrics: metrics.clone(),
            },
        )
        .await
    }

    async fn start_stage<S: Stage>(
        &self,
        edge: &'static str,
        route: &Route<S::Task>,
        config: &EngineConfig,
        stage: S,
    ) -> Result<(), EngineError> {
        let (route, stage) = (route.clone(), Arc::new(stage));
        let watched = Watched { edge: route.edge().clone(), metrics: config.metrics.edge(edge) };
        let starter: Starter = Box::new(move |supervisor| {
            let (route, stage) = (route.clone(), Arc::clone(&stage));
            Box::pin(async move {
                let (actor, _) = Actor::spawn_linked(None, StageActor::<S>::default(), stage, supervisor).await?;
                route.lead_to(actor.clone());
                Ok(actor.get_cell())
            })
        });
        self.start_child(Child { name: S::NAME, starter, watched: Some(watched), may_end: false }).await
    }

    async fn start_shards(
        &self,
        config: &EngineConfig,
        routes: &Routes,
        client: Arc<GuardedClient>,
    ) -> Result<(), EngineError> {
        let context = TurnContext {
            frontier: self.frontier.clone(),
            jobs: self.jobs.clone(),
            fetch: routes.fetch.clone(),
            robots: RobotsCache::new(client, &config.robots_token, config.start_window),
            rate: config.max_requests_per_sec.and_then(per_second),
            window: config.start_window,
            visibility: config.visibility,
            draining: Arc::clone(&self.draining),
            offered: Arc::default(),
        };
        let n_active = Arc::new(AtomicUsize::new(0));
        let starts = ShardId::all().map(|shard| {
            let (context, n_active, node) = (context.clone(), Arc::clone(&n_active), config.node.clone());
            let (ttl, max_active) = (config.claim_ttl, config.max_active_domains);
            let starter: Starter = Box::new(move |supervisor| {
                let (context, n_active, node) = (context.clone(), Arc::clone(&n_active), node.clone());
                let arguments = ShardArguments { shard, node, ttl, context, n_active, max_active };
                Box::pin(async move {
                    let (actor, _) = Actor::spawn_linked(None, ShardActor, arguments, supervisor).await?;
                    Ok(actor.get_cell())
                })
            });
            self.start_child(Child { name: "shard", starter, watched: None, may_end: false })
        });
        futures_util::future::try_join_all(starts).await.map(drop)
    }

    async fn start_child(&self, child: Child) -> Result<(), EngineError> {
        let stage = child.name;
        let outcome = call_t!(self.supervisor, SupervisorMessage::Start, START_DEADLINE_MS, child);
        let started = outcome.map_err(|error| EngineError::Stage { stage, why: error.to_string() })?;
        started.map_err(|why| EngineError::Stage { stage, why })
    }

    /// Takes a job. The same crawl (`JobSpec::identity`) goes on when it is unfinished, and is crawled again
    /// when it has ended.
    ///
    /// # Errors
    /// When a pattern is not valid or the frontier does not answer.
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, EngineError> {
        let identity = spec.identity();
        let earlier: Vec<JobRecord> =
            self.stores.frontier.jobs().await?.into_iter().filter(|job| job.spec.identity() == identity).collect();
        let unfinished = earlier.iter().rev().find(|job| matches!(job.state, JobState::Running | JobState::Paused));
        let (id, how) = match unfinished {
            Some(job) => (job.id, How::Resumed),
            None if earlier.is_empty() => (JobId::from_uuid(uuid::Uuid::now_v7()), How::New),
            None => (JobId::from_uuid(uuid::Uuid::now_v7()), How::Recrawl),
        };
        if how == How::Resumed {
            self.stores.frontier.update_job(id, &spec).await?;
        } else {
            JobRuntime::try_new(id, spec.clone(), Vec::new(), now()).map_err(EngineError::Patterns)?;
            self.stores.frontier.create_job(id, &spec, now()).await?;
        }
        let record = self.stores.frontier.set_job_state(id, JobState::Running, now()).await?;
        let is_watched = self.register(&record)?;
        self.offer_seeds(id, &spec).await?;
        if how == How::Recrawl {
            self.offer_known(id, &spec, identity).await?;
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
        let is_watched = self.register(&record)?;
        self.offer_seeds(id, &record.spec).await?;
        if !is_watched {
            self.watch(id).await?;
        }
        Ok(record)
    }

    /// Makes a running job known to the stages. Answers whether it was known already.
    fn register(&self, record: &JobRecord) -> Result<bool, EngineError> {
        let is_known = self.jobs.get(record.id).is_some();
        let runtime = JobRuntime::try_new(record.id, record.spec.clone(), record.anchors.clone(), record.created_at)
            .map_err(EngineError::Patterns)?;
        self.jobs.insert(Arc::new(runtime));
        Ok(is_known)
    }

    /// Watches a job's ledger until it ends.
    async fn watch(&self, id: JobId) -> Result<(), EngineError> {
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
    async fn offer_seeds(&self, job: JobId, spec: &JobSpec) -> Result<(), EngineError> {
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

    /// What the engine tells from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// A job's record.
    ///
    /// # Errors
    /// When there is no such job or the frontier does not answer.
    pub async fn job(&self, id: JobId) -> Result<JobRecord, EngineError> {
        Ok(self.stores.frontier.job(id).await?)
    }

    /// What the egress client counted.
    #[must_use]
    pub const fn egress_counters(&self) -> &Arc<EgressCounters> {
        &self.counters
    }

    /// Takes no more leases, and waits until what is under way is settled or the deadline comes.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        self.draining.store(true, Ordering::Relaxed);
        let until = Instant::now() + deadline;
        loop {
            let n_left = self.edges.iter().map(|edge| edge.in_flight().items).sum();
            if n_left == 0 || Instant::now() >= until {
                self.supervisor.stop(Some("drained".to_owned()));
                return DrainReport { n_left };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn limiter(per_sec: u32, burst: u32) -> Option<Arc<DefaultDirectRateLimiter>> {
    let quota = Quota::per_second(NonZeroU32::new(per_sec)?).allow_burst(NonZeroU32::new(burst.max(1))?);
    Some(Arc::new(RateLimiter::direct(quota)))
}

/// A limiter of starts, without bursts.
fn per_second(rate: f64) -> Option<Arc<DefaultDirectRateLimiter>> {
    let period = (rate.is_finite() && rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate))?;
    Some(Arc::new(RateLimiter::direct(Quota::with_period(period)?.allow_burst(NonZeroU32::MIN))))
}
