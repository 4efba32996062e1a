//! Every key there is: its path, what may stand there, its default, and what it means.
//!
//! `cluster.toml` at the root of the repository is tested against this table, `argiope config --print` walks it,
//! and the environment's names follow from it (`crawl.delay_secs` is `ARGIOPE_CRAWL_DELAY_SECS`).

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number in a range, both ends included.
    Int(i64, i64),
    /// A number in a range, both ends included.
    Float(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of regular expressions.
    Regexes,
    /// A list of CIDR blocks or addresses.
    Cidrs,
    /// A list of ports.
    Ports,
    /// A list of `HOST:ADDRESS`.
    Resolve,
    /// An absolute http or https URL, or nothing.
    OptionalUrl,
    /// A mail address or an http(s) URL, or nothing.
    Contact,
    /// `env:NAME`, `file:PATH`, or nothing. Never printed.
    Secret,
    /// `builtin`, `static:DIR` or `openai`.
    Embedder,
    /// A tenant's or node's name.
    Name,
    /// A list of some of these words.
    Words(&'static [&'static str]),
    /// `HOST:PORT`, or nothing.
    Address,
    /// A list of `HOST:PORT`.
    Addresses,
    /// A list of `redis://HOST:PORT`.
    RedisUrls,
    /// A list of `env:NAME` or `file:PATH`. Never printed.
    Secrets,
}

/// The value of a key that nobody set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Default {
    /// A text; empty means "none" or "the platform's".
    Text(&'static str),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// An empty list.
    Nothing,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// `section.name`.
    pub(crate) path: &'static str,
    /// What may stand there.
    pub(crate) kind: Kind,
    /// What stands there by default.
    pub(crate) default: Default,
    /// What it means, one sentence.
    pub(crate) meaning: &'static str,
}

