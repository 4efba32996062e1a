//! Nodes that must not be linked: one clear error with a code on both sides, and nothing is passed.

use super::*;
use crate::cluster::link::start::Settings;
use argiope_protocol::{ErrorCode, Timestamp};
use std::sync::atomic::AtomicBool;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// `bad` dials a good node; both refuse with this code, or say why not. The good node still takes a good one after it.
async fn check(good: LinkOptions, bad: LinkOptions, settings: Settings, third: LinkOptions, code: ErrorCode) {
    let handler = Arc::new(Echo::default());
    let good = start_with(good, Arc::clone(&handler)).await;
    let bad = Link::start_with(bad, Arc::clone(&handler) as Arc<dyn Handler>, settings).await.expect("it starts");
    bad.set_peers(vec![at("node-a", good.local_addr())]);
    let refusal = |link: &Link, peer: &str| status(link, peer).and_then(|status| status.last_refusal);
    until("the dialler knows why", || refusal(&bad, "node-a").is_some()).await;
    assert_eq!(refusal(&bad, "node-a").map(|(code, _)| code), Some(code), "{:?}", refusal(&bad, "node-a"));
    until("the other has refused too", || counter(&good, "handshakes_refused") >= 1).await;
    let told = good.shared.table().refusal_codes();
    assert!(told.contains(&code), "{told:?}");
    assert_eq!(state(&bad, "node-a"), PeerState::Down);
    assert_eq!(counter(&good, "sessions_opened") + counter(&bad, "sessions_opened"), 0);

    let third = start(third).await;
    third.set_peers(vec![at("node-a", good.local_addr())]);
    linked(&third, "node-c", &good, "node-a").await;
    assert_eq!(counter(&bad, "handshakes_refused"), 1, "what was refused is not tried again soon");
    assert_eq!(handler.n_handled.load(SeqCst), 0);
}

async fn check_plain(bad: LinkOptions, code: ErrorCode) {
    check(options("node-a"), bad, Settings::default(), options("node-c"), code).await;
}

