//! The effective configuration as types, section by section.

use super::resolve::Effectives;
use super::secret::Secret;
use argiope_protocol::job::Retain;
use argiope_protocol::{Limits, NodeName, Politeness, ProcessMode, Role, Scope, TenantId};
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
    /// What it does in a cluster; never empty.
    pub(crate) roles: Vec<Role>,
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
    /// The other nodes.
    pub(crate) cluster: Cluster,
    /// The HTTP interface.
    pub(crate) http: Http,
    /// The HTTP interface that commands use instead of a data directory.
    pub(crate) client: Option<Client>,
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
#[derive(Debug, Clone)]
pub(crate) struct Frontier {
    /// Where it is.
    pub(crate) backend: FrontierBackend,
    /// After which the shards of a node that is cut off go to others.
    pub(crate) claim_ttl: Duration,
    /// After which an unsettled lease is given out again.
    pub(crate) visibility: Duration,
    /// In which a granted start must begin.
    pub(crate) start_window: Duration,
}

/// Where the frontier is.
#[derive(Debug, Clone)]
pub(crate) enum FrontierBackend {
    /// In the data directory.
    Embedded,
    /// On a Redis server or cluster.
    Redis {
        /// The server, or some of a cluster, without user and password.
        urls: Vec<url::Url>,
        /// User name there.
        user: Option<String>,
        /// Password there.
        password: Option<Secret>,
        /// How keys begin.
        prefix: String,
        /// Whether a server is refused that may lose what it acknowledged.
        is_strict: bool,
    },
}

/// Section `[pages]`.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    /// Where they are.
    pub(crate) backend: PagesBackend,
    /// Bytes of a segment file.
    pub(crate) segment_bytes: u64,
    /// Below this much free space nothing is written.
    pub(crate) min_free_bytes: u64,
}

/// Where pages are kept.
#[derive(Debug, Clone)]
pub(crate) enum PagesBackend {
    /// In the data directory.
    Embedded,
    /// In an object store, or in a directory that nodes share.
    Objects(Box<PageObjects>),
}

/// Pages that nodes share.
#[derive(Debug, Clone)]
pub(crate) struct PageObjects {
    /// `file:///DIR` or `s3://BUCKET/PREFIX`.
    pub(crate) url: url::Url,
    /// An S3-compatible server's address.
    pub(crate) endpoint: Option<url::Url>,
    /// The bucket's region.
    pub(crate) region: String,
    /// Access key id.
    pub(crate) access_key: Option<Secret>,
    /// Secret access key.
    pub(crate) secret_key: Option<Secret>,
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

/// Section `[cluster]`.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Its name.
    pub(crate) id: String,
    /// Where the link listens.
    pub(crate) listen: String,
    /// How other nodes reach it; as it listens when nothing is set.
    pub(crate) advertise: Option<String>,
    /// Links of control nodes, dialled first.
    pub(crate) seeds: Vec<String>,
    /// Shared secret of the nodes.
    pub(crate) cookie: Option<Secret>,
    /// Certificates; `None` on loopback only.
    pub(crate) tls: Option<LinkTls>,
}

/// The files of a node's link.
#[derive(Debug, Clone)]
pub(crate) struct LinkTls {
    /// The authority that signs the nodes' certificates.
    pub(crate) ca_file: PathBuf,
    /// This node's certificate.
    pub(crate) cert_file: PathBuf,
    /// Its private key.
    pub(crate) key_file: PathBuf,
}

/// Section `[http]`.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    /// Where a control node answers.
    pub(crate) listen: Option<String>,
    /// Bearer keys; none: no key is asked for.
    pub(crate) keys: Vec<Secret>,
    /// Certificate and private key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Where every node answers `/healthz`, `/readyz` and `/metrics`.
    pub(crate) metrics_listen: Option<String>,
}

/// Section `[client]`.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Base URL of the HTTP interface.
    pub(crate) endpoint: url::Url,
    /// Bearer key for it.
    pub(crate) key: Option<Secret>,
    /// The authority that signed its certificate; `None`: the public ones.
    pub(crate) ca_file: Option<PathBuf>,
}
