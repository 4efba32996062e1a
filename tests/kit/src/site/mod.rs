//! A site: several hosts on loopback, each with its own address, one port, one access log.
//!
//! A host is found by the `Host` field (its name or its address), else by the address that was connected to. So a
//! crawler with a resolver of its own can be given `http://127.0.0.7:PORT/` URLs, of which each counts as another
//! host with another IP address, while a client that pins names can ask for `a.test`.

mod behaviour;
mod generated;
mod tree;

pub use behaviour::{Behaviour, FailureKind, Failures};
pub use generated::{Expected, Generated, unique_word};
pub use tree::Tree;

use crate::access_log::AccessLog;
use crate::http::{Gate, Request, Response, serve};
use behaviour::Injector;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// Connections at once in all; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4_096;
/// Tries to find a port that is free on all addresses.
const PORT_TRIES: usize = 50;

/// What a host answers.
pub trait Content: Send + Sync + 'static {
    /// The answer to a request. `hosts` are all hosts of the site, for links between them.
    fn answer(&self, request: &Request, hosts: &[SiteHost]) -> Response;
}

/// One host of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteHost {
    /// Its name, which no resolver knows.
    pub name: String,
    /// Its own address.
    pub address: IpAddr,
    /// The site's port.
    pub port: u16,
}

impl SiteHost {
    /// The URL of a path (beginning with `/`) by address: it needs no resolver.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.address, self.port)
    }

    /// The URL of a path by name.
    #[must_use]
    pub fn named_url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.name, self.port)
    }

    /// By address or by name, as the asking request did.
    #[must_use]
    pub fn url_like(&self, request: &Request, path: &str) -> String {
        if request.host().parse::<IpAddr>().is_ok() { self.url(path) } else { self.named_url(path) }
    }
}

/// Describes a site before it is started.
#[derive(Default)]
pub struct SiteBuilder {
    hosts: Vec<(String, Arc<dyn Content>, Behaviour)>,
    port: u16,
    log_file: Option<PathBuf>,
    network: Option<[u8; 2]>,
}

impl SiteBuilder {
    /// One more host.
    #[must_use]
    pub fn host(mut self, name: &str, content: impl Content, behaviour: Behaviour) -> Self {
        self.hosts.push((name.to_ascii_lowercase(), Arc::new(content), behaviour));
        self
    }

    /// A fixed port; 0 takes a free one.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Writes the access log to a file too.
    #[must_use]
    pub fn log_file(mut self, path: &Path) -> Self {
        self.log_file = Some(path.to_owned());
        self
    }

    /// Hosts lie at addresses that begin with these bytes, which must be this network namespace's own; otherwise on loopback.
    #[must_use]
    pub const fn network(mut self, network: [u8; 2]) -> Self {
        self.network = Some(network);
        self
    }

    /// Binds and serves until the site is dropped.
    ///
    /// # Errors
    /// When a port or the log file cannot be had.
    pub async fn start(self) -> io::Result<Site> {
        let log = AccessLog::open(self.log_file.as_deref())?;
        let network = self.network.unwrap_or([127, 0]);
        let addresses: Vec<Ipv4Addr> =
            (0..self.hosts.len()).map(|n| nth_address(network, n)).collect::<io::Result<_>>()?;
        let (port, listeners) = bind_all(&addresses, self.port).await?;
        let host = |((name, ..), address): (&(String, _, _), &Ipv4Addr)| SiteHost {
            name: name.clone(),
            address: IpAddr::V4(*address),
            port,
        };
        let hosts: Vec<SiteHost> = self.hosts.iter().zip(&addresses).map(host).collect();
        let router = Arc::new(Router::new(&hosts, self.hosts));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let number = Arc::new(AtomicU64::new(0));
        let accept = |listener| {
            let (router, log) = (Arc::clone(&router), log.clone());
            tokio::spawn(accept(listener, router, log, Arc::clone(&room), Arc::clone(&number)))
        };
        let tasks = listeners.into_iter().map(accept).collect();
        Ok(Site { hosts, log, tasks })
    }
}

