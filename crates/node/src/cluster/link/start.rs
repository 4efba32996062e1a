//! How a link begins, and its fixed limits.

use super::accept;
use super::cookie::Key;
use super::counters::Counters;
use super::error::LinkError;
use super::gateway::{self, Gateway};
use super::request::Handler;
use super::shared::{Identity, Shared};
use super::tls::TlsMaterial;
use super::transport;
use argiope_protocol::{NodeName, Role, Timestamp};
use ractor::Actor;
use ractor::concurrency::JoinHandle;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// For everything between a connection and a session, on either side.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// Incoming handshakes under way at once. A silent client holds one for 5 s.
const MAX_HANDSHAKES: usize = 64;
/// Claims and leases expire by wall clocks, so nodes whose clocks differ by more than this do not work together.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);
/// Whether so many milliseconds are too many.
pub(super) const fn is_skewed(clock_ahead: i64) -> bool {
    clock_ahead.unsigned_abs() > MAX_CLOCK_SKEW.as_secs() * 1000
}

/// A cookie for a link that is open to a network: 32 bytes cannot be guessed.
const MIN_COOKIE_BYTES: usize = 32;

/// What a link needs to know.
pub(crate) struct LinkOptions {
    /// This node's name.
    pub(crate) name: NodeName,
    /// Names this run of its process.
    pub(crate) boot: Uuid,
    /// Name of the cluster.
    pub(crate) cluster_id: String,
    /// Shared secret of the nodes; may be empty on loopback.
    pub(crate) cookie: String,
    /// Where to listen, `HOST:PORT`; port 0 asks for a free one.
    pub(crate) listen: String,
    /// Certificates; `None` on loopback only.
    pub(crate) tls: Option<TlsMaterial>,
    /// What this node does.
    pub(crate) roles: Vec<Role>,
    /// Oldest and newest version of the wire that this node speaks: [`argiope_protocol::cluster::WIRE_VERSIONS`].
    pub(crate) wire: (u16, u16),
}

/// What only tests change.
pub(super) struct Settings {
    /// The wall clock.
    pub(super) clock: fn() -> Timestamp,
    /// Whether the node refuses to start with another node's certificate.
    pub(super) checks_own_name: bool,
    /// Where tasks run.
    pub(super) runtime: Handle,
}

impl Default for Settings {
    /// Inside a runtime only.
    fn default() -> Self {
        Self { clock: argiope_actors::support::now, checks_own_name: true, runtime: Handle::current() }
    }
}

/// Starts everything.
pub(super) async fn start(
    options: LinkOptions,
    handler: Arc<dyn Handler>,
    settings: Settings,
) -> Result<Arc<Shared>, LinkError> {
    let LinkOptions { name, boot, cluster_id, cookie, listen, tls, roles, wire } = options;
    if settings.checks_own_name && tls.as_ref().is_some_and(|tls| !tls.is_for(&name)) {
        return Err(LinkError::Certificate(format!("it is not that of {name}: its names do not include it")));
    }
    let (listener, local_addr) = listen_at(&listen, tls.is_some(), cookie.len()).await?;
    let (node_server, server_task) = transport::start(&name, boot, &cookie).await?;
    let key = Key::of(&cookie);
    let shared = Arc::new(Shared {
        identity: Identity { name: name.clone(), boot, cluster: cluster_id, roles, wire, key, tls },
        settings,
        handler,
        counters: Arc::new(Counters::default()),
        local_addr,
        node_server,
        gateway: OnceLock::new(),
        handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        serving: TaskTracker::new(),
        table: Mutex::default(),
    });
    let gateway = Actor::spawn(Some(gateway::name_of(&name, boot)), Gateway, Arc::clone(&shared)).await;
    let (gateway, gateway_task) = match gateway {
        Ok(spawned) => spawned,
        Err(error) => {
            shared.node_server.stop(None);
            return Err(LinkError::Actors(error.to_string()));
        }
    };
    drop(shared.gateway.set(gateway));
    transport::subscribe(&shared);
    shared.tasks.spawn(accept::listen(Arc::clone(&shared), listener));
    shared.tasks.spawn(watch(Arc::clone(&shared), server_task, gateway_task));
    tracing::info!(node = %name, %boot, address = %local_addr, "the link listens");
    Ok(shared)
}

/// Binds, after looking whether the address may be bound at all.
async fn listen_at(listen: &str, has_tls: bool, n_cookie_bytes: usize) -> Result<(TcpListener, SocketAddr), LinkError> {
    let cannot = |source| LinkError::Listen { address: listen.to_owned(), source };
    let addresses: Vec<SocketAddr> = lookup_host(listen).await.map_err(cannot)?.collect();
    let is_loopback = addresses.iter().all(|address| address.ip().is_loopback());
    let missing = match (has_tls, n_cookie_bytes >= MIN_COOKIE_BYTES) {
        _ if is_loopback => None,
        (false, _) => Some("certificates"),
        (true, false) => Some("a cookie of at least 32 bytes"),
        (true, true) => None,
    };
    if let Some(missing) = missing {
        return Err(LinkError::Unsafe { address: listen.to_owned(), missing });
    }
    let listener = TcpListener::bind(&addresses[..]).await.map_err(cannot)?;
    let local_addr = listener.local_addr().map_err(cannot)?;
    Ok((listener, local_addr))
}

/// The two actors end when the link stops and not before. Without them there is no link: sessions are closed, so that
/// callers know at once, and the node is better started anew.
async fn watch(shared: Arc<Shared>, server: JoinHandle<()>, gateway: JoinHandle<()>) {
    tokio::select! {
        () = shared.stopping.cancelled() => return,
        _ = server => {}
        _ = gateway => {}
    }
    tracing::error!("an actor of the link has ended: the node is cut off, restart it");
    shared.stopping.cancel();
    let sessions = shared.table().sessions();
    for session in sessions {
        shared.close(&session, "an actor of the link has ended");
    }
}
