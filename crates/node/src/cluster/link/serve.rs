//! What a peer's envelopes do here: answers go to those who wait, calls to the handler.

use super::counters::count;
use super::request::{Refusal, Request};
use super::session::{Answer, Session};
use super::shared::Shared;
use super::start::is_skewed;
use super::window::Room;
use argiope_protocol::Timestamp;
use argiope_protocol::wire::{Envelope, Kind, WireError};
use bytes::Bytes;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// Calls of one peer that are handled at once. Each may hold an answer of 1 MiB while the peer reads none, so that this
/// is also a bound on memory.
pub(super) const MAX_HANDLERS: usize = 16;

/// Takes one envelope of a session.
pub(super) fn receive(shared: &Arc<Shared>, session: &Arc<Session>, bytes: &Bytes) {
    let version = session.terms.version;
    session.hear();
    session.count_received();
    match Envelope::decode(bytes, (version, version)) {
        Ok(envelope) => take(shared, session, envelope, bytes.len()),
        Err(WireError::UnknownKind { kind, correlation }) => {
            session.drop_message();
            refuse(session, correlation, &Refusal::new(Refusal::VERSION, format!("kind {kind} is not known here")));
        }
        Err(WireError::Version { .. }) => session.drop_message(),
        Err(error @ (WireError::TooLarge { .. } | WireError::Malformed)) => {
            session.drop_message();
            shared.close(session, &format!("the peer breaks the protocol: {error}"));
        }
    }
}

fn take(shared: &Arc<Shared>, session: &Arc<Session>, envelope: Envelope, n_bytes: usize) {
    let correlation = envelope.correlation;
    match envelope.kind {
        Kind::Call => call(shared, session, envelope, n_bytes),
        Kind::Reply => {
            session.read_reply(n_bytes);
            session.answer(correlation, Answer::Reply(envelope.body));
        }
        Kind::Refusal => session.answer(correlation, Answer::Refusal(Refusal::decode(&envelope.body))),
        Kind::Ping => {
            session.send_bare(Kind::Pong, correlation, Bytes::new());
            hear_clock(shared, session, &envelope.body);
        }
        Kind::Pong => session.answer(correlation, Answer::Pong),
        Kind::Ack => {
            let n_bytes = envelope.body.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            session.replies.acknowledged(n_bytes);
        }
        Kind::Bye => {
            session.is_left.store(true, Relaxed);
            session.send_bare(Kind::Pong, correlation, Bytes::new());
        }
    }
}

/// A clock that was set while the session lives: what the greeting would have refused ends it, with the same code when
/// it is dialled again.
fn hear_clock(shared: &Shared, session: &Arc<Session>, body: &[u8]) {
    let Some(bytes) = body.first_chunk::<8>() else { return };
    let theirs = Timestamp::from_millis(u64::from_le_bytes(*bytes));
    if session.hear_clock(theirs, shared.now()).is_some_and(is_skewed) {
        shared.close(session, "the clocks of the two nodes have come to differ too much");
    }
}

fn refuse(session: &Session, correlation: u64, refusal: &Refusal) {
    session.send_bare(Kind::Refusal, correlation, refusal.encode());
}

fn call(shared: &Arc<Shared>, session: &Arc<Session>, envelope: Envelope, n_bytes: usize) {
    let Some(room) = session.incoming.try_acquire(n_bytes) else {
        shared.close(session, "the peer breaks the protocol: it sends more than its window");
        return;
    };
    let Some(left) = session.time_left(envelope.deadline, shared.now()) else {
        count(&shared.counters.calls_expired);
        drop(room);
        refuse(session, envelope.correlation, &Refusal::new(Refusal::EXPIRED, "the deadline had passed"));
        return;
    };
    if shared.stopping.is_cancelled() {
        drop(room);
        refuse(session, envelope.correlation, &Refusal::new(Refusal::STOPPING, "the node is stopping"));
        return;
    }
    let until = Instant::now() + left;
    let (shared_too, session) = (Arc::clone(shared), Arc::clone(session));
    // One task a call: the peer's window bounds them.
    shared.serving.spawn(async move {
        let cut = session.cut.clone();
        tokio::select! {
            () = cut.cancelled() => {}
            () = serve(&shared_too, &session, envelope, until, room) => {}
        }
    });
}

/// Handles a call and answers it. The turn is kept until the answer has room, so that at most so many answers wait.
async fn serve(shared: &Shared, session: &Session, envelope: Envelope, until: Instant, room: Room) {
    let correlation = envelope.correlation;
    let turn = tokio::time::timeout_at(until, session.handlers.acquire()).await;
    let outcome = match turn {
        Ok(Ok(_)) => handle(shared, session, envelope, until).await,
        Ok(Err(_)) => return,
        Err(_) => {
            count(&shared.counters.calls_expired);
            Err(Refusal::new(Refusal::EXPIRED, "the deadline passed while the call waited for its turn"))
        }
    };
    // A call may have come before the transport has said that the way back is open.
    session.outbox.wait().await;
    let outcome = outcome.and_then(|body| {
        let too_large = |error| Refusal::new(Refusal::ANSWER_TOO_LARGE, format!("the answer cannot be sent: {error}"));
        session.encode(&Envelope::bare(Kind::Reply, correlation, body)).map_err(too_large)
    });
    match outcome {
        Ok(bytes) => {
            if session.replies.take(bytes.len() - session.terms.token_out.len()).await {
                // Before the peer can know of it and send the next.
                drop(room);
                session.send(bytes);
            }
        }
        Err(refusal) => {
            drop(room);
            refuse(session, correlation, &refusal);
        }
    }
    drop(turn);
}

async fn handle(shared: &Shared, session: &Session, envelope: Envelope, until: Instant) -> Result<Bytes, Refusal> {
    let Envelope { tenant, job, shard, epoch, trace, body, .. } = envelope;
    let request = Request { tenant, job, shard, epoch, trace, body };
    count(&shared.counters.calls_handled);
    let work = AssertUnwindSafe(shared.handler.handle(&session.terms.peer, request)).catch_unwind();
    match tokio::time::timeout_at(until, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!(peer = %session.terms.peer.name, "handling a call of a peer panicked");
            Err(Refusal::new(Refusal::PANICKED, "handling the call panicked"))
        }
        Err(_) => Err(Refusal::new(Refusal::EXPIRED, "the deadline passed while the call was handled")),
    }
}
