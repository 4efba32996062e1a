//! The crawl's metrics: what exists, when it moves, and what it leaves out. Label sets are closed.

use argiope_protocol::credit::Amount;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// All metrics of the stages. Cheap to clone.
#[derive(Clone, Default)]
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
    stored_chunks: Counter,
    active_domains: Gauge,
    late_starts: Counter,
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
        registry.register("credit_wait_seconds", "Time senders waited for credit on an edge", metrics.waited.clone());
        registry.register("edge_items", "Items under way on an edge", metrics.items.clone());
        registry.register("edge_bytes", "Bytes of the items under way on an edge", metrics.bytes.clone());
        registry.register("edge_finished", "Items that left an edge, however they ended", metrics.finished.clone());
        registry.register("stage_busy_seconds", "CPU-pool time spent on a stage's work", metrics.busy.clone());
        registry.register("stage_restarts", "Restarts of a stage by its supervisor", metrics.restarts.clone());
        registry.register("fetched_bytes", "Body bytes fetched, after decompression", metrics.fetched_bytes.clone());
        registry.register(
            "embedded_chunks",
            "Chunks sent to the embedder; unchanged chunks are left out",
            metrics.embedded_chunks.clone(),
        );
        registry.register("embed_tokens", "Tokens of the chunks sent to the embedder", metrics.embedded_tokens.clone());
        registry.register("stored_chunks", "Chunks written to the vector store", metrics.stored_chunks.clone());
        registry.register("active_domains", "Domains with an actor now", metrics.active_domains.clone());
        registry.register(
            "late_starts",
            "Requests whose start window passed before the head was written; they got a new one or went back",
            metrics.late_starts.clone(),
        );
        metrics
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

    /// Chunks were written.
    pub fn stored_chunks(&self, chunks: u64) {
        self.stored_chunks.inc_by(chunks);
    }

    /// A domain's actor started (+1) or ended (-1).
    pub fn active_domains(&self, change: i64) {
        self.active_domains.inc_by(change);
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
