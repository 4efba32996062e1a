//! Streams that come in. Each has its own task and deadline, so that a silent client holds up nobody; what is beyond
//! the bound on handshakes is closed at once.

use super::counters::count;
use super::greet::{self, Failure};
use super::heartbeat::BEAT;
use super::session::Session;
use super::shared::Shared;
use super::socket::{self, Secured};
use super::start::HANDSHAKE;
use super::table::{Side, Verdict, judge};
use super::transport;
use argiope_protocol::wire::{Kind, Reason};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// Accepts until the link stops.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            // Out of descriptors, mostly: trying again at once would spin.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
            count(&shared.counters.handshakes_dropped);
            continue;
        };
        let shared_too = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            let greeting = async {
                let secured = socket::accepted(stream, shared_too.identity.tls.as_ref()).await?;
                greet_and_admit(&shared_too, secured).await
            };
            let outcome = timeout(HANDSHAKE, greeting).await;
            drop(permit);
            match outcome {
                Ok(Ok((admission, secured))) => drop(admission.open(secured).await),
                Ok(Err(failure)) => report(&shared_too, failure, from),
                Err(_) => {
                    count(&shared_too.counters.handshakes_dropped);
                    tracing::debug!(%from, "a handshake did not end in time");
                }
            }
        });
    }
}

async fn greet_and_admit(shared: &Arc<Shared>, mut secured: Secured) -> Result<(Admission, Secured), Failure> {
    let agreed = greet::as_acceptor(shared, &mut secured).await?;
    match admit(shared, Session::new(agreed.terms(None), label(), Arc::clone(&shared.counters))).await {
        Ok(admission) => {
            greet::welcome(shared, &mut secured, &agreed).await?;
            Ok((admission, secured))
        }
        Err((reason, text)) => {
            Err(greet::refuse(&mut *secured.stream, reason, text, Some(agreed.name().clone())).await)
        }
    }
}

fn report(shared: &Shared, failure: Failure, from: SocketAddr) {
    match failure {
        // The two are linked, or a node has found itself: nothing to say.
        Failure::Refused { reason: Reason::Duplicate | Reason::Itself, .. } => {}
        Failure::Refused { reason, text, name } => {
            // Ports of strangers differ each time.
            let who = name.map_or_else(|| from.ip().to_string(), |name| name.to_string());
            shared.refused(&who, reason, &text);
        }
        Failure::Stream(error) => tracing::debug!(%from, %error, "a handshake failed"),
    }
}

/// How the transport names a session, unlike any other.
pub(super) fn label() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A session's place in the table, given up unless the session opens.
pub(super) struct Admission {
    shared: Arc<Shared>,
    session: Arc<Session>,
    is_open: bool,
}

impl Admission {
    /// Hands the stream over and waits until calls can use the session.
    pub(super) async fn open(mut self, secured: Secured) -> Option<Arc<Session>> {
        self.is_open = true;
        let is_ready = transport::open(&self.shared, &self.session, secured.stream).await;
        is_ready.then(|| Arc::clone(&self.session))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.is_open {
            self.session.ended.cancel();
            self.shared.close(&self.session, "the greeting did not end");
            self.shared.table().forget(&self.session.label);
        }
    }
}

/// Gives a session its place in the table, in the place of an older one where the rule says so. The transport must have
/// let go of that before it sees the new one, or it holds an election of its own between the two.
pub(super) async fn admit(shared: &Arc<Shared>, session: Session) -> Result<Admission, (Reason, String)> {
    let session = Arc::new(session);
    let peer = &session.terms.peer;
    let is_smaller = shared.identity.name < peer.name;
    loop {
        if shared.stopping.is_cancelled() {
            return Err((Reason::Stopping, format!("node {} is stopping", shared.identity.name)));
        }
        let (old, listed) = {
            let table = shared.table();
            (table.session(&peer.name), table.listed_boot(&peer.name))
        };
        if let Some(old) = &old {
            let verdict = judge(is_smaller, side(old), old.heard_at().elapsed(), side(&session), listed);
            if verdict == Verdict::Duplicate {
                return Err((Reason::Duplicate, format!("the link to node {} exists already", peer.name)));
            }
            if verdict == Verdict::Probe && answers(shared, old).await {
                let text = format!("another node {} is alive, with boot {}", peer.name, old.terms.peer.boot);
                return Err((Reason::NameTaken, text));
            }
            shared.close(old, "a newer session takes its place");
            // It ends by itself; the bound is for a transport that hangs.
            drop(timeout(BEAT, old.ended.cancelled()).await);
        }
        if shared.table().put(&session) {
            return Ok(Admission { shared: Arc::clone(shared), session: Arc::clone(&session), is_open: false });
        }
    }
}

fn side(session: &Session) -> Side {
    Side { boot: session.terms.peer.boot, is_dialled: session.terms.dialled.is_some() }
}

/// Whether the peer answers within half a second.
async fn answers(shared: &Shared, session: &Session) -> bool {
    let Some(answer) = session.ping(Kind::Ping, shared.now()) else { return false };
    timeout(BEAT / 2, answer).await.is_ok_and(|answer| answer.is_ok())
}
