//! How a link ends. The transport drops what it has queued when it is stopped, so that every peer is first asked to
//! confirm that it has read everything.

use super::heartbeat::BEAT;
use super::shared::Shared;
use argiope_protocol::wire::Kind;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// For calls of peers that are under way.
const ANSWERS: Duration = Duration::from_secs(2);

/// See [`Link::stop`](super::Link::stop).
pub(super) async fn stop(shared: &Arc<Shared>) {
    shared.stopping.cancel();
    shared.serving.close();
    if timeout(ANSWERS, shared.serving.wait()).await.is_err() {
        tracing::warn!(n_calls = shared.serving.len(), "calls of other nodes are left unanswered");
    }
    let sessions = shared.table().sessions();
    // A pong comes after everything that was sent before its ping, on the same stream.
    let farewells = sessions.iter().filter_map(|session| session.ping(Kind::Bye, shared.now()));
    drop(timeout(BEAT, join_all(farewells)).await);
    for session in &sessions {
        shared.close(session, "the node is stopping");
    }
    drop(timeout(BEAT, join_all(sessions.iter().map(|session| session.ended.cancelled()))).await);
    shared.node_server.stop(None);
    if let Some(gateway) = shared.gateway.get() {
        gateway.stop(None);
    }
    shared.tasks.close();
    drop(timeout(BEAT, shared.tasks.wait()).await);
}
