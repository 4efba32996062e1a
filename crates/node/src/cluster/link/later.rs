//! What a later version of this program may send, in a test build that was told so (`Fault::Next`): with each heartbeat an
//! envelope of a kind and a call that nobody knows. What comes back is logged, for the test to read.

use super::request::Request;
use super::session::Session;
use super::shared::Shared;
use argiope_protocol::sabotage::Fault;
use argiope_protocol::wire::{Envelope, Kind};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// No kind of envelope and no call has this number.
const UNKNOWN: u8 = 100;
/// Of an envelope, before which its session's token stands: the version, then the kind.
const KIND_AT: usize = 2;
const PATIENCE: Duration = Duration::from_secs(3);

/// Says it to the peer, if this build was told to.
pub(super) fn speak(shared: &Arc<Shared>, session: &Arc<Session>) {
    if Fault::Next.is_armed() {
        let (shared, session) = (Arc::clone(shared), Arc::clone(session));
        let asking = Arc::clone(&shared);
        shared.tasks.spawn(async move { ask(&asking, &session).await });
    }
}

async fn ask(shared: &Shared, session: &Session) {
    let peer = &session.terms.peer.name;
    let correlation = session.next_correlation();
    let Some(answer) = session.expect(correlation, None) else { return };
    let Ok(mut bytes) = session.encode(&Envelope::bare(Kind::Call, correlation, Bytes::new())) else { return };
    if let Some(kind) = bytes.get_mut(session.terms.token_out.len() + KIND_AT) {
        *kind = UNKNOWN;
    }
    if session.send(bytes)
        && let Ok(Ok(answer)) = timeout(PATIENCE, answer).await
    {
        tracing::info!(%peer, ?answer, "the peer answers an unknown kind");
    }
    let call = Request { body: Bytes::from_static(&[UNKNOWN]), ..Request::default() };
    if let Err(error) = shared.call(peer, call, PATIENCE).await {
        tracing::info!(%peer, %error, "the peer answers an unknown call");
    }
}
