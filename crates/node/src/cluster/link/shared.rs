//! What all parts of a link share, and a call's way through it.

use super::cookie::Key;
use super::counters::{Counters, count};
use super::error::LinkError;
use super::gateway::Delivery;
use super::request::{Handler, Refusal, Request};
use super::session::{Answer, Session};
use super::start::Settings;
use super::table::Table;
use super::tls::TlsMaterial;
use argiope_protocol::wire::{Envelope, Kind, Reason};
use argiope_protocol::{NodeName, Role, Timestamp};
use bytes::Bytes;
use ractor::ActorRef;
use ractor_cluster::NodeServerMessage;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Who this node is.
pub(super) struct Identity {
    pub(super) name: NodeName,
    pub(super) boot: Uuid,
    pub(super) cluster: String,
    pub(super) roles: Vec<Role>,
    pub(super) wire: (u16, u16),
    pub(super) key: Key,
    pub(super) tls: Option<TlsMaterial>,
}

/// The inside of a link.
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) counters: Arc<Counters>,
    pub(super) local_addr: SocketAddr,
    pub(super) node_server: ActorRef<NodeServerMessage>,
    pub(super) gateway: OnceLock<ActorRef<Delivery>>,
    /// Handshakes that may be under way at once, those of strangers included.
    pub(super) handshakes: Arc<Semaphore>,
    /// Nothing new is begun.
    pub(super) stopping: CancellationToken,
    /// Loops, dials and heartbeats.
    pub(super) tasks: TaskTracker,
    /// Calls of peers under way.
    pub(super) serving: TaskTracker,
    pub(super) table: Mutex<Table>,
}

impl Shared {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }

    /// See [`Link::call`](super::Link::call).
    pub(super) async fn call(&self, peer: &NodeName, request: Request, deadline: Duration) -> Result<Bytes, LinkError> {
        if self.stopping.is_cancelled() {
            return Err(LinkError::Stopped);
        }
        let session = self.table().ready(peer);
        let outcome = match session {
            Some(session) => self.call_in(&session, request, deadline).await,
            None => Err(LinkError::Down(peer.clone())),
        };
        match &outcome {
            Err(LinkError::Timeout(_)) => count(&self.counters.calls_timed_out),
            Err(LinkError::Down(_)) => count(&self.counters.calls_cut_off),
            Err(LinkError::Refused { .. }) => count(&self.counters.calls_refused),
            _ => {}
        }
        outcome
    }

    async fn call_in(&self, session: &Session, request: Request, deadline: Duration) -> Result<Bytes, LinkError> {
        let until = Instant::now() + deadline;
        let peer = || session.terms.peer.name.clone();
        let correlation = session.next_correlation();
        let Request { tenant, job, shard, epoch, trace, body } = request;
        let deadline = self.now().after(deadline);
        let envelope = Envelope { kind: Kind::Call, correlation, tenant, job, shard, epoch, deadline, trace, body };
        let bytes = session.encode(&envelope).map_err(LinkError::TooLarge)?;
        drop(envelope);

        let n_bytes = bytes.len() - session.terms.token_out.len();
        let room = match session.window.try_acquire(n_bytes) {
            Some(room) => room,
            None => {
                let since = Instant::now();
                let turn = timeout_at(until, session.window.acquire(n_bytes)).await;
                self.counters.waited(since.elapsed());
                turn.map_err(|_| LinkError::Full(peer()))?.ok_or_else(|| LinkError::Down(peer()))?
            }
        };
        let answer = session.expect(correlation, Some(room)).ok_or_else(|| LinkError::Down(peer()))?;
        if !session.send(bytes) {
            return Err(LinkError::Down(peer()));
        }
        match timeout_at(until, answer).await {
            Err(_) => Err(LinkError::Timeout(peer())),
            Ok(Err(_)) => Err(LinkError::Down(peer())),
            Ok(Ok(Answer::Reply(body))) => Ok(body),
            Ok(Ok(Answer::Refusal(refusal))) if refusal.code == Refusal::EXPIRED => Err(LinkError::Timeout(peer())),
            Ok(Ok(Answer::Refusal(refusal))) => Err(LinkError::Refused { peer: peer(), refusal }),
            // A peer that answers a call with a pong has not done it.
            Ok(Ok(Answer::Pong)) => Err(LinkError::Down(peer())),
        }
    }

    /// Ends a session, once, and says why.
    pub(super) fn close(&self, session: &Arc<Session>, why: &str) {
        let was_ready = session.outbox.get().is_some();
        if !session.close() {
            return;
        }
        self.table().close(session);
        let (peer, boot) = (&session.terms.peer.name, &session.terms.peer.boot);
        if was_ready {
            count(&self.counters.sessions_closed);
            tracing::info!(%peer, %boot, why, "the link to a node is closed");
        } else {
            tracing::debug!(%peer, %boot, why, "a session ended before calls could use it");
        }
    }

    /// Logs a refusal the first time and counts every one.
    pub(super) fn refused(&self, who: &str, reason: Reason, text: &str) {
        count(&self.counters.handshakes_refused);
        let code = reason.code();
        if self.table().refused(who, code, text) {
            tracing::warn!(%code, peer = who, "nodes refuse to be linked: {text}");
        }
    }
}
