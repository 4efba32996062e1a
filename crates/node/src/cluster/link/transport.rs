//! The seam to `ractor_cluster`: its node server, what it tells of sessions, and how it gets a stream.
//!
//! Its names are `name#boot`, so that another run of a node is another peer to it. The part after the `@` must differ
//! between nodes too: two whose "host:port" are equal take each other for themselves, and the port is that of the
//! plain listener that is never used.

use super::cookie;
use super::counters::count;
use super::error::LinkError;
use super::gateway;
use super::guard::Guarded;
use super::heartbeat;
use super::peers::Peer;
use super::session::Session;
use super::shared::Shared;
use super::socket::Stream;
use super::start::HANDSHAKE;
use argiope_protocol::NodeName;
use argiope_protocol::wire::MAX_ENVELOPE_BYTES;
use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorId, ActorRef};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{IncomingEncryptionMode, NodeEventSubscription, NodeServer, NodeServerMessage};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use tokio::time::timeout;
use uuid::Uuid;

/// A frame holds an envelope, or what the transport says itself; that is short, since one actor is announced.
const MAX_FRAME_BYTES: u64 = MAX_ENVELOPE_BYTES as u64 + 64 * 1024;

/// Starts the node server. Its listener cannot be left out; it gets a free port of loopback.
pub(super) async fn start(
    name: &NodeName,
    boot: Uuid,
    cookie: &str,
) -> Result<(ActorRef<NodeServerMessage>, JoinHandle<()>), LinkError> {
    let server = NodeServer::new(
        0,
        cookie::of_transport(cookie),
        format!("{name}#{boot}"),
        boot.to_string(),
        Some(IncomingEncryptionMode::Raw),
        Some(NodeConnectionMode::Isolated),
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
    .with_max_inbound_frame_size(MAX_FRAME_BYTES);
    Actor::spawn(None, server, ()).await.map_err(|error| LinkError::Actors(error.to_string()))
}

/// Hears of sessions from now on.
pub(super) fn subscribe(shared: &Arc<Shared>) {
    let subscription = Box::new(Events(Arc::downgrade(shared)));
    // It fails only when the server has ended, which its watcher notices.
    drop(shared.node_server.cast(NodeServerMessage::SubscribeToEvents { id: "argiope-link".to_owned(), subscription }));
}

/// Gives a session its stream and waits until calls can use it.
pub(super) async fn open(shared: &Arc<Shared>, session: &Arc<Session>, stream: Box<dyn Stream>) -> bool {
    let (label, cut, counters) = (session.label.clone(), session.cut.clone(), Arc::clone(&shared.counters));
    let stream = Box::new(Guarded { stream, label, cut, counters });
    let is_server = session.terms.dialled.is_none();
    let opened = NodeServerMessage::ConnectionOpenedExternal { stream, is_server };
    if shared.node_server.cast(opened).is_err() {
        session.ended.cancel();
        shared.close(session, "the actors of the link have ended");
        return false;
    }
    let ready = async {
        tokio::select! {
            () = session.cut.cancelled() => false,
            _ = session.outbox.wait() => true,
        }
    };
    let is_ready = timeout(HANDSHAKE, ready).await.unwrap_or(false);
    if !is_ready {
        shared.close(session, "the transport's own handshake did not end in time");
        return false;
    }
    let Peer { name, boot, .. } = &session.terms.peer;
    let (version, address) = (session.terms.version, session.terms.dialled.as_deref());
    tracing::info!(peer = %name, %boot, version, dialled = address, "linked with a node");
    count(&shared.counters.sessions_opened);
    shared.table().accepted(session);
    shared.tasks.spawn(heartbeat::watch(Arc::clone(shared), Arc::clone(session)));
    true
}

/// What the node server tells. It waits for each call to return, so that none waits for anything.
struct Events(Weak<Shared>);

impl Events {
    fn session(&self, information: &NodeServerSessionInformation) -> Option<(Arc<Shared>, Option<Arc<Session>>)> {
        let shared = self.0.upgrade()?;
        let session = shared.table().of_label(&information.peer_addr);
        Some((shared, session))
    }
}

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, information: NodeServerSessionInformation) {
        let cell = information.actor.get_cell();
        match self.session(&information) {
            Some((_, Some(session))) => {
                drop(session.actor.set(cell.clone()));
                if session.cut.is_cancelled() {
                    cell.stop(None);
                }
            }
            // Only through the plain listener: our own streams are in the table before they are handed over.
            Some((shared, None)) => {
                count(&shared.counters.handshakes_dropped);
                cell.stop(None);
            }
            None => cell.stop(None),
        }
    }

    fn node_session_disconnected(&self, information: NodeServerSessionInformation) {
        let Some((shared, Some(session))) = self.session(&information) else { return };
        session.ended.cancel();
        shared.close(&session, "the stream ended");
        shared.table().forget(&information.peer_addr);
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    /// By now the peer's actors are announced. Its gateway is known by its name.
    fn node_session_ready(&self, information: NodeServerSessionInformation) {
        let Some((shared, Some(session))) = self.session(&information) else { return };
        let peer = &session.terms.peer;
        let name = gateway::name_of(&peer.name, peer.boot);
        let is_gateway = |cell: &ractor::ActorCell| {
            matches!(cell.get_id(), ActorId::Remote { .. }) && cell.get_name().as_deref() == Some(name.as_str())
        };
        match information.actor.get_children().into_iter().find(is_gateway) {
            Some(cell) => drop(session.outbox.set(ActorRef::from(cell))),
            None => shared.close(&session, "the peer has no gateway"),
        }
    }
}