async fn check_tls(bad: impl FnOnce(&Pair) -> TlsMaterial, code: ErrorCode) {
    let authority = authority();
    let bad = LinkOptions { tls: Some(bad(&authority)), ..options("node-b") };
    let settings = Settings { checks_own_name: false, ..Settings::default() };
    check(secured("node-a", &authority), bad, settings, secured("node-c", &authority), code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cookie() {
    let cookie = COOKIE.replace('0', "1");
    check_plain(LinkOptions { cookie, ..options("node-b") }, ErrorCode::LinkCookie).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster() {
    let cluster_id = "other".to_owned();
    check_plain(LinkOptions { cluster_id, ..options("node-b") }, ErrorCode::LinkCluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_too_far_away() {
    check_plain(LinkOptions { wire: (2, 3), ..options("node-b") }, ErrorCode::LinkVersion).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong() {
    fn ahead() -> Timestamp {
        now().after(Duration::from_secs(60))
    }
    let settings = Settings { clock: ahead, ..Settings::default() };
    check(options("node-a"), options("node-b"), settings, options("node-c"), ErrorCode::LinkClock).await;
}

/// A clock that is set while the two are linked, by what the heartbeats say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_becomes_wrong() {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    fn clock() -> Timestamp {
        if IS_SET.load(SeqCst) { Timestamp::from_millis(now().as_millis() - 3_600_000) } else { now() }
    }
    let a = start(options("node-a")).await;
    let settings = Settings { clock, ..Settings::default() };
    let b = Link::start_with(options("node-b"), Arc::new(Echo::default()), settings).await.unwrap();
    b.set_peers(vec![at("node-a", a.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
    IS_SET.store(true, SeqCst);
    until("it is refused now", || status(&b, "node-a").is_some_and(|status| status.last_refusal.is_some())).await;
    assert_eq!(status(&b, "node-a").unwrap().last_refusal.unwrap().0, ErrorCode::LinkClock);
    IS_SET.store(false, SeqCst);
    b.set_peers(Vec::new());
    b.set_peers(vec![at("node-a", a.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
    assert_eq!(ask(&b, "node-a", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_foreign_authority() {
    check_tls(|_| pair(&authority(), "node-b", Validity::days(now(), 2)), ErrorCode::LinkCertificate).await;
}

/// It knows our authority, but its own certificate is of another one: only the acceptor can find out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_certificate_that_knows_our_authority() {
    let foreign = |ours: &Pair| {
        let theirs = authority();
        let pair = authority::issue(&theirs.key, &name("node-b"), &[], Validity::days(now(), 2)).unwrap();
        material(ours, &pair)
    };
    check_tls(foreign, ErrorCode::LinkCertificate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_expired() {
    let last_week = Validity {
        from: Timestamp::from_millis(now().as_millis() - 7 * 86_400_000),
        until: Timestamp::from_millis(now().as_millis() - 86_400_000),
    };
    check_tls(|authority| pair(authority, "node-b", last_week), ErrorCode::LinkCertificate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_name() {
    check_tls(|authority| pair(authority, "node-x", Validity::days(now(), 2)), ErrorCode::LinkCertificate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_where_tls_is_spoken() {
    let authority = authority();
    let good = start(secured("node-a", &authority)).await;
    let bad = start(options("node-b")).await;
    bad.set_peers(vec![at("node-a", good.local_addr())]);
    until("the plain one knows", || status(&bad, "node-a").is_some_and(|status| status.last_refusal.is_some())).await;
    let third = start(secured("node-c", &authority)).await;
    third.set_peers(vec![at("node-a", good.local_addr())]);
    linked(&third, "node-c", &good, "node-a").await;
    assert_eq!(counter(&bad, "sessions_opened"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_the_same_name_while_the_first_lives() {
    let (hub, first) = (start(options("node-a")).await, start(options("node-b")).await);
    first.set_peers(vec![at("node-a", hub.local_addr())]);
    linked(&hub, "node-a", &first, "node-b").await;
    let first_boot = boot(&hub, "node-b");
    let second = start(options("node-b")).await;
    second.set_peers(vec![at("node-a", hub.local_addr())]);
    until("the second knows", || status(&second, "node-a").is_some_and(|status| status.last_refusal.is_some())).await;
    let (code, text) = status(&second, "node-a").and_then(|status| status.last_refusal).unwrap();
    assert_eq!(code, ErrorCode::LinkRefused);
    assert!(text.contains("another node node-b is alive"), "{text}");
    assert_eq!((boot(&hub, "node-b"), counter(&hub, "sessions_closed")), (first_boot, 0), "the first is not disturbed");
    assert_eq!(ask(&hub, "node-b", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_link_with_itself() {
    let a = start(options("node-a")).await;
    a.set_peers(vec![seed(a.local_addr())]);
    until("it found out", || counter(&a, "handshakes_refused") == 0 && a.shared.tasks.len() <= 2).await;
    assert!(a.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_foreign_clients_hold_up_nobody() {
    let authority = authority();
    let a = start(secured("node-a", &authority)).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        #[expect(clippy::disallowed_methods, reason = "a stranger that connects and says nothing")]
        let stranger = TcpStream::connect(a.local_addr()).await.unwrap();
        silent.push(stranger);
    }
    let b = start(secured("node-b", &authority)).await;
    b.set_peers(vec![at("node-a", a.local_addr())]);
    linked(&b, "node-b", &a, "node-a").await;
    until("the silent ones are dropped", || counter(&a, "handshakes_dropped") >= 40).await;
    let read = silent[0].read(&mut [0; 16]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(is_connected(&a, "node-b"));
}

/// The transport's own listener takes plain TCP from this machine. Nothing gets through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listener_of_the_transport_leads_nowhere() {
    let a = start(options("node-a")).await;
    let before = counter(&a, "handshakes_dropped");
    let (server, _task) = transport::start(&name("node-z"), Uuid::new_v4(), COOKIE).await.unwrap();
    for port in listening_ports().into_iter().filter(|port| *port != a.local_addr().port()) {
        let _ = ractor_cluster::client_connect(&server, ("127.0.0.1", port)).await;
    }
    until("the intruder was stopped", || counter(&a, "handshakes_dropped") > before).await;
    assert!(a.peers().is_empty());
    server.stop(None);
}

/// Ports that this process listens at, from `/proc/net/tcp` and its own descriptors.
fn listening_ports() -> Vec<u16> {
    let own: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "0A" && own.contains(&format!("socket:[{}]", row[9])))
        .filter_map(|row| u16::from_str_radix(row[1].split(':').nth(1)?, 16).ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_open_to_a_network_needs_certificates_and_a_cookie() {
    let everywhere = |options: LinkOptions| LinkOptions { listen: "0.0.0.0:0".to_owned(), ..options };
    let refused = |options| async {
        let error = Link::start(options, Arc::new(Echo::default())).await.err().expect("it does not start");
        (error.code(), error.to_string())
    };
    let authority = authority();
    let (code, text) = refused(everywhere(options("node-a"))).await;
    assert!(code == ErrorCode::LinkRefused && text.contains("without certificates"), "{text}");
    let short = LinkOptions { cookie: "short".to_owned(), ..secured("node-a", &authority) };
    let (code, text) = refused(everywhere(short)).await;
    assert!(code == ErrorCode::LinkRefused && text.contains("a cookie of at least 32 bytes"), "{text}");
    start(everywhere(secured("node-a", &authority))).await.stop().await;

    let foreign = LinkOptions { name: name("node-b"), ..secured("node-a", &authority) };
    assert_eq!(refused(foreign).await.0, ErrorCode::LinkCertificate);
}
