//! One request, one answer: no redirects, no retries of what may have reached a server, no state but connections.
//!
//! Built on hyper's connections, not on a client library with a pool of its own. Such a pool decides which connection
//! a request gets, dials in the background, and writes a head a second time when a kept connection turns out closed:
//! then nobody can say to which judged address a request goes, or that its window was open when its head was written.
//! Here both hold by the order of the lines in [`GuardedClient::fetch`]'s exchange.

mod api;
mod body;
mod connect;
mod decode;
mod gate;
mod pool;
mod post;
mod rate;
mod request;
mod response;
mod watch;
mod window;

pub use api::{ApiAnswer, ApiClient, ApiConfig, ApiError, ApiRequest, ApiStream};
#[cfg(test)]
pub(crate) use body::READ_BUFFER;
pub use gate::{AddressGate, AddressPlace, SharedGate};
pub use post::{JsonAnswer, JsonPost};
pub use request::{Accept, FetchRequest};
pub use response::FetchResponse;
pub use window::{AlwaysOpen, StartWindow, WindowMissed};

use crate::config::{BuildError, EgressConfig};
use crate::counters::EgressCounters;
use crate::error::FetchError;
use crate::policy::{Denied, Policy};
use crate::resolver::Resolver;
use argiope_protocol::sabotage::Fault;
use argiope_protocol::{CanonicalUrl, Host, Origin};
use body::{AtCap, Limits};
use bytes::Bytes;
use connect::{Connection, Connector, protocol};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use pool::Pool;
use request::Outgoing;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// New starts that are asked for before one request: each may pass while its answer is on its way.
const MAX_STARTS: u32 = 3;
/// Of an answer that is no page its status matters: its body is kept up to here, and never fails the fetch.
const MAX_ERROR_BODY: u64 = 64 * 1024;

/// The guarded way out. Cheap to share behind an `Arc`.
pub struct GuardedClient {
    policy: Policy,
    resolver: Resolver,
    connector: Connector,
    pool: Pool,
    api_pool: Pool,
    user_agent: HeaderValue,
    total_timeout: Duration,
    min_bytes_per_sec: u64,
    gate: Option<SharedGate>,
    counters: Arc<EgressCounters>,
}

/// One exchange under way: everything that its steps share.
struct Exchange<'a> {
    outgoing: Outgoing,
    origin: Origin,
    policy: &'a Policy,
    pool: &'a Pool,
    window: Arc<dyn StartWindow>,
    /// Counts requests to the address beyond this client.
    gate: Option<&'a dyn AddressGate>,
    /// The request's place there, kept until the answer was read.
    place: Option<AddressPlace>,
    total_timeout: Duration,
    deadline: Instant,
}

impl GuardedClient {
    /// # Errors
    /// When a setting cannot be used.
    pub fn try_new(config: EgressConfig) -> Result<Self, BuildError> {
        let user_agent = HeaderValue::from_str(&config.user_agent).ok().filter(|value| !value.is_empty());
        let user_agent = user_agent.ok_or_else(|| BuildError::UserAgent(config.user_agent.clone()))?;
        let counters = Arc::new(EgressCounters::default());
        Ok(Self {
            resolver: Resolver::new(&config, Arc::clone(&counters)),
            connector: Connector::try_new(&config)?,
            pool: Pool::new(config.per_ip, config.max_idle),
            api_pool: Pool::new(post::MAX_CONNECTIONS, usize::from(post::MAX_CONNECTIONS)),
            policy: Policy::new(config.allow_cidrs, config.allow_ports),
            user_agent,
            total_timeout: config.total_timeout,
            min_bytes_per_sec: config.min_bytes_per_sec,
            gate: config.gate,
            counters,
        })
    }

    /// What was counted since the client was made.
    #[must_use]
    pub fn counters(&self) -> &Arc<EgressCounters> {
        &self.counters
    }

    /// Judges what the URL itself says; its name is not looked up.
    ///
    /// # Errors
    /// The rule that denies it.
    pub fn check_url(&self, url: &Url) -> Result<(), Denied> {
        self.policy.check_url(url).inspect_err(|denied| self.counters.count_denial(denied.rule))
    }