impl Key {
    /// The environment variable that sets it.
    pub(crate) fn environment_name(&self) -> String {
        format!("ARGIOPE_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// What may stand there, in words.
    pub(crate) fn allowed(&self) -> String {
        match self.kind {
            Kind::Text => "a text".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Int(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Float(low, high) => format!("a number from {low} to {high}"),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Regexes => "a list of regular expressions".to_owned(),
            Kind::Cidrs => "a list of CIDR blocks such as \"127.0.0.0/8\"".to_owned(),
            Kind::Ports => "a list of ports from 1 to 65535".to_owned(),
            Kind::Resolve => "a list of HOST:ADDRESS such as \"docs.example.org:127.0.0.1\"".to_owned(),
            Kind::OptionalUrl => "an absolute http or https URL, or \"\"".to_owned(),
            Kind::Contact => "a mail address or an http(s) URL, or \"\"".to_owned(),
            Kind::Secret => "\"env:NAME\" or \"file:PATH\", or \"\" (never the secret itself)".to_owned(),
            Kind::Embedder => "\"builtin\", \"static:DIR\" or \"openai\"".to_owned(),
            Kind::Name => "1 to 64 characters of a-z, 0-9, '-' and '_'".to_owned(),
            Kind::Words(words) => format!("a list of {}", words.join(", ")),
            Kind::Address => "HOST:PORT, or \"\"".to_owned(),
            Kind::Addresses => "a list of HOST:PORT".to_owned(),
            Kind::RedisUrls => "a list of redis://HOST:PORT (user and password have keys of their own)".to_owned(),
            Kind::Secrets => "a list of \"env:NAME\" or \"file:PATH\" (never the secrets themselves)".to_owned(),
        }
    }
}

/// The key with this path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Sections, in the order in which they are shown.
pub(crate) const SECTIONS: &[&str] = &[
    "node", "crawl", "egress", "frontier", "pages", "vectors", "embedder", "cluster", "http", "client", "log",
    "metrics",
];

/// What pages become.
pub(crate) const PROCESS: &[&str] = &["links", "markdown", "vectors"];
/// What stays on disk.
pub(crate) const RETAIN: &[&str] = &["auto", "raw", "markdown", "none"];
/// What a node does.
pub(crate) const ROLES: &[&str] = &["control", "frontier", "fetch", "render", "embed"];
/// Where the frontier is.
pub(crate) const FRONTIERS: &[&str] = &["embedded", "redis"];
/// What the frontier's server must have on disk when it answers.
pub(crate) const DURABILITIES: &[&str] = &["normal", "strict"];
/// Where pages are kept.
pub(crate) const PAGE_STORES: &[&str] = &["embedded", "objects"];
/// Where the search index is.
pub(crate) const BACKENDS: &[&str] = &["embedded", "qdrant"];
/// How far a crawl may go.
pub(crate) const SCOPES: &[&str] = &["directory", "host", "domain", "any"];
/// Log levels.
pub(crate) const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// Log formats.
pub(crate) const FORMATS: &[&str] = &["auto", "pretty", "json"];

const HOUR_SECS: f64 = 3_600.0;
const GIB: i64 = 1 << 30;

const fn key(path: &'static str, kind: Kind, default: Default, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning }
}

/// All keys, section by section.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("node.data_dir", Kind::Text, Default::Text(""), "Where everything is kept; empty: the platform's data directory."),
    key("node.name", Kind::Name, Default::Text("local"), "This node's name in claims and logs."),
    key("node.tenant", Kind::Name, Default::Text("default"), "Owner of the jobs made here."),
    key("node.roles", Kind::Words(ROLES), Default::Nothing, "What this node does in a cluster; none: everything."),
    key("node.drain_secs", Kind::Int(1, 600), Default::Int(30), "Seconds that work in flight may take after Ctrl-C."),

    key("crawl.contact", Kind::Contact, Default::Text(""), "Mail address or URL put into User-Agent; needed for hosts that are not yours."),
    key("crawl.limit", Kind::Int(1, 1_000_000_000), Default::Int(10_000), "Pages of a job."),
    key("crawl.depth", Kind::Int(0, 1_000), Default::Int(10), "Links between a page and a seed."),
    key("crawl.delay_secs", Kind::Float(0.0, HOUR_SECS), Default::Float(1.0), "Seconds between two starts at one host; a larger Crawl-delay wins, up to 30."),
    key("crawl.concurrency", Kind::Int(1, 4_096), Default::Int(32), "Requests at once, over all hosts."),
    key("crawl.per_host", Kind::Int(1, 256), Default::Int(1), "Requests at once to one host."),
    key("crawl.per_ip", Kind::Int(1, 4_096), Default::Int(2), "Connections at once to one address; `per_host` raises it when that is more."),
    key("crawl.max_rate", Kind::Float(0.0, 100_000.0), Default::Float(0.0), "Requests a second over all hosts; 0: no bound but the hosts' own."),
    key("crawl.process", Kind::Choice(PROCESS), Default::Text("vectors"), "How far pages are processed."),
    key("crawl.retain", Kind::Choice(RETAIN), Default::Text("auto"), "What of a fetched page stays on disk; auto: raw, but none when only links are asked for."),
    key("crawl.scope", Kind::Choice(SCOPES), Default::Text("directory"), "How far from its seeds a crawl may go."),
    key("crawl.include", Kind::Regexes, Default::Nothing, "When there are any, one must match the URL (seeds are exempt)."),
    key("crawl.exclude", Kind::Regexes, Default::Nothing, "None may match the URL."),
    key("crawl.robots", Kind::Bool, Default::Bool(true), "Obey robots.txt, meta robots and nofollow."),
    key("crawl.sitemaps", Kind::Bool, Default::Bool(true), "Read the sitemaps that robots.txt names."),
    key("crawl.max_url_bytes", Kind::Int(64, 65_536), Default::Int(2_083), "Bytes of a URL."),
    key("crawl.max_outlinks", Kind::Int(1, 1_000_000), Default::Int(5_000), "Links taken from one page."),
    key("crawl.max_redirects", Kind::Int(0, 50), Default::Int(10), "Redirects in a row; each hop obeys its host's limits."),
    key("crawl.max_attempts", Kind::Int(1, 20), Default::Int(3), "Attempts per URL."),
    key("crawl.max_body_bytes", Kind::Int(1_024, GIB), Default::Int(10 * 1_048_576), "Bytes of a body after decompression."),

    key("egress.allow_cidrs", Kind::Cidrs, Default::Nothing, "Private, loopback or otherwise denied addresses that may be reached."),
    key("egress.allow_ports", Kind::Ports, Default::Nothing, "When there are any, exactly these ports are reached; else all that no other protocol is known for."),
    key("egress.resolve", Kind::Resolve, Default::Nothing, "Addresses of names that are not looked up, e.g. of a staging site; they are judged like any other address."),
    key("egress.user_agent", Kind::Text, Default::Text(""), "User-Agent; empty: argiope/VERSION (+contact)."),
    key("egress.connect_timeout_secs", Kind::Float(0.1, 300.0), Default::Float(10.0), "Seconds for a connection."),
    key("egress.total_timeout_secs", Kind::Float(0.1, HOUR_SECS), Default::Float(30.0), "Seconds for a whole exchange."),
    key("egress.min_bytes_per_sec", Kind::Int(0, GIB), Default::Int(256), "A body that comes slower is given up; 0: no minimum."),
    key("egress.max_header_bytes", Kind::Int(1_024, 1_048_576), Default::Int(65_536), "Bytes of a response's header fields."),
    key("egress.proxy", Kind::OptionalUrl, Default::Text(""), "HTTP proxy; the environment's proxies are never used."),
    key("egress.extra_ca_file", Kind::Text, Default::Text(""), "PEM file of further certificate authorities."),

    key("frontier.backend", Kind::Choice(FRONTIERS), Default::Text("embedded"), "embedded: in the data directory; redis: on a Redis server or cluster (docs/REDIS.md), shared by the nodes of a cluster."),
    key("frontier.redis_urls", Kind::RedisUrls, Default::Nothing, "The Redis server, or some servers of one Redis Cluster; needed for redis."),
    key("frontier.redis_user", Kind::Text, Default::Text(""), "User on the Redis server."),
    key("frontier.redis_password", Kind::Secret, Default::Text(""), "Password on the Redis server."),
    key("frontier.redis_prefix", Kind::Name, Default::Text("ag"), "How keys on the Redis server begin."),
    key("frontier.durability", Kind::Choice(DURABILITIES), Default::Text("normal"), "normal: what Redis syncs; strict: refuses a server that may lose what it acknowledged."),
    key("frontier.claim_ttl_secs", Kind::Float(2.0, 600.0), Default::Float(5.0), "Seconds after which the shards of a node that is cut off go to others."),
    key("frontier.visibility_secs", Kind::Int(10, 86_400), Default::Int(60), "Seconds after which a lease that nobody settled or prolonged is given out again."),
    key("frontier.start_window_ms", Kind::Int(10, 5_000), Default::Int(250), "Milliseconds in which a granted start must begin."),

    key("pages.backend", Kind::Choice(PAGE_STORES), Default::Text("embedded"), "embedded: in the data directory; objects: in an object store or a shared directory, for the nodes of a cluster."),
    key("pages.url", Kind::Text, Default::Text(""), "file:///DIR or s3://BUCKET/PREFIX; needed for objects."),
    key("pages.endpoint", Kind::OptionalUrl, Default::Text(""), "Address of an S3-compatible server; empty: Amazon's."),
    key("pages.region", Kind::Text, Default::Text("us-east-1"), "Region of the bucket."),
    key("pages.access_key", Kind::Secret, Default::Text(""), "Access key id for the bucket."),
    key("pages.secret_key", Kind::Secret, Default::Text(""), "Secret access key for the bucket."),
    key("pages.segment_bytes", Kind::Int(1_048_576, 16 * GIB), Default::Int(256 * 1_048_576), "Bytes of a WARC segment file."),
    key("pages.min_free_bytes", Kind::Int(0, 1 << 50), Default::Int(512 * 1_048_576), "Nothing is written when less is free on the disk."),

    key("vectors.backend", Kind::Choice(BACKENDS), Default::Text("embedded"), "embedded: in the data directory; qdrant: on a Qdrant server or cluster (docs/QDRANT.md)."),
    key("vectors.optimize_every_chunks", Kind::Int(100, 1_000_000), Default::Int(4_000), "New chunks after which the embedded index is compacted."),
    key("vectors.url", Kind::OptionalUrl, Default::Text(""), "Address of the server's gRPC interface, e.g. http://127.0.0.1:6334; needed for qdrant."),
    key("vectors.api_key", Kind::Secret, Default::Text(""), "API key of the server."),
    key("vectors.prefix", Kind::Name, Default::Text("argiope"), "How the names of the collections on the server begin; an index of another model needs another prefix."),
    key("vectors.timeout_secs", Kind::Float(0.1, 600.0), Default::Float(10.0), "Seconds for one answer of the server."),

    key("embedder.kind", Kind::Embedder, Default::Text("builtin"), "builtin, static:DIR (a model2vec directory) or openai (any compatible server)."),
    key("embedder.url", Kind::OptionalUrl, Default::Text(""), "Base URL of the embeddings API, e.g. http://127.0.0.1:11434/v1."),
    key("embedder.model", Kind::Text, Default::Text(""), "Model name sent to the embeddings API."),
    key("embedder.dimension", Kind::Int(0, 65_536), Default::Int(0), "Components of a vector; needed for openai."),
    key("embedder.api_key", Kind::Secret, Default::Text(""), "Bearer token for the embeddings API."),

    key("cluster.id", Kind::Name, Default::Text("argiope"), "Name of the cluster; nodes of another one are refused."),
    key("cluster.listen", Kind::Address, Default::Text("127.0.0.1:7710"), "Where this node's link listens; anything but loopback needs certificates and a cookie."),
    key("cluster.advertise", Kind::Address, Default::Text(""), "How other nodes reach the link; empty: as it listens."),
    key("cluster.seeds", Kind::Addresses, Default::Nothing, "Links of control nodes, dialled first."),
    key("cluster.cookie", Kind::Secret, Default::Text(""), "Shared secret of the nodes, at least 32 bytes."),
    key("cluster.ca_file", Kind::Text, Default::Text(""), "PEM file of the authority that signs the nodes' certificates (argiope ca init)."),
    key("cluster.cert_file", Kind::Text, Default::Text(""), "PEM file of this node's certificate (argiope ca issue)."),
    key("cluster.key_file", Kind::Text, Default::Text(""), "PEM file of this node's private key."),

    key("http.listen", Kind::Address, Default::Text("127.0.0.1:7700"), "Where a control node answers the HTTP interface; anything but loopback needs TLS and a key. Empty: nowhere."),
    key("http.keys", Kind::Secrets, Default::Nothing, "Bearer keys of the HTTP interface; none: no key is asked for."),
    key("http.tls_cert_file", Kind::Text, Default::Text(""), "PEM file of the certificate of the HTTP interface."),
    key("http.tls_key_file", Kind::Text, Default::Text(""), "PEM file of its private key."),
    key("http.metrics_listen", Kind::Address, Default::Text("127.0.0.1:7720"), "Where every node answers /healthz, /readyz and /metrics. Empty: nowhere."),

    key("client.endpoint", Kind::OptionalUrl, Default::Text(""), "HTTP interface of a cluster that commands talk to instead of a data directory, e.g. http://127.0.0.1:7700."),
    key("client.key", Kind::Secret, Default::Text(""), "Bearer key for it."),
    key("client.ca_file", Kind::Text, Default::Text(""), "PEM file of the authority that signed its certificate; empty: the public ones."),

    key("log.level", Kind::Choice(LEVELS), Default::Text("warn"), "Least severity that is logged."),
    key("log.format", Kind::Choice(FORMATS), Default::Text("auto"), "pretty, json, or auto: pretty on a terminal."),

    key("metrics.file", Kind::Text, Default::Text(""), "Prometheus text is written here every 5 s and at the end (docs/METRICS.md); empty: nowhere."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_stand_in_known_sections() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.path), "{} stands twice", key.path);
            let section = key.path.split('.').next().unwrap();
            assert!(SECTIONS.contains(&section), "{}", key.path);
            assert!(key.meaning.ends_with('.'), "{}", key.path);
        }
    }
}
