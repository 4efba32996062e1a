//! The effective configuration: layers merged (flag > environment > file > default), each value checked, all
//! mistakes gathered.

use super::check::{Value, check, default_of, parse_cidr, parse_resolve};
use super::raw::{Layer, Mistake, Source, Typed};
use super::read::Read;
use super::schema::{KEYS, Key, Kind};
use super::sections::{Config, Crawl, Egress, Embedder, Vectors};
use super::shared;
use argiope_protocol::job::Retain;
use argiope_protocol::{Limits, NodeName, Politeness, ProcessMode, Role, Scope, ScopeMode, TenantId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A key's effective value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effective {
    /// The value.
    pub(crate) value: Value,
    /// Where it was set.
    pub(crate) source: Source,
}

/// Effective values by key path; every key of the schema is there.
pub(crate) type Effectives = BTreeMap<&'static str, Effective>;

/// What resolving needs besides the layers, passed in so that a test can be any machine.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    /// The data directory when nobody names one.
    pub(crate) data_dir: PathBuf,
}

/// Merges the layers, the first has precedence, and checks every value that was typed, also one that a
/// higher layer hides: it is wrong all the same.
pub(crate) fn merge(layers: &[Layer], mistakes: &mut Vec<Mistake>) -> Effectives {
    let mut effective = Effectives::new();
    for key in KEYS {
        let mut chosen = None;
        for (typed, source) in layers.iter().filter_map(|layer| layer.get(key.path)) {
            match check(key, typed) {
                Ok(value) => chosen = chosen.or_else(|| Some(Effective { value, source: source.clone() })),
                Err(problem) => mistakes.push(mistake(key, typed, source, problem)),
            }
        }
        let effective_value = chosen.unwrap_or_else(|| Effective { value: default_of(key), source: Source::Default });
        effective.insert(key.path, effective_value);
    }
    effective
}

/// A secret that was typed where only its place may stand is not repeated.
fn mistake(key: &Key, typed: &Typed, source: &Source, problem: String) -> Mistake {
    let may_be_secret = matches!(key.kind, Kind::Secret | Kind::Secrets | Kind::RedisUrls);
    let value = if may_be_secret { "\"***\"".to_owned() } else { typed.to_string() };
    Mistake { key: key.path.to_owned(), value, source: source.clone(), problem }
}

/// Makes the typed configuration; values that contradict each other are added to `mistakes`.
pub(crate) fn resolve(effective: Effectives, platform: &Platform, mistakes: &mut Vec<Mistake>) -> Config {
    let read = Read(&effective);
    let contact = read.text_opt("crawl.contact");
    let embedder = embedder(&read, mistakes);
    let vectors = vectors(&read, mistakes);
    let roles: Vec<Role> = read.list("node.roles").iter().filter_map(|word| Role::of(word)).collect();
    Config {
        data_dir: read.text_opt("node.data_dir").map_or_else(|| platform.data_dir.clone(), PathBuf::from),
        name: NodeName::try_new(read.text("node.name")).unwrap_or_default(),
        roles: if roles.is_empty() { Role::ALL.to_vec() } else { roles },
        tenant: TenantId::try_new(read.text("node.tenant")).unwrap_or_default(),
        drain: Duration::from_secs(read.uint("node.drain_secs")),
        egress: egress(&read, contact.as_deref()),
        crawl: crawl(&read, contact),
        frontier: shared::frontier(&read, mistakes),
        pages: shared::pages(&read, mistakes),
        cluster: shared::cluster(&read, mistakes),
        http: shared::http(&read, mistakes),
        client: shared::client(&read),
        vectors,
        embedder,
        log_level: read.text("log.level"),
        log_format: read.text("log.format"),
        metrics_file: read.text_opt("metrics.file").map(PathBuf::from),
        effective,
    }
}