/// A running site.
#[derive(Debug)]
pub struct Site {
    hosts: Vec<SiteHost>,
    log: AccessLog,
    tasks: Vec<JoinHandle<()>>,
}

impl Site {
    /// An empty description.
    #[must_use]
    pub fn builder() -> SiteBuilder {
        SiteBuilder::default()
    }

    /// `n_hosts` hosts named `h0.test`, `h1.test`, … of `pages_per_host` linked pages each, on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn generated(n_hosts: usize, pages_per_host: usize, seed: u64) -> io::Result<Self> {
        let host = |builder: SiteBuilder, n| {
            builder.host(&format!("h{n}.test"), Generated::new(n, pages_per_host, seed), Behaviour::default())
        };
        (0..n_hosts).fold(Self::builder(), host).start().await
    }

    /// The hosts, in the order in which they were described.
    #[must_use]
    pub fn hosts(&self) -> &[SiteHost] {
        &self.hosts
    }

    /// What was asked for.
    #[must_use]
    pub const fn log(&self) -> &AccessLog {
        &self.log
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Served {
    content: Arc<dyn Content>,
    think: Duration,
    injector: Injector,
}

struct Router {
    hosts: Vec<SiteHost>,
    served: Vec<Served>,
    /// By name and by address.
    places: HashMap<String, usize>,
}

impl Router {
    fn new(hosts: &[SiteHost], described: Vec<(String, Arc<dyn Content>, Behaviour)>) -> Self {
        let mut places = HashMap::new();
        for (place, host) in hosts.iter().enumerate() {
            places.insert(host.name.clone(), place);
            places.insert(host.address.to_string(), place);
        }
        let served = described.into_iter().map(|(_, content, behaviour)| Served {
            content,
            think: behaviour.think,
            injector: Injector::new(behaviour.failures),
        });
        Self { hosts: hosts.to_vec(), served: served.collect(), places }
    }
}

impl Gate for Router {
    fn answer(&self, request: &Request, local: SocketAddr) -> (Duration, Response) {
        let place = self.places.get(&request.host()).or_else(|| self.places.get(&local.ip().to_string()));
        let Some(served) = place.and_then(|place| self.served.get(*place)) else {
            return (Duration::ZERO, Response::status(404));
        };
        let response = served.content.answer(request, &self.hosts);
        (served.think, served.injector.apply(request, response))
    }
}

async fn accept(
    listener: TcpListener,
    router: Arc<Router>,
    log: AccessLog,
    room: Arc<Semaphore>,
    number: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, log) = (Arc::clone(&router), log.clone());
                let number = number.fetch_add(1, Ordering::Relaxed) + 1;
                connections.spawn(async move {
                    // A client that breaks off is a matter of the client.
                    let _ = serve(stream, number, router.as_ref(), &log).await;
                    drop(permit);
                });
            }
            // Out of file handles: they come back when connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn nth_address([first, second]: [u8; 2], n: usize) -> io::Result<Ipv4Addr> {
    let too_many = |_| io::Error::other("a site has at most 62,500 hosts");
    let [third, fourth] = [n / 250, n % 250 + 1].map(u8::try_from);
    Ok(Ipv4Addr::new(first, second, third.map_err(too_many)?, fourth.map_err(too_many)?))
}

async fn bind_all(addresses: &[Ipv4Addr], port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut last = io::Error::other("a site needs a host");
    for _ in 0..PORT_TRIES {
        match try_bind_all(addresses, port).await {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
        if port != 0 {
            break;
        }
    }
    Err(last)
}

async fn try_bind_all(addresses: &[Ipv4Addr], port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    for address in addresses {
        let listener = TcpListener::bind((*address, port)).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    if listeners.is_empty() {
        return Err(io::Error::other("a site needs a host"));
    }
    Ok((port, listeners))
}
