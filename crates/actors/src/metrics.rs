//! The crawl's metrics: what exists, when it moves, and what it leaves out. Label sets are closed.

use argiope_protocol::ShardId;
use argiope_protocol::credit::Amount;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Seconds = Counter<f64, AtomicU64>;

/// Which edge between two stages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EdgeLabel {
    edge: &'static str,
}

/// How a URL's attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabel {
    fate: &'static str,
    reason: &'static str,
}

/// Which stage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// Which of 256 shards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabel {
    shard: u8,
}

/// Which call of which store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabel {
    store: &'static str,
    operation: &'static str,
}

/// Where texts were embedded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceLabel {
    place: &'static str,
}

/// Why a lease was not its holder's any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabel {
    why: &'static str,
}

/// Why a lease was not its holder's any more when its fate was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseLoss {
    /// Its deadline had passed, or it was settled before.
    Expired,
    /// The shard's claim has passed to another epoch.
    Fenced,
}

impl LeaseLoss {
    const ALL: [Self; 2] = [Self::Expired, Self::Fenced];

    const fn label(self) -> LossLabel {
        let why = match self {
            Self::Expired => "expired",
            Self::Fenced => "fenced",
        };
        LossLabel { why }
    }
}

/// Where texts were embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmbedPlace {
    /// Here, for pages fetched here.
    Here,
    /// At another node, for pages fetched here.
    Peer,
    /// Here, for pages that another node fetched.
    ForPeer,
}

impl EmbedPlace {
    const ALL: [Self; 3] = [Self::Here, Self::Peer, Self::ForPeer];

    const fn label(self) -> PlaceLabel {
        let place = match self {
            Self::Here => "here",
            Self::Peer => "peer",
            Self::ForPeer => "for_peer",
        };
        PlaceLabel { place }
    }
}

/// From half a millisecond, a read from memory, to 8 s, a disk that is full of other work.
fn store_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 4.0, 8))
}

/// The bucket up to 0 counts requests that came too soon; the start window makes up to 0.25 s usual.
fn margin_seconds() -> Histogram {
    Histogram::new([0.0, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0])
}

/// All metrics of the stages. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    fates: Family<FateLabel, Counter>,
    waited: Family<EdgeLabel, Seconds>,
    items: Family<EdgeLabel, Gauge>,
    bytes: Family<EdgeLabel, Gauge>,
    finished: Family<EdgeLabel, Counter>,
    busy: Family<StageLabel, Seconds>,
    restarts: Family<StageLabel, Counter>,
    fetched_bytes: Counter,
    embedded_chunks: Counter,
    embedded_tokens: Counter,
    embed_calls: Family<PlaceLabel, Counter>,
    stored_chunks: Counter,
    active_domains: Gauge,
    late_starts: Counter,
    margin: Histogram,
    queued: Family<ShardLabel, Gauge>,
    leases_lost: Family<LossLabel, Counter>,
    stored_bytes: Counter,
    store: Family<StoreLabel, Histogram, fn() -> Histogram>,
    shards_owned: Gauge,
    shards_lost: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let leases_lost = Family::<LossLabel, Counter>::default();
        // There from the start: a counter that appears with its first event hides that event from rates.
        LeaseLoss::ALL.iter().for_each(|loss| drop(leases_lost.get_or_create(&loss.label())));
        let embed_calls = Family::<PlaceLabel, Counter>::default();
        EmbedPlace::ALL.iter().for_each(|place| drop(embed_calls.get_or_create(&place.label())));
        Self {
            fates: Family::default(),
            waited: Family::default(),
            items: Family::default(),
            bytes: Family::default(),
            finished: Family::default(),
            busy: Family::default(),
            restarts: Family::default(),
            fetched_bytes: Counter::default(),
            embedded_chunks: Counter::default(),
            embedded_tokens: Counter::default(),
            embed_calls,
            stored_chunks: Counter::default(),
            active_domains: Gauge::default(),
            late_starts: Counter::default(),
            margin: margin_seconds(),
            queued: Family::default(),
            leases_lost,
            stored_bytes: Counter::default(),
            shards_owned: Gauge::default(),
            shards_lost: Counter::default(),
            store: Family::new_with_constructor(store_seconds),
        }
    }
}

