//! The effective configuration as types, section by section.

use super::resolve::Effectives;
use super::secret::Secret;
use argiope_protocol::job::Retain;
use argiope_protocol::{Limits, NodeName, Politeness, ProcessMode, Scope, TenantId};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration that the rest of the program sees.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What `config --print` shows.
    pub(crate) effective: Effectives,
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// This node's name.
    pub(crate) name: NodeName,
    /// Owner of the jobs made here.
    pub(crate) tenant: TenantId,
    /// How long work in flight may take after Ctrl-C.
    pub(crate) drain: Duration,
    /// What a crawl does unless told otherwise.
    pub(crate) crawl: Crawl,
    /// What may be reached, and how.
    pub(crate) egress: Egress,
    /// Leases.
    pub(crate) frontier: Frontier,
    /// Kept pages.
    pub(crate) pages: Pages,
    /// The index.
    pub(crate) vectors: Vectors,
    /// Where vectors come from.
    pub(crate) embedder: Embedder,
    /// Least severity that is logged.
    pub(crate) log_level: String,
    /// `pretty`, `json` or `auto`.
    pub(crate) log_format: String,
    /// Where metrics are written.
    pub(crate) metrics_file: Option<PathBuf>,
}

/// Section `[crawl]`.
#[derive(Debug, Clone)]
pub(crate) struct Crawl {
    /// Mail address or URL for User-Agent.
    pub(crate) contact: Option<String>,
    /// Bounds of a job.
    pub(crate) limits: Limits,
    /// Manners towards a host.
    pub(crate) politeness: Politeness,
    /// Which URLs belong to a job.
    pub(crate) scope: Scope,
    /// How far pages are processed.
    pub(crate) process: ProcessMode,
    /// What stays on disk.
    pub(crate) retain: Retain,
    /// Whether sitemaps are read.
    pub(crate) sitemaps: bool,
    /// Requests at once, over all hosts.
    pub(crate) concurrency: u16,
    /// Connections at once to one address.
    pub(crate) per_ip: u16,
    /// Requests a second over all hosts.
    pub(crate) max_rate: Option<f64>,
}

/// Section `[egress]`.
#[derive(Debug, Clone)]
pub(crate) struct Egress {
    /// Denied addresses that may be reached all the same.
    pub(crate) allow_cidrs: Vec<IpNet>,
    /// Only these ports, when there are any.
    pub(crate) allow_ports: Option<Vec<u16>>,
    /// Addresses of names that are not looked up.
    pub(crate) static_hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The whole `User-Agent` value.
    pub(crate) user_agent: String,
    /// For a connection.
    pub(crate) connect_timeout: Duration,
    /// For a whole exchange.
    pub(crate) total_timeout: Duration,
    /// Slower bodies are given up.
    pub(crate) min_bytes_per_sec: u64,
    /// Bytes of header fields.
    pub(crate) max_header_bytes: usize,
    /// HTTP proxy.
    pub(crate) proxy: Option<url::Url>,
    /// Further certificate authorities.
    pub(crate) extra_ca_file: Option<PathBuf>,
}

/// Section `[frontier]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frontier {
    /// After which an unsettled lease is given out again.
    pub(crate) visibility: Duration,
    /// In which a granted start must begin.
    pub(crate) start_window: Duration,
}

/// Section `[pages]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pages {
    /// Bytes of a segment file.
    pub(crate) segment_bytes: u64,
    /// Below this much free space nothing is written.
    pub(crate) min_free_bytes: u64,
}

/// Section `[vectors]`.
#[derive(Debug, Clone)]
pub(crate) enum Vectors {
    /// In the data directory.
    Embedded {
        /// New chunks after which the index is compacted.
        optimize_every_chunks: usize,
    },
    /// On a Qdrant server or cluster.
    Qdrant {
        /// Its gRPC interface.
        url: url::Url,
        /// When it wants one.
        api_key: Option<Secret>,
        /// How the names of the collections begin.
        prefix: String,
        /// For one answer.
        timeout: Duration,
    },
}

/// Section `[embedder]`.
#[derive(Debug, Clone)]
pub(crate) enum Embedder {
    /// The model inside the binary.
    Builtin,
    /// A model2vec directory.
    Static(PathBuf),
    /// An OpenAI-compatible server.
    OpenAi {
        /// Base URL.
        url: url::Url,
        /// Model name.
        model: String,
        /// Components of a vector.
        dimension: u32,
        /// Bearer token.
        api_key: Option<Secret>,
    },
}
