//! Links over loopback, with real sockets. The actors' registries are global to a process, so that each session
//! announces the gateways of all links of these tests; they are told apart by name, as the comment in `transport` says.

mod calls;
mod failures;
mod process;
mod proxy;
mod refusals;

use super::*;
use crate::cluster::authority::{self, Pair, Validity};
use argiope_actors::support::now;
use argiope_protocol::Role;
use async_trait::async_trait;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use uuid::Uuid;

const COOKIE: &str = "0123456789abcdef0123456789abcdef";
/// For anything that should succeed. Long, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn name(text: &str) -> NodeName {
    NodeName::try_new(text).expect("a valid name")
}

/// Answers with the question, or does what it says: `sleep MS`, `refuse`, `panic`, `fill`, `large`.
#[derive(Default)]
struct Echo {
    n_handled: AtomicUsize,
    n_at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, from: &Peer, request: Request) -> Result<Bytes, Refusal> {
        self.n_handled.fetch_add(1, SeqCst);
        let n_at_once = self.n_at_once.fetch_add(1, SeqCst) + 1;
        self.most_at_once.fetch_max(n_at_once, SeqCst);
        let text = String::from_utf8_lossy(&request.body[..request.body.len().min(32)]).into_owned();
        let outcome = match text.split_once(' ').unwrap_or((&text, "")) {
            ("sleep", millis) => {
                tokio::time::sleep(Duration::from_millis(millis.parse().expect("a number"))).await;
                Ok(request.body)
            }
            ("refuse", _) => Err(Refusal::new(Refusal::FIRST_OF_APPLICATION, "not mine")),
            ("panic", _) => panic!("the handler was asked to panic"),
            ("fill", _) => Ok(Bytes::from(vec![7; 1_000_000])),
            ("large", _) => Ok(Bytes::from(vec![0; 2 * 1024 * 1024])),
            ("who", _) => Ok(Bytes::from(from.name.to_string())),
            _ => Ok(request.body),
        };
        self.n_at_once.fetch_sub(1, SeqCst);
        outcome
    }
}

fn authority() -> Pair {
    authority::make(Validity::days(now(), 2)).expect("an authority")
}

fn pair(authority: &Pair, node: &str, validity: Validity) -> TlsMaterial {
    let pair = authority::issue(&authority.key, &name(node), &[], validity).expect("a certificate");
    material(authority, &pair)
}

fn material(authority: &Pair, pair: &Pair) -> TlsMaterial {
    TlsMaterial::from_pem(authority.certificate.as_bytes(), pair.certificate.as_bytes(), pair.key.as_bytes())
        .expect("they fit together")
}

/// A node without TLS on a free port of loopback.
pub(crate) fn options(node: &str) -> LinkOptions {
    LinkOptions {
        name: name(node),
        boot: Uuid::new_v4(),
        cluster_id: "test".to_owned(),
        cookie: COOKIE.to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        tls: None,
        roles: vec![Role::Fetch],
        wire: (1, 1),
    }
}

/// The same with a certificate of this authority.
fn secured(node: &str, authority: &Pair) -> LinkOptions {
    LinkOptions { tls: Some(pair(authority, node, Validity::days(now(), 2))), ..options(node) }
}

pub(crate) async fn start(options: LinkOptions) -> Link {
    start_with(options, Arc::new(Echo::default())).await
}

async fn start_with(options: LinkOptions, handler: Arc<Echo>) -> Link {
    Link::start(options, handler).await.expect("the link starts")
}

fn at(node: &str, address: impl ToString) -> PeerAddress {
    PeerAddress { name: Some(name(node)), boot: None, address: address.to_string() }
}

fn seed(address: impl ToString) -> PeerAddress {
    PeerAddress { name: None, boot: None, address: address.to_string() }
}

/// Waits for a condition; fails with what it was.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let since = std::time::Instant::now();
        while !is_so() {
            assert!(since.elapsed() < PATIENCE, "{caller}: not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        since.elapsed()
    }
}

fn status(link: &Link, peer: &str) -> Option<PeerStatus> {
    link.peers().into_iter().find(|status| status.name == name(peer))
}

fn state(link: &Link, peer: &str) -> PeerState {
    status(link, peer).map_or(PeerState::Down, |status| status.state)
}

fn boot(link: &Link, peer: &str) -> Option<Uuid> {
    status(link, peer)?.boot
}

fn is_connected(link: &Link, peer: &str) -> bool {
    state(link, peer) == PeerState::Connected
}

/// Both see each other.
async fn linked(a: &Link, a_name: &str, b: &Link, b_name: &str) {
    until("the two are linked", || is_connected(a, b_name) && is_connected(b, a_name)).await;
}

fn counter(link: &Link, counter: &str) -> u64 {
    let all = link.counters().snapshot();
    all.iter().find(|(name, _)| *name == counter).expect("a counter of this name").1
}

async fn ask(link: &Link, peer: &str, body: &str) -> Result<Bytes, LinkError> {
    link.call(&name(peer), Request::of(body.to_owned()), PATIENCE).await
}
