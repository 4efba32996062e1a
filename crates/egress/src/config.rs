//! What a client is made from.

use crate::client::SharedGate;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;
use url::Url;

/// Settings of a [`crate::GuardedClient`]. Nothing is read from the environment.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// `User-Agent`, product token and contact included.
    pub user_agent: String,
    /// Denied ranges that are opened.
    pub allow_cidrs: Vec<IpNet>,
    /// Replaces the default ports.
    pub allow_ports: Option<Vec<u16>>,
    /// Addresses of names that are not looked up, like curl's `--resolve`. They are judged like DNS answers.
    pub static_hosts: BTreeMap<String, Vec<IpAddr>>,
    /// DNS servers to ask instead of the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Look-ups per second, so that a page of a thousand hosts does not flood the network's resolver. Answers from
    /// the cache are not counted.
    pub max_lookups_per_sec: NonZeroU32,
    /// For one name's look-up, waiting for its turn included.
    pub dns_timeout: Duration,
    /// For TCP, the proxy's tunnel and TLS, over all addresses tried.
    pub connect_timeout: Duration,
    /// For the whole exchange, from the look-up to the last byte; waiting for a new start window not counted.
    pub total_timeout: Duration,
    /// A body that comes slower over 10 seconds is given up.
    pub min_bytes_per_sec: u64,
    /// Bytes of an answer's head, at least 8,192.
    pub max_header_bytes: usize,
    /// Connections to one address at once, used and idle ones together.
    pub per_ip: u16,
    /// Bounds requests to one address at once beyond this client.
    pub gate: Option<SharedGate>,
    /// Idle connections kept in all.
    pub max_idle: usize,
    /// An HTTP proxy, reached by `CONNECT` for http and https alike: addresses are chosen and judged here.
    pub proxy: Option<Url>,
    /// Certificate authorities trusted beside the public ones, as PEM.
    pub extra_ca_pem: Option<Vec<u8>>,
}

/// A home router's resolver answers some hundreds of queries a second; each look-up is two (A and AAAA).
const MAX_LOOKUPS_PER_SEC: NonZeroU32 = NonZeroU32::new(50).expect("50 is not zero");

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("argiope/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_cidrs: Vec::new(),
            allow_ports: None,
            static_hosts: BTreeMap::new(),
            name_servers: Vec::new(),
            max_lookups_per_sec: MAX_LOOKUPS_PER_SEC,
            dns_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            // A slow modem gives 4,000; one byte a second is an attack.
            min_bytes_per_sec: 256,
            max_header_bytes: 64 * 1024,
            per_ip: 2,
            gate: None,
            max_idle: 256,
            proxy: None,
            extra_ca_pem: None,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// `user_agent` holds characters that no header may hold, or nothing.
    #[error("the user agent {0:?} is not a header value")]
    UserAgent(String),
    /// The bearer key holds characters that no header may hold.
    #[error("the key is not a header value")]
    Bearer,
    /// `extra_ca_pem` is not PEM, or holds no certificate.
    #[error("the extra certificate authorities cannot be read: {0}")]
    Certificates(String),
    /// `proxy` is no `http://host[:port]` URL.
    #[error("the proxy {0} is not of the form http://host:port without user name")]
    Proxy(Url),
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
