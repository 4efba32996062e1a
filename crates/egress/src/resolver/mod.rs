//! From a host to the addresses that may be connected.
//!
//! In order: address literals, the static map of the configuration, `localhost` and names under it (RFC 6761, no
//! look-up), the cache, and the system's resolvers with its hosts file. Names are looked up as absolute ones: search
//! domains would turn a foreign name into one of the local network. Every answer is judged each time it is used.

mod cache;

use crate::config::EgressConfig;
use crate::counters::EgressCounters;
use crate::error::FetchError;
use crate::policy::{Denied, Policy, localhost_addresses};
use argiope_protocol::Host;
use cache::Cache;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// More addresses of one name are never tried.
const MAX_ADDRESSES: usize = 16;

/// Finds and judges addresses.
pub struct Resolver {
    static_hosts: BTreeMap<String, Vec<IpAddr>>,
    cache: Mutex<Cache>,
    /// Made at the first look-up: a client whose names are all static needs no resolver configuration.
    system: OnceLock<Result<TokioResolver, String>>,
    name_servers: Vec<SocketAddr>,
    rate: DefaultDirectRateLimiter,
    timeout: Duration,
    counters: Arc<EgressCounters>,
}

impl Resolver {
    pub(crate) fn new(config: &EgressConfig, counters: Arc<EgressCounters>) -> Self {
        let names = config.static_hosts.iter();
        let static_hosts = names.map(|(name, addresses)| (name.to_ascii_lowercase(), addresses.clone())).collect();
        let timeout = config.dns_timeout;
        let name_servers = config.name_servers.clone();
        let rate = RateLimiter::direct(Quota::per_second(config.max_lookups_per_sec));
        Self { static_hosts, cache: Mutex::default(), system: OnceLock::new(), name_servers, rate, timeout, counters }
    }

    /// The addresses of a host that the policy allows, in the order in which they should be tried.
    ///
    /// # Errors
    /// When the name has no address, or none that is allowed.
    pub async fn resolve(&self, policy: &Policy, host: &Host, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        let addresses = self.addresses(host).await?;
        judge(policy, host, &addresses, port)
    }

    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, FetchError> {
        if let Some(address) = host.ip() {
            return Ok(vec![address]);
        }
        let name = host.as_str();
        if let Some(addresses) = self.static_hosts.get(name) {
            return Ok(addresses.clone());
        }
        if let Some(addresses) = localhost_addresses(name) {
            return Ok(addresses.to_vec());
        }
        let cached = self.cache.lock().ok().and_then(|cache| cache.get(name, Instant::now()));
        if let Some(addresses) = cached {
            EgressCounters::add(&self.counters.dns_cache_hits, 1);
            return Ok(addresses);
        }
        let (addresses, ttl) = self.look_up(name).await?;
        if let Ok(mut cache) = self.cache.lock() {
            cache.put(name, addresses.clone(), ttl, Instant::now());
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), FetchError> {
        let failed = |cause: String| FetchError::Dns { host: name.to_owned(), cause };
        EgressCounters::add(&self.counters.dns_lookups, 1);
        let system = self
            .system
            .get_or_init(|| library_resolver(&self.name_servers))
            .as_ref()
            .map_err(|cause| failed(cause.clone()))?;
        let look_up = async {
            self.rate.until_ready().await;
            system.lookup_ip(format!("{name}.")).await
        };
        let found = tokio::time::timeout(self.timeout, look_up)
            .await
            .map_err(|_| failed(format!("no answer within {:?}", self.timeout)))?
            .map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<IpAddr> = found.iter().take(MAX_ADDRESSES).collect();
        let ttl = found.valid_until().saturating_duration_since(Instant::now());
        if addresses.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok((addresses, ttl)) }
    }
}

/// Our own cache keeps answers within bounds of ours, so the library's is off.
fn library_resolver(name_servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let mut builder = if name_servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| error.to_string())?
    } else {
        let servers = name_servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(|error| error.to_string())
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// Keeps what is allowed. IPv4 first: hosts whose IPv6 is broken are common, the reverse is not.
fn judge(policy: &Policy, host: &Host, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, FetchError> {
    let mut denied: Option<Denied> = None;
    let mut allowed = Vec::new();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match policy.check_address(*address) {
            Ok(()) => allowed.push(SocketAddr::new(address.to_canonical(), port)),
            Err(reason) => denied = denied.or(Some(reason)),
        }
    }
    allowed.sort_by_key(SocketAddr::is_ipv6);
    match denied {
        Some(reason) if allowed.is_empty() => Err(FetchError::Denied(reason)),
        None if allowed.is_empty() => {
            Err(FetchError::Dns { host: host.to_string(), cause: "it has no address".to_owned() })
        }
        _ => Ok(allowed),
    }
}