pub(super) fn crawl(read: &Read<'_>, contact: Option<String>) -> Crawl {
    let process = match read.text("crawl.process").as_str() {
        "links" => ProcessMode::Links,
        "markdown" => ProcessMode::Markdown,
        _ => ProcessMode::Vectors,
    };
    Crawl {
        contact,
        limits: Limits {
            max_pages: read.uint("crawl.limit"),
            max_depth: read.small("crawl.depth"),
            max_url_bytes: read.small("crawl.max_url_bytes"),
            max_outlinks: read.small("crawl.max_outlinks"),
            max_redirects: read.small("crawl.max_redirects"),
            max_attempts: read.small("crawl.max_attempts"),
            max_body_bytes: read.uint("crawl.max_body_bytes"),
        },
        politeness: Politeness {
            robots: read.bool("crawl.robots"),
            delay: read.seconds("crawl.delay_secs"),
            per_host: read.small("crawl.per_host"),
        },
        scope: Scope {
            mode: match read.text("crawl.scope").as_str() {
                "host" => ScopeMode::Host,
                "domain" => ScopeMode::Domain,
                "any" => ScopeMode::Any,
                _ => ScopeMode::Directory,
            },
            include: read.list("crawl.include"),
            exclude: read.list("crawl.exclude"),
        },
        process,
        retain: match read.text("crawl.retain").as_str() {
            "raw" => Retain::Raw,
            "markdown" => Retain::Markdown,
            "none" => Retain::None,
            _ => Retain::of(process),
        },
        sitemaps: read.bool("crawl.sitemaps"),
        concurrency: read.small("crawl.concurrency"),
        per_ip: read.small("crawl.per_ip"),
        max_rate: Some(read.float("crawl.max_rate")).filter(|rate| *rate > 0.0),
    }
}

fn egress(read: &Read<'_>, contact: Option<&str>) -> Egress {
    let ports: Vec<u16> = read.list("egress.allow_ports").iter().filter_map(|port| port.parse().ok()).collect();
    let mut static_hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (name, address) in read.list("egress.resolve").iter().filter_map(|text| parse_resolve(text)) {
        static_hosts.entry(name).or_default().push(address);
    }
    let user_agent = read.text_opt("egress.user_agent").unwrap_or_else(|| user_agent(contact));
    Egress {
        allow_cidrs: read.list("egress.allow_cidrs").iter().filter_map(|block| parse_cidr(block)).collect(),
        allow_ports: Some(ports).filter(|ports| !ports.is_empty()),
        static_hosts,
        user_agent,
        connect_timeout: read.seconds("egress.connect_timeout_secs"),
        total_timeout: read.seconds("egress.total_timeout_secs"),
        min_bytes_per_sec: read.uint("egress.min_bytes_per_sec"),
        max_header_bytes: read.small("egress.max_header_bytes"),
        proxy: read.text_opt("egress.proxy").and_then(|url| url.parse().ok()),
        extra_ca_file: read.text_opt("egress.extra_ca_file").map(PathBuf::from),
    }
}

/// Product token, version and contact: RFC 9110 §10.1.5.
fn user_agent(contact: Option<&str>) -> String {
    let product = concat!("argiope/", env!("CARGO_PKG_VERSION"));
    contact.map_or_else(|| product.to_owned(), |contact| format!("{product} (+{contact})"))
}

fn vectors(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Vectors {
    let embedded = Vectors::Embedded { optimize_every_chunks: read.small("vectors.optimize_every_chunks") };
    if read.text("vectors.backend") != "qdrant" {
        return embedded;
    }
    let key = "vectors.url";
    let Some(url) = read.text_opt(key).and_then(|url| url.parse::<url::Url>().ok()) else {
        let problem = "needed when vectors.backend is \"qdrant\": the address of the server's gRPC interface";
        mistakes.push(read.contradiction(key, problem));
        return embedded;
    };
    Vectors::Qdrant {
        url,
        api_key: read.secret("vectors.api_key"),
        prefix: read.text("vectors.prefix"),
        timeout: read.seconds("vectors.timeout_secs"),
    }
}

fn embedder(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Embedder {
    let kind = read.text("embedder.kind");
    if let Some(dir) = kind.strip_prefix("static:") {
        return Embedder::Static(dir.into());
    }
    if kind != "openai" {
        return Embedder::Builtin;
    }
    let url = read.text_opt("embedder.url").and_then(|url| url.parse::<url::Url>().ok());
    let dimension: u32 = read.small("embedder.dimension");
    let model = read.text("embedder.model");
    let needed = [
        ("embedder.url", url.is_none(), "the base URL of the embeddings API"),
        ("embedder.model", model.is_empty(), "the model's name"),
        ("embedder.dimension", dimension == 0, "the number of components of the model's vectors"),
    ];
    for (key, is_missing, what) in needed {
        if is_missing {
            let problem = format!("needed when embedder.kind is \"openai\": {what}");
            mistakes.push(Mistake { key: key.to_owned(), value: "\"\"".to_owned(), source: read.source(key), problem });
        }
    }
    let api_key = read.secret("embedder.api_key");
    url.map_or(Embedder::Builtin, |url| Embedder::OpenAi { url, model, dimension, api_key })
}
