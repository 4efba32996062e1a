//! Starts the stages, bottom up, and the 256 shards.

use super::cluster::send;
use super::{Engine, EngineError};
use crate::config::{ClusterConfig, EngineConfig, Stores};
use crate::embedder::{EmbedStage, SharedEmbedder};
use crate::fetcher::{BYTES_A_STEP, Fetcher};
use crate::flow::{EmbedTask, FetchTask, ParseTask, WriteTask};
use crate::frontier::ownership::{
    EpochFloor, Ownership, OwnershipArguments, OwnershipMessage, ShardContext, start_shard,
};
use crate::frontier::{Frontier, LeaseLives, LivesArguments, Orders, RobotsCache, TurnContext};
use crate::job::{JobContext, JobKeeper, Jobs, KeeperArguments};
use crate::parser::Parser;
use crate::supervisor::{Child, Supervisor, SupervisorArguments, Watched};
use crate::support::stage::{Stage, StageActor};
use crate::support::tasks::{self, TaskKind};
use crate::support::{CpuPool, Edge, Route, StoreWait, now};
use crate::writer::Writer;
use argiope_egress::GuardedClient;
use argiope_protocol::credit::Amount;
use argiope_protocol::{Epoch, JobState, Role, ShardId};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use ractor::{Actor, ActorRef};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Facts kept for a slow listener; older ones are lost to it.
const EVENTS_KEPT: usize = 4_096;
/// How often the ledger of a job is read where that is a read of one record.
const LOOK_EVERY_ALONE: Duration = Duration::from_millis(100);
/// Pages between parser and writer at once.
const MAX_PAGES_IN_FLIGHT: u32 = 256;

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
        let look_every = config.cluster.as_ref().map_or(LOOK_EVERY_ALONE, |cluster| cluster.look_every);
        let context = JobContext {
            jobs: Jobs::default(),
            stores,
            frontier: frontier.clone(),
            supervisor,
            events,
            look_every,
            is_shared: config.cluster.is_some(),
        };
        let orders = Orders {
            frontier: frontier.clone(),
            jobs: context.jobs.clone(),
            fetch: routes.fetch.clone(),
            window: config.start_window,
        };
        let draining = Arc::default();
        let embedder = Arc::new(SharedEmbedder::new(
            Arc::clone(&config.embedder),
            config.has_role(Role::Embed),
            frontier.clone(),
            StoreWait::new(frontier.clone(), Arc::clone(&draining)),
            config.metrics.clone(),
        ));
        let engine = Self {
            frontier,
            context,
            ownership: Arc::default(),
            orders,
            embedder,
            draining,
            edges: routes.edges(),
            counters,
        };
        engine.start_stages(&config, &routes, &client).await?;
        engine.start_lives(&config).await?;
        match config.cluster.clone() {
            None => engine.start_alone(&config, &routes, client).await?,
            Some(cluster) => engine.start_in_cluster(&config, cluster, &routes, client).await?,
        }
        Ok(engine)
    }

    /// This node owns everything, and works on the jobs that were left running.
    async fn start_alone(
        &self,
        config: &EngineConfig,
        routes: &Routes,
        client: Arc<GuardedClient>,
    ) -> Result<(), EngineError> {
        let mut running = self.context.stores.frontier.jobs().await?;
        running.retain(|record| record.state == JobState::Running);
        // Known before the first lease, watched after their seeds are offered again: a job without URLs ends.
        for record in &running {
            self.context.register(record).await?;
        }
        let shards = self.shard_context(config, routes, client);
        let floor = self.epoch_floor().await?;
        self.claim_all(config, &shards, &floor).await?;
        self.start_ownership(config, shards, floor, false).await?;
        for record in &running {
            self.context.offer_seeds(record.id, &record.spec).await?;
            self.context.watch(record.id).await?;
        }
        Ok(())
    }

    /// This node owns what it is given, and works on the jobs that others take too.
    async fn start_in_cluster(
        &self,
        config: &EngineConfig,
        cluster: ClusterConfig,
        routes: &Routes,
        client: Arc<GuardedClient>,
    ) -> Result<(), EngineError> {
        let shards = self.shard_context(config, routes, client);
        self.start_ownership(config, shards, self.epoch_floor().await?, true).await?;
        let watches = cluster.roles.contains(&Role::Control);
        let arguments = KeeperArguments { context: self.context.clone(), watches };
        self.start_child(Child::new("jobs", || JobKeeper, arguments, |_| ())).await?;
        let (ownership, mut changes) = (Arc::clone(&self.ownership), cluster.changes);
        changes.mark_unchanged();
        tasks::spawn(TaskKind::Own, async move {
            while changes.changed().await.is_ok() {
                send(&ownership, OwnershipMessage::Void);
            }
        });
        Ok(())
    }

    async fn start_stages(
        &self,
        config: &EngineConfig,
        routes: &Routes,
        client: &Arc<GuardedClient>,
    ) -> Result<(), EngineError> {
        let metrics = &config.metrics;
        let wait = StoreWait::new(self.frontier.clone(), Arc::clone(&self.draining));
        let pool = CpuPool::start("parser", config.parser_threads, config.concurrency.max(16) as usize)
            .map_err(|error| EngineError::Stage { stage: Parser::NAME, why: error.to_string() })?;
        self.start_stage(
            "write",
            &routes.write,
            config,
            Writer { stores: self.context.stores.clone(), metrics: metrics.clone(), wait: wait.clone() },
        )
        .await?;
        self.start_stage(
            "embed",
            &routes.embed,
            config,
            EmbedStage {
                embedder: self.embedder.clone(),
                vectors: Arc::clone(&self.context.stores.vectors),
                write: routes.write.clone(),
                wait,
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
                stores: self.context.stores.clone(),
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
        let lead = move |actor: &ActorRef<S::Task>| route.lead_to(actor.clone());
        self.start_child(Child::new(S::NAME, StageActor::<S>::default, stage, lead).watched(watched)).await
    }

    async fn start_lives(&self, config: &EngineConfig) -> Result<(), EngineError> {
        let arguments = LivesArguments { frontier: self.frontier.clone(), visibility: config.visibility };
        self.start_child(Child::new("leases", || LeaseLives, arguments, |_| ())).await
    }

    fn shard_context(&self, config: &EngineConfig, routes: &Routes, client: Arc<GuardedClient>) -> ShardContext {
        let turns = TurnContext {
            frontier: self.frontier.clone(),
            jobs: self.context.jobs.clone(),
            fetch: routes.fetch.clone(),
            robots: RobotsCache::new(client, &config.robots_token, config.start_window),
            rate: config.max_requests_per_sec.and_then(per_second),
            window: config.start_window,
            visibility: config.visibility,
            fetches: config.has_role(Role::Fetch),
            draining: Arc::clone(&self.draining),
            offered: Arc::default(),
        };
        let reload_every = config.cluster.as_ref().map(|cluster| cluster.reload_every);
        ShardContext { turns, n_active: Arc::default(), max_active: config.max_active_domains, reload_every }
    }

    async fn epoch_floor(&self) -> Result<EpochFloor, EngineError> {
        Ok(EpochFloor::read(Arc::clone(&self.context.stores.pages)).await?)
    }

    async fn claim_all(
        &self,
        config: &EngineConfig,
        shards: &ShardContext,
        floor: &EpochFloor,
    ) -> Result<(), EngineError> {
        let store = &self.context.stores.frontier;
        // At once, so that the store makes few commits of them. Each shard has an owner before the first one is crawled.
        let claim = async |shard: ShardId| {
            let least = floor.least(Epoch::default());
            let claim = store.claim(shard, &config.node, config.claim_ttl, least, now()).await?;
            let claim = claim.ok_or(argiope_store::Error::Fenced(shard))?;
            floor.cover(claim.epoch).await.map(|()| claim)
        };
        for claim in futures_util::future::try_join_all(ShardId::all().map(claim)).await? {
            self.frontier.own(claim, None);
        }
        let starts = ShardId::all().map(|shard| start_shard(&self.context.supervisor, shard, shards));
        let started = futures_util::future::try_join_all(starts).await;
        started.map(drop).map_err(|why| EngineError::Stage { stage: "shard", why })
    }

    async fn start_ownership(
        &self,
        config: &EngineConfig,
        shards: ShardContext,
        floor: EpochFloor,
        is_shared: bool,
    ) -> Result<(), EngineError> {
        let arguments = OwnershipArguments {
            node: config.node.clone(),
            ttl: config.claim_ttl,
            is_shared,
            supervisor: self.context.supervisor.clone(),
            floor,
            shards,
        };
        let route = Arc::clone(&self.ownership);
        let lead = move |actor: &ActorRef<OwnershipMessage>| {
            *route.write().unwrap_or_else(PoisonError::into_inner) = Some(actor.clone());
        };
        self.start_child(Child::new("ownership", || Ownership, arguments, lead)).await
    }

    async fn start_child(&self, child: Child) -> Result<(), EngineError> {
        let stage = child.name();
        child.start(&self.context.supervisor).await.map_err(|why| EngineError::Stage { stage, why })
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
