//! A started engine, and its facts as JSON.

use super::addresses::SharedAddresses;
use super::{Service, Stores, embedder, outgoing::egress_config};
use crate::config::Config;
use crate::control::Server;
use crate::errors::{CliError, Result};
use crate::telemetry::{self, MetricsFile};
use argiope_actors::config::ClusterConfig;
use argiope_actors::metrics::Metrics;
use argiope_actors::{Engine, EngineConfig, EngineError, Event};
use argiope_egress::client::SharedGate;
use argiope_protocol::{ErrorCode, Fate, JobId, JobSpec, JobState};
use argiope_store::frontier::JobRecord;
use argiope_store::{AddressPlaces, Error as StoreError};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

pub(crate) use argiope_actors::Submitted;

/// How often a job's record is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the metrics file is replaced.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// Pause after counting the queues and writing, in times of what it took: with very many hosts that is still at most
/// 2 % of a core.
const REST_PER_COUNT: u32 = 50;

/// A started engine.
pub(crate) struct Running {
    /// Its stores.
    pub(crate) stores: Stores,
    /// What may be asked of it.
    pub(crate) service: Service,
    /// What it counts.
    pub(crate) registry: Arc<Registry>,
    engine: Arc<Engine>,
    events: Events,
    _control: Option<Server>,
    metrics_file: Option<MetricsFile>,
}

/// What an engine tells, as JSON.
pub(crate) struct Events(Receiver<Event>);

impl Running {
    /// Starts the engine on open stores.
    ///
    /// # Errors
    /// When a store or the embedder is not available.
    pub(crate) async fn start(config: &Config, stores: Stores) -> Result<Self> {
        if stores.shared.is_some() {
            return Err(CliError::new(ErrorCode::SharedStores, "the frontier is shared by the nodes of a cluster"));
        }
        Self::start_counting(config, stores, telemetry::registry(), config.metrics_file.is_some()).await
    }

    /// The same, with a registry in which others count too. Queues are counted when somebody reads them.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub(crate) async fn start_counting(
        config: &Config,
        stores: Stores,
        mut registry: Registry,
        counts_queues: bool,
    ) -> Result<Self> {
        let mut engine_config = EngineConfig::new(embedder(config)?, Metrics::register(&mut registry));
        engine_config.node = config.name.clone();
        engine_config.egress = egress_config(config)?;
        engine_config.concurrency = u32::from(config.crawl.concurrency);
        engine_config.max_requests_per_sec = config.crawl.max_rate;
        engine_config.visibility = config.frontier.visibility;
        engine_config.start_window = config.frontier.start_window;
        if let Some(shared) = &stores.shared {
            engine_config.claim_ttl = config.frontier.claim_ttl;
            let gate = SharedAddresses::new(Arc::clone(shared) as Arc<dyn AddressPlaces>, engine_config.egress.per_ip);
            engine_config.egress.gate = Some(SharedGate(Arc::new(gate)));
            engine_config.cluster = Some(ClusterConfig::new(shared.changes(), config.roles.clone()));
        }
        let engine = Arc::new(Engine::start(engine_config, stores.for_engine()).await.map_err(failed)?);
        registry.register_collector(Box::new(telemetry::Egress(Arc::clone(engine.egress_counters()))));
        let registry = Arc::new(registry);
        let events = Events::new(engine.subscribe());
        let metrics_file = config.metrics_file.as_ref().map(|path| MetricsFile::new(path));
        if counts_queues {
            let (file, registry, engine) = (metrics_file.clone(), Arc::clone(&registry), Arc::clone(&engine));
            drop(tokio::spawn(async move { keep_metrics(file.as_ref(), &registry, &engine).await }));
        }
        let service = Service::of_crawl(config, &stores, &engine);
        let control = Server::start(&config.data_dir, service.clone())
            .inspect_err(|error| tracing::warn!(%error, "other commands cannot reach this crawl"))
            .ok();
        Ok(Self { stores, service, registry, engine, events, _control: control, metrics_file })
    }

    /// The engine, for a node that joins others.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// Hands in a job.
    ///
    /// # Errors
    /// When a pattern is not valid or the frontier does not answer.
    pub(crate) async fn submit(&self, spec: JobSpec) -> Result<Submitted> {
        self.engine.submit(spec).await.map_err(failed)
    }

    /// As [`Events::next`].
    pub(crate) async fn next_events(&mut self) -> Option<Vec<Value>> {
        self.events.next().await
    }

    /// As [`Events::pending`].
    pub(crate) fn pending_events(&mut self) -> Vec<Value> {
        self.events.pending()
    }

    /// Waits until a stage failed so often that the engine gave up; answers which.
    pub(crate) fn given_up(&self) -> impl Future<Output = &'static str> + Send + 'static {
        let mut events = self.engine.subscribe();
        async move {
            loop {
                match events.recv().await {
                    Ok(Event::GaveUp { stage }) => return stage,
                    Err(RecvError::Closed) => return "supervisor",
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                }
            }
        }
    }

    /// Waits until neither the job nor any other that was resumed beside it goes on; independent of this value, so that
    /// events can be read meanwhile.
    pub(crate) fn waiter(&self, job: JobId) -> impl Future<Output = Result<JobRecord>> + Send + 'static {
        let (frontier, engine) = (Arc::clone(&self.stores.frontier), Arc::clone(&self.engine));
        let mut events = engine.subscribe();
        async move {
            loop {
                let record = frontier.job(job).await?;
                if is_over(&record) && !engine.is_working().await.map_err(failed)? {
                    return Ok(record);
                }
                if let Ok(Some(stage)) = tokio::time::timeout(LOOK_EVERY, until_telling(&mut events)).await {
                    return Err(CliError::new(ErrorCode::Internal, format!("{stage} failed again and again"))
                        .advise("the same command goes on where this one stopped; the log says what failed"));
                }
            }
        }
    }

    /// Stops taking work and waits for what is under way. Answers how many items were still out at the end.
    pub(crate) async fn drain(&self, deadline: Duration) -> u64 {
        let report = self.engine.drain(deadline).await;
        self.write_metrics().await;
        u64::from(report.n_left)
    }

    /// Writes the metrics file, when one is configured: the last numbers come after the last tick.
    pub(crate) async fn write_metrics(&self) {
        if self.metrics_file.is_some() {
            write_metrics(self.metrics_file.as_ref(), &self.registry, &self.engine).await;
        }
    }
}