impl Metrics {
    /// Metrics known to a registry, whose owner gives it the prefix `argiope`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "urls",
            "URLs that ended an attempt, by fate and reason; retries count each time",
            metrics.fates.clone(),
        );
        registry.register(
            "credit_wait_seconds",
            "Time senders waited for credit on an edge, counted each second while they wait",
            metrics.waited.clone(),
        );
        registry.register("edge_items", "Items under way on an edge", metrics.items.clone());
        registry.register("edge_bytes", "Bytes of the items under way on an edge", metrics.bytes.clone());
        registry.register("edge_finished", "Items that left an edge, however they ended", metrics.finished.clone());
        registry.register(
            "stage_busy_seconds",
            "Time spent on a stage's work, summed over what is done at once: exchanges, CPU threads, store calls",
            metrics.busy.clone(),
        );
        registry.register("stage_restarts", "Restarts of a stage by its supervisor", metrics.restarts.clone());
        registry.register("fetched_bytes", "Body bytes fetched, after decompression", metrics.fetched_bytes.clone());
        registry.register(
            "embedded_chunks",
            "Chunks sent to the embedder; unchanged chunks are left out",
            metrics.embedded_chunks.clone(),
        );
        registry.register("embed_tokens", "Tokens of the chunks sent to the embedder", metrics.embedded_tokens.clone());
        registry.register(
            "embed_calls",
            "Calls of embedders by place: here, peer (at another node), for_peer (here for another node)",
            metrics.embed_calls.clone(),
        );
        registry.register("stored_chunks", "Chunks written to the vector store", metrics.stored_chunks.clone());
        registry.register("active_domains", "Domains with an actor now", metrics.active_domains.clone());
        registry.register(
            "late_starts",
            "Requests whose start window passed before the head was written; they got a new one or went back",
            metrics.late_starts.clone(),
        );
        metrics.register_stores(registry);
        metrics
    }

    fn register_stores(&self, registry: &mut Registry) {
        registry.register(
            "politeness_margin_seconds",
            "Start of a request minus the earliest moment that the start before it at its host allows; \
             requests without a delay are left out",
            self.margin.clone(),
        );
        registry.register(
            "queued_urls",
            "Queued URLs of running jobs by shard, counted now and then",
            self.queued.clone(),
        );
        registry.register(
            "leases_lost",
            "Leases that were not their holder's any more when their fate was told; their URLs are fetched again",
            self.leases_lost.clone(),
        );
        registry.register(
            "stored_bytes",
            "Bytes of bodies and Markdown handed to the page store, before compression and deduplication",
            self.stored_bytes.clone(),
        );
        registry.register("shards_owned", "Shards whose claim this node holds", self.shards_owned.clone());
        registry.register(
            "shards_lost",
            "Shards that went to another node without having been handed over",
            self.shards_lost.clone(),
        );
        registry.register("store_seconds", "Time that calls of a store took, failed ones included", self.store.clone());
    }

    /// The metrics of one edge.
    #[must_use]
    pub fn edge(&self, edge: &'static str) -> EdgeMetrics {
        let label = EdgeLabel { edge };
        EdgeMetrics {
            waited: self.waited.get_or_create_owned(&label),
            items: self.items.get_or_create_owned(&label),
            bytes: self.bytes.get_or_create_owned(&label),
            finished: self.finished.get_or_create_owned(&label),
        }
    }

    /// An attempt ended.
    pub fn ended(&self, fate: &argiope_protocol::Fate) {
        use argiope_protocol::Fate;
        let (fate, reason) = match fate {
            Fate::Stored => ("stored", ""),
            Fate::Unchanged => ("unchanged", ""),
            Fate::Skipped(reason) => ("skipped", reason.code()),
            Fate::Failed(reason, _) => ("failed", reason.code()),
        };
        self.fates.get_or_create(&FateLabel { fate, reason }).inc();
    }

    /// CPU-pool time of a stage.
    pub fn busy(&self, stage: &'static str, time: Duration) {
        self.busy.get_or_create(&StageLabel { stage }).inc_by(time.as_secs_f64());
    }

    /// A stage was started again.
    pub fn restarted(&self, stage: &'static str) {
        self.restarts.get_or_create(&StageLabel { stage }).inc();
    }

    /// A body arrived.
    pub fn fetched(&self, bytes: u64) {
        self.fetched_bytes.inc_by(bytes);
    }

    /// Chunks were embedded.
    pub fn embedded(&self, chunks: u64, tokens: u64) {
        self.embedded_chunks.inc_by(chunks);
        self.embedded_tokens.inc_by(tokens);
    }

    /// An embedder was called.
    pub(crate) fn embed_call(&self, place: EmbedPlace) {
        self.embed_calls.get_or_create(&place.label()).inc();
    }

    /// Chunks were written.
    pub fn stored_chunks(&self, chunks: u64) {
        self.stored_chunks.inc_by(chunks);
    }

    /// A domain's actor started (+1) or ended (-1).
    pub fn active_domains(&self, change: i64) {
        self.active_domains.inc_by(change);
    }

    /// A request started so many seconds after the earliest allowed moment.
    pub(crate) fn margin(&self, seconds: f64) {
        self.margin.observe(seconds);
    }

    /// So many URLs of a shard are queued.
    pub(crate) fn queued(&self, shard: ShardId, n_urls: u64) {
        let gauge = self.queued.get_or_create_owned(&ShardLabel { shard: shard.number() });
        gauge.set(i64::try_from(n_urls).unwrap_or(i64::MAX));
    }

    /// A fate came for a lease that was not its holder's any more.
    pub(crate) fn lease_lost(&self, loss: LeaseLoss) {
        self.leases_lost.get_or_create(&loss.label()).inc();
    }

    /// So many shards are this node's.
    pub(crate) fn shards_owned(&self, n_shards: usize) {
        self.shards_owned.set(i64::try_from(n_shards).unwrap_or(i64::MAX));
    }

    /// A shard went to another node without having been handed over.
    pub(crate) fn shard_lost(&self) {
        self.shards_lost.inc();
    }

    /// A page was handed to the page store.
    pub fn stored_bytes(&self, bytes: u64) {
        self.stored_bytes.inc_by(bytes);
    }

    /// Measures a call of a store.
    pub(crate) async fn timed<T>(
        &self,
        store: &'static str,
        operation: &'static str,
        call: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let answer = call.await;
        self.store.get_or_create(&StoreLabel { store, operation }).observe(began.elapsed().as_secs_f64());
        answer
    }

    /// A start window had passed.
    pub fn late_start(&self) {
        self.late_starts.inc();
    }
}

/// The metrics of one edge.
#[derive(Clone)]
pub struct EdgeMetrics {
    waited: Seconds,
    items: Gauge,
    bytes: Gauge,
    finished: Counter,
}

impl EdgeMetrics {
    /// Metrics that nobody reads.
    #[must_use]
    pub fn detached() -> Self {
        Metrics::default().edge("detached")
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waited.inc_by(time.as_secs_f64());
    }

    pub(crate) fn entered(&self, amount: Amount) {
        self.items.inc_by(i64::from(amount.items));
        self.bytes.inc_by(i64::try_from(amount.bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn left(&self, amount: Amount) {
        self.items.dec_by(i64::from(amount.items));
        self.bytes.dec_by(i64::try_from(amount.bytes).unwrap_or(i64::MAX));
        self.finished.inc_by(u64::from(amount.items));
    }

    /// Items that left the edge since the start: the stage's progress.
    #[must_use]
    pub fn n_finished(&self) -> u64 {
        self.finished.inner().load(Ordering::Relaxed)
    }
}
