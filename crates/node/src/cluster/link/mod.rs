//! The link: how a node asks another one something and gets an answer, or learns soon that it will not.
//!
//! `ractor_cluster` carries the messages, in isolated mode, between one gateway actor a node: nothing else of a node
//! can be reached from outside. Everything it lacks is here, around it:
//!
//! 1. Streams. [`accept`] and [`dial`] make them, with mutual TLS ([`tls`]), deadlines, back-off with jitter and a
//!    bound on handshakes under way; [`guard`] cuts one that falls silent or stalls. The transport's own listener
//!    takes plain TCP and cannot be left out: it is bound to a free port of loopback, and a session that comes through
//!    it is stopped as it opens.
//! 2. Greetings ([`greet`]). Before the transport sees a stream, both sides have said who they are, agreed on a
//!    version, proved that they know the cookie, and refused by name whom they do not want.
//! 3. Sessions ([`session`], [`table`]). One for each peer; a second stream to the same peer is resolved by a rule that
//!    both sides share. The transport has no bounds, so a [`window`] of unanswered envelopes is one, and a [`heartbeat`]
//!    closes a session after 5 s of silence, which the transport would notice after a quarter of an hour.
//! 4. Calls. [`session`] sends them and matches the answers, [`serve`] handles those of the peer. Ids of our own, since
//!    a remote call of the transport answers a timeout and a dead peer alike.
//!
//! Whoever calls must expect that a call is lost, done twice or done without an answer.

mod accept;
mod cookie;
mod counters;
mod dial;
mod error;
mod gateway;
mod greet;
mod guard;
mod heartbeat;
#[cfg(feature = "sabotage")]
mod later;
mod peers;
mod request;
mod serve;
mod session;
mod shared;
mod socket;
mod start;
mod stop;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod transport;
mod window;

pub(crate) use counters::Counters;
pub(crate) use error::LinkError;
pub(crate) use peers::{Peer, PeerAddress, PeerState, PeerStatus};
pub(crate) use request::{Handler, Refusal, Request};
pub(crate) use start::LinkOptions;
pub(crate) use tls::TlsMaterial;

use argiope_protocol::NodeName;
use bytes::Bytes;
use shared::Shared;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// This node's link to the others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

impl Link {
    /// Listens, and answers what others ask through `handler`. Dials nobody until [`Link::set_peers`].
    ///
    /// # Errors
    /// When the address cannot be listened at, is not loopback without certificates and a cookie, or the certificate
    /// is not this node's.
    pub(crate) async fn start(options: LinkOptions, handler: Arc<dyn Handler>) -> Result<Self, LinkError> {
        Self::start_with(options, handler, start::Settings::default()).await
    }

    async fn start_with(
        options: LinkOptions,
        handler: Arc<dyn Handler>,
        settings: start::Settings,
    ) -> Result<Self, LinkError> {
        Ok(Self { shared: start::start(options, handler, settings).await? })
    }

    /// Where it listens; a port 0 that was asked for has become a free one.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// Whom to be linked with; replaces what was said before. Sessions of peers that were listed and are no longer are
    /// closed; one that came in from a peer that was not listed yet has ten seconds to appear in the list. A peer
    /// listed with another boot than its session's is dialled anew at once.
    pub(crate) fn set_peers(&self, peers: Vec<PeerAddress>) {
        dial::set_peers(&self.shared, peers);
    }

    /// Asks a peer and waits for its answer, at most until `deadline` has passed: first for room in the peer's window,
    /// then for the answer.
    ///
    /// # Errors
    /// See [`LinkError`]. Only [`LinkError::Refused`] says that the call was not done.
    ///
    /// # Cancel
    /// Dropping the future drops the answer; the call may still be done.
    pub(crate) async fn call(&self, peer: &NodeName, request: Request, deadline: Duration) -> Result<Bytes, LinkError> {
        self.shared.call(peer, request, deadline).await
    }

    /// How things stand with each listed or linked peer, by name.
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        self.shared.table().statuses()
    }

    /// What the link counted since its start.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Takes no more calls, lets those under way be answered (2 s), takes leave of every peer so that nothing that was
    /// sent is lost (1 s), and closes everything.
    pub(crate) async fn stop(&self) {
        stop::stop(&self.shared).await;
    }
}