impl Events {
    /// From a subscription.
    pub(crate) const fn new(events: Receiver<Event>) -> Self {
        Self(events)
    }

    /// The next events, each as one JSON object: waits for the first and takes those that are there by then. `None`
    /// when there are no more.
    ///
    /// # Cancel
    /// No event is lost: it is taken in the step that ends the future.
    pub(crate) async fn next(&mut self) -> Option<Vec<Value>> {
        let first = match self.0.recv().await {
            Ok(event) => to_json(&event),
            Err(RecvError::Lagged(n_lost)) => lagged(n_lost),
            Err(RecvError::Closed) => return None,
        };
        let mut events = vec![first];
        events.extend(self.pending());
        Some(events)
    }

    /// The events that are there without waiting.
    pub(crate) fn pending(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            match self.0.try_recv() {
                Ok(event) => events.push(to_json(&event)),
                Err(TryRecvError::Lagged(n_lost)) => events.push(lagged(n_lost)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return events,
            }
        }
    }
}

/// Waits for an event after which the ledgers are worth a look; answers which stage gave up, if one did. The other
/// events, one a URL, are passed over.
async fn until_telling(events: &mut Receiver<Event>) -> Option<&'static str> {
    loop {
        match events.recv().await {
            Ok(Event::GaveUp { stage }) => return Some(stage),
            Ok(Event::JobEnded { .. }) | Err(RecvError::Closed) => return None,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

fn is_over(record: &JobRecord) -> bool {
    record.state != JobState::Running && record.counters.leased == 0
}

async fn keep_metrics(file: Option<&MetricsFile>, registry: &Registry, engine: &Engine) {
    loop {
        let began = Instant::now();
        write_metrics(file, registry, engine).await;
        tokio::time::sleep(METRICS_EVERY.max(began.elapsed() * REST_PER_COUNT)).await;
    }
}

/// A store that is away, which others tell of, or a shard that changed hands meanwhile.
fn is_passing(error: &EngineError) -> bool {
    matches!(error, EngineError::Store(error) if error.is_retryable() || matches!(error, StoreError::Fenced(_)))
}

async fn write_metrics(file: Option<&MetricsFile>, registry: &Registry, engine: &Engine) {
    if let Err(error) = engine.measure_queues().await
        && !is_passing(&error)
    {
        tracing::warn!(%error, "queues not counted");
    }
    if let Some(Err(error)) = file.map(|file| file.write(registry)) {
        tracing::warn!(%error, "metrics file not written");
    }
}

pub(super) fn failed(error: EngineError) -> CliError {
    match error {
        EngineError::Store(error) => CliError::from(error),
        EngineError::Patterns(patterns) => {
            let told = CliError::new(ErrorCode::Config, "patterns of the scope are not valid");
            patterns.into_iter().fold(told, |told, pattern| told.because(pattern))
        }
        EngineError::Egress(error) => {
            CliError::new(ErrorCode::Config, "the [egress] settings cannot be used").because(error)
        }
        error @ EngineError::Stage { .. } => {
            CliError::new(ErrorCode::Internal, "the engine does not start").because(error)
        }
    }
}

fn lagged(n_lost: u64) -> Value {
    json!({ "event": "lagged", "events_lost": n_lost })
}

fn to_json(event: &Event) -> Value {
    match event {
        Event::Progress { job, counters } => {
            let mut object = json!(counters);
            object["event"] = "progress".into();
            object["job"] = job.to_string().into();
            object
        }
        Event::UrlEnded { job, url, fate } => {
            let (fate, reason) = match fate {
                Fate::Stored => ("stored", None),
                Fate::Unchanged => ("unchanged", None),
                Fate::Skipped(reason) => ("skipped", Some(reason.code())),
                Fate::Failed(reason, _) => ("failed", Some(reason.code())),
            };
            json!({ "event": "url", "job": job, "url": url, "fate": fate, "reason": reason })
        }
        Event::ScopeWarning { job, url, reason, n_rejected, n_links } => json!({
            "event": "scope_warning", "job": job, "url": url, "reason": reason, "rejected": n_rejected, "links": n_links,
        }),
        Event::CrawlDelayCapped { host } => json!({ "event": "crawl_delay_capped", "host": host }),
        Event::Held { why, code } => json!({ "event": "held", "code": code.code(), "why": why }),
        Event::Released => json!({ "event": "released" }),
        Event::Restarted { stage } => json!({ "event": "restarted", "stage": stage }),
        Event::GaveUp { stage } => json!({ "event": "gave_up", "stage": stage }),
        Event::JobEnded { job, state, .. } => json!({ "event": "job_ended", "job": job, "state": state.code() }),
    }
}
