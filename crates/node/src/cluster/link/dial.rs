//! Streams that go out: one task for each listed address, which keeps a session with whoever is there.
//!
//! Both nodes of a pair dial. The larger name waits a moment first, so that mostly the smaller one's stream is the only
//! one. What nobody answers is tried again soon, with growing pauses; what was refused seldom, for a person must act.

use super::accept::{admit, label};
use super::greet::{self, Failure};
use super::peers::PeerAddress;
use super::session::Session;
use super::shared::Shared;
use super::socket;
use super::start::HANDSHAKE;
use argiope_protocol::NodeName;
use argiope_protocol::wire::Reason;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The pause after the first failure in a row; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two tries of an address that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Around this long an address that refused is left alone.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// Head start of the smaller name.
const HEAD_START: Duration = Duration::from_millis(300);

/// See [`Link::set_peers`](super::Link::set_peers).
pub(super) fn set_peers(shared: &Arc<Shared>, peers: Vec<PeerAddress>) {
    let named: BTreeSet<String> =
        peers.iter().filter(|peer| peer.name.is_some()).map(|peer| peer.address.clone()).collect();
    let is_useful = |peer: &PeerAddress| match &peer.name {
        Some(name) => *name != shared.identity.name,
        // A seed that is listed with its name too needs no second task.
        None => !named.contains(&peer.address),
    };
    let mut new = Vec::new();
    let strays = {
        let mut table = shared.table();
        let mut before = std::mem::take(&mut table.wanted);
        let mut wanted = BTreeMap::new();
        for peer in peers.into_iter().filter(is_useful) {
            let stop = before.remove(&peer).unwrap_or_else(|| {
                let stop = shared.stopping.child_token();
                new.push((peer.clone(), stop.clone()));
                stop
            });
            wanted.insert(peer, stop);
        }
        before.into_values().for_each(|stop| stop.cancel());
        table.list(wanted)
    };
    for (session, why) in strays {
        shared.close(&session, why);
    }
    for (peer, stop) in new {
        let keeper = keep(Arc::clone(shared), peer, stop);
        shared.tasks.spawn_on(keeper, &shared.settings.runtime);
    }
}

/// How a dial ended.
enum Outcome {
    Linked(Arc<Session>),
    /// There is a session already.
    Duplicate(Option<NodeName>),
    /// The address is our own.
    Itself,
    Refused,
    Unreachable,
}

/// Keeps a session with whoever is at an address, until it is told to stop.
async fn keep(shared: Arc<Shared>, peer: PeerAddress, stop: CancellationToken) {
    let mut name = peer.name.clone();
    let mut n_failures = 0_u32;
    let is_larger = name.as_ref().is_some_and(|name| *name < shared.identity.name);
    let mut pause = if is_larger { around(HEAD_START) } else { Duration::ZERO };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let linked = name.as_ref().and_then(|name| shared.table().session(name));
        let outcome = match linked {
            Some(session) => Outcome::Linked(session),
            None => {
                // In a task of its own, for a session must not be dropped between greeting and handing over.
                let dialling = shared.tasks.spawn(dial(Arc::clone(&shared), peer.clone()));
                tokio::select! {
                    () = stop.cancelled() => return,
                    outcome = dialling => outcome.unwrap_or(Outcome::Unreachable),
                }
            }
        };
        pause = match outcome {
            Outcome::Linked(session) => {
                n_failures = 0;
                name = Some(session.terms.peer.name.clone());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = session.cut.cancelled() => {}
                }
                // One that took its leave is not back at once.
                if session.is_left.load(Relaxed) { around(FIRST_PAUSE * 4) } else { around(FIRST_PAUSE / 2) }
            }
            Outcome::Duplicate(found) => {
                name = name.or(found);
                around(FIRST_PAUSE * 2)
            }
            Outcome::Itself => return,
            Outcome::Refused => around(REFUSED_PAUSE),
            Outcome::Unreachable => {
                n_failures = n_failures.saturating_add(1);
                around(FIRST_PAUSE.saturating_mul(1 << n_failures.min(8)).min(LONGEST_PAUSE))
            }
        };
    }
}

/// Between half and one and a half of a pause, so that nodes that lost each other together do not dial in step.
fn around(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}

async fn dial(shared: Arc<Shared>, peer: PeerAddress) -> Outcome {
    let greeting = async {
        let mut secured = socket::connect(&peer.address, shared.identity.tls.as_ref()).await?;
        let agreed = greet::as_dialler(&shared, &mut secured, peer.name.as_ref()).await?;
        Ok((agreed, secured))
    };
    let outcome = match timeout(HANDSHAKE, greeting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::Stream(std::io::ErrorKind::TimedOut.into())),
    };
    let (agreed, secured) = match outcome {
        Ok(greeted) => greeted,
        Err(failure) => return report(&shared, &peer, failure),
    };
    let session = Session::new(agreed.terms(Some(peer.address.clone())), label(), Arc::clone(&shared.counters));
    match admit(&shared, session).await {
        Ok(admission) => admission.open(secured).await.map_or(Outcome::Unreachable, Outcome::Linked),
        Err((reason, text)) => {
            let name = Some(agreed.name().clone());
            report(&shared, &peer, Failure::Refused { reason, text, name })
        }
    }
}

fn report(shared: &Shared, peer: &PeerAddress, failure: Failure) -> Outcome {
    match failure {
        Failure::Refused { reason: Reason::Duplicate, name, .. } => Outcome::Duplicate(name),
        Failure::Refused { reason: Reason::Itself, .. } => Outcome::Itself,
        Failure::Refused { reason: Reason::Stopping, .. } => Outcome::Unreachable,
        Failure::Refused { reason, text, name } => {
            let who = name.as_ref().or(peer.name.as_ref()).map_or(peer.address.as_str(), NodeName::as_str);
            shared.refused(who, reason, &text);
            Outcome::Refused
        }
        Failure::Stream(error) => {
            tracing::debug!(address = peer.address, %error, "a node does not answer");
            Outcome::Unreachable
        }
    }
}