    /// The addresses of a host that may be connected.
    ///
    /// # Errors
    /// When it has none, or none that is allowed.
    pub async fn resolve(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        self.resolve_under(&self.policy, host, port).await
    }

    /// Fetches one URL once. A redirect is an answer.
    ///
    /// # Errors
    /// When there is no whole answer within the caps and deadlines.
    ///
    /// # Cancel
    /// Dropping the future closes the connection.
    pub async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        let started = Instant::now();
        self.check_url(request.url.as_url())?;
        let outgoing = Outgoing::get(&request.url, &self.user_agent, request.accept, &request.validators);
        let mut exchange = Exchange {
            outgoing,
            origin: request.url.origin(),
            policy: &self.policy,
            pool: &self.pool,
            window: Arc::clone(&request.window),
            gate: self.gate.as_ref().map(|gate| gate.0.as_ref()),
            place: None,
            total_timeout: self.total_timeout,
            deadline: started + self.total_timeout,
        };
        let (connection, response) = self.exchange(&mut exchange).await?;
        let at_cap = if request.accept == Accept::Robots { AtCap::Truncate } else { AtCap::Fail };
        self.read(exchange, connection, response, request.max_body_bytes, at_cap, started).await
    }

    /// Connects, asks the window, writes. A second connection is made only when the first took no byte of the head.
    async fn exchange(&self, exchange: &mut Exchange<'_>) -> Result<(Connection, Response<Incoming>), FetchError> {
        let late = FetchError::Timeout;
        let mut kept = exchange.pool.take(&exchange.origin);
        loop {
            let is_reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => timeout_at(exchange.deadline, self.connect(exchange))
                    .await
                    .map_err(|_| late(exchange.total_timeout))??,
            };
            let request = exchange.outgoing.to_request(connection.is_http2())?;
            let ready = timeout_at(exchange.deadline, connection.ready()).await;
            match ready.map_err(|_| late(exchange.total_timeout))? {
                Ok(()) => {}
                Err(_) if is_reused => continue,
                Err(error) => return Err(protocol(error)),
            }
            if let Err(error) = self.enter(exchange, connection.address()).await {
                exchange.pool.put(&exchange.origin, connection);
                return Err(error);
            }
            self.ask_window(exchange).await?;
            if !Fault::Window.is_armed() {
                connection.begin_in(Arc::clone(&exchange.window));
            }
            EgressCounters::add(&self.counters.requests, 1);
            EgressCounters::add(&self.counters.connections_reused, u64::from(is_reused));
            let sent = timeout_at(exchange.deadline, connection.send(request)).await;
            match sent.map_err(|_| late(exchange.total_timeout))? {
                Ok(response) => return Ok((connection, response)),
                Err(_) if connection.is_too_late() => {
                    EgressCounters::add(&self.counters.windows_missed, 1);
                    return Err(FetchError::WindowMissed);
                }
                Err(mut error) => {
                    let was_written = error.take_message().is_none();
                    if was_written || !is_reused {
                        return Err(protocol(error.into_error()));
                    }
                }
            }
        }
    }

    async fn connect(&self, exchange: &Exchange<'_>) -> Result<Connection, FetchError> {
        let Origin { host, port, .. } = &exchange.origin;
        let addresses = self.resolve_under(exchange.policy, host, *port).await?;
        let connected = self.connector.connect(exchange.pool, &exchange.origin, &addresses).await;
        match &connected {
            Ok(_) => EgressCounters::add(&self.counters.connections_opened, 1),
            Err(FetchError::PerIpBusy(_)) => EgressCounters::add(&self.counters.per_ip_busy, 1),
            Err(_) => {}
        }
        connected
    }

    async fn resolve_under(&self, policy: &Policy, host: &Host, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        let resolved = self.resolver.resolve(policy, host, port).await;
        if let Err(FetchError::Denied(denied)) = &resolved {
            self.counters.count_denial(denied.rule);
        }
        resolved
    }

    /// Takes a place at the address among all who share its gate; the place of an earlier connection is given back.
    async fn enter(&self, exchange: &mut Exchange<'_>, address: IpAddr) -> Result<(), FetchError> {
        let Some(gate) = exchange.gate else { return Ok(()) };
        exchange.place = None;
        let place = timeout_at(exchange.deadline, gate.enter(address)).await;
        exchange.place = place.map_err(|_| FetchError::Timeout(exchange.total_timeout))?;
        if exchange.place.is_none() {
            EgressCounters::add(&self.counters.per_ip_busy, 1);
            return Err(FetchError::PerIpBusy(address));
        }
        Ok(())
    }

    /// Waiting for a new start is not the server's fault: it does not count against the total timeout, yet has the
    /// same bound itself. A start whose answer was long on its way may have passed before it came, so it is looked at too.
    async fn ask_window(&self, exchange: &mut Exchange<'_>) -> Result<(), FetchError> {
        for _ in 0..MAX_STARTS {
            if exchange.window.is_open() || Fault::Window.is_armed() {
                return Ok(());
            }
            EgressCounters::add(&self.counters.windows_reopened, 1);
            let asked = Instant::now();
            let answer = tokio::time::timeout(exchange.total_timeout, exchange.window.reopen()).await;
            exchange.deadline += asked.elapsed();
            if !matches!(answer, Ok(Ok(()))) {
                break;
            }
        }
        if exchange.window.is_open() {
            return Ok(());
        }
        EgressCounters::add(&self.counters.windows_missed, 1);
        Err(FetchError::WindowMissed)
    }

    async fn read(
        &self,
        exchange: Exchange<'_>,
        connection: Connection,
        response: Response<Incoming>,
        max_body_bytes: u64,
        at_cap: AtCap,
        started: Instant,
    ) -> Result<FetchResponse, FetchError> {
        let (head, incoming) = response.into_parts();
        let status = head.status.as_u16();
        if status < 200 {
            return Err(FetchError::Protocol(format!("status {status} is no final answer")));
        }
        let is_page = (200..300).contains(&status);
        let (max_bytes, at_cap) =
            if is_page { (max_body_bytes, at_cap) } else { (max_body_bytes.min(MAX_ERROR_BODY), AtCap::Truncate) };
        let n_wire = Arc::new(AtomicU64::new(0));
        let limits = Limits { max_bytes, at_cap, min_bytes_per_sec: self.min_bytes_per_sec };
        let reading = async {
            let codings = decode::codings_of(&head.headers).map_err(FetchError::ContentEncoding)?;
            body::read(incoming, &codings, &limits, &n_wire, &self.counters).await
        };
        let outcome = timeout_at(exchange.deadline, reading).await;
        EgressCounters::add(&self.counters.wire_bytes, n_wire.load(Ordering::Relaxed));
        let body = match outcome.unwrap_or(Err(FetchError::Timeout(exchange.total_timeout))) {
            Ok(body) => body,
            Err(_) if !is_page => body::Body { bytes: Bytes::new(), truncated: true },
            Err(error) => return Err(error),
        };
        let remote = connection.remote();
        if !body.truncated {
            exchange.pool.put(&exchange.origin, connection);
        }
        EgressCounters::add(&self.counters.responses, 1);
        Ok(FetchResponse {
            status,
            location: response::location_of(status, &head.headers),
            retry_after: response::retry_after_of(&head.headers, wall_clock()),
            validators: response::validators_of(&head.headers),
            headers: response::headers_of(&head.headers),
            body: body.bytes,
            truncated: body.truncated,
            wire_bytes: n_wire.load(Ordering::Relaxed),
            remote,
            elapsed: started.elapsed(),
        })
    }

    #[cfg(test)]
    pub(crate) fn n_open(&self, address: std::net::IpAddr) -> u16 {
        self.pool.n_open(address)
    }
}

/// The origin of a URL that has been judged to be http or https with a host.
fn origin_of(url: &Url) -> Result<Origin, FetchError> {
    CanonicalUrl::from_url(url.clone()).map(|url| url.origin()).map_err(|error| FetchError::Internal(error.to_string()))
}

#[expect(clippy::disallowed_methods, reason = "only for a Retry-After date of a server that sends no Date")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
