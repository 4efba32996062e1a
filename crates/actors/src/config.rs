//! What an engine is started with.

use crate::embedder::Embedder;
use crate::metrics::Metrics;
use argiope_egress::EgressConfig;
use argiope_protocol::{NodeName, Role};
use argiope_store::{FrontierStore, PageStore, VectorStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The three open stores.
#[derive(Clone)]
pub struct Stores {
    /// Which URL is fetched when.
    pub frontier: Arc<dyn FrontierStore>,
    /// What was fetched.
    pub pages: Arc<dyn PageStore>,
    /// What can be searched.
    pub vectors: Arc<dyn VectorStore>,
}

/// Settings of an engine. All bounds are per node.
#[derive(Clone)]
pub struct EngineConfig {
    /// This node.
    pub node: NodeName,
    /// The product token by which robots.txt rules are chosen.
    pub robots_token: String,
    /// How the network is reached, and what of it is denied.
    pub egress: EgressConfig,
    /// Who turns chunks into vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Where the stages count.
    pub metrics: Metrics,
    /// Requests at once, over all hosts.
    pub concurrency: u32,
    /// Requests per second over all hosts; `None` is no limit beyond each host's own.
    pub max_requests_per_sec: Option<f64>,
    /// Decoded body bytes per second over all hosts.
    pub max_bytes_per_sec: Option<u32>,
    /// Threads that parse and chunk.
    pub parser_threads: usize,
    /// The start window `W`: how long after its lease a request may still begin.
    pub start_window: Duration,
    /// How long a lease may be worked on.
    pub visibility: Duration,
    /// How long a shard's claim holds without renewal.
    pub claim_ttl: Duration,
    /// Domains with an actor at once (10.9 KB each).
    pub max_active_domains: usize,
    /// Bytes of bodies between fetcher and parser.
    pub max_parse_bytes: u64,
    /// Bytes of pages between parser, embedder and writer.
    pub max_write_bytes: u64,
    /// A stage with work that finishes none for this long is started again.
    pub stuck_after: Duration,
    /// The cluster that this node belongs to; `None`: it is alone and owns everything.
    pub cluster: Option<ClusterConfig>,
}

/// What a node needs to know of its cluster.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Grows when the frontier's store restarted or failed over.
    pub changes: watch::Receiver<u64>,
    /// What this node does.
    pub roles: Vec<Role>,
    /// How often jobs and their ledgers are read: each look costs a call for every shard of a job.
    pub look_every: Duration,
    /// How often the owner of a shard reads its hosts again, for leases that came back without a word.
    pub reload_every: Duration,
}

impl ClusterConfig {
    /// Defaults for a node with these roles.
    #[must_use]
    pub fn new(changes: watch::Receiver<u64>, roles: Vec<Role>) -> Self {
        Self { changes, roles, look_every: Duration::from_secs(1), reload_every: Duration::from_secs(10) }
    }
}

impl EngineConfig {
    /// Defaults around an embedder and the metrics.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, metrics: Metrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            node: NodeName::default(),
            robots_token: "Argiope".to_owned(),
            egress: EgressConfig::default(),
            embedder,
            metrics,
            concurrency: 64,
            max_requests_per_sec: None,
            max_bytes_per_sec: None,
            parser_threads: cores,
            start_window: Duration::from_millis(250),
            visibility: Duration::from_mins(1),
            claim_ttl: Duration::from_hours(24),
            max_active_domains: 2_048,
            max_parse_bytes: 16 * 1024 * 1024,
            max_write_bytes: 16 * 1024 * 1024,
            stuck_after: Duration::from_mins(3),
            cluster: None,
        }
    }

    /// Whether this node does that; alone it does everything.
    pub(crate) fn has_role(&self, role: Role) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.roles.contains(&role))
    }
}
