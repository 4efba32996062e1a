//! Calls between nodes that get on.

use super::*;
use argiope_protocol::wire::{MAX_ENVELOPE_BYTES, WireError};
use argiope_protocol::{Epoch, JobId, ShardId, TenantId};

async fn two(authority: Option<&Pair>) -> (Link, Link, Arc<Echo>) {
    let options = |node| authority.map_or_else(|| options(node), |authority| secured(node, authority));
    let handler = Arc::new(Echo::default());
    let (a, b) = (start(options("node-a")).await, start_with(options("node-b"), Arc::clone(&handler)).await);
    a.set_peers(vec![at("node-b", b.local_addr())]);
    b.set_peers(vec![at("node-a", a.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
    (a, b, handler)
}

/// Keeps what it was asked.
struct Keep(std::sync::Mutex<Option<(Peer, Request)>>);

#[async_trait]
impl Handler for Keep {
    async fn handle(&self, from: &Peer, request: Request) -> Result<Bytes, Refusal> {
        *self.0.lock().unwrap() = Some((from.clone(), request));
        Ok(Bytes::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_both_ways_with_and_without_tls() {
    let authority = authority();
    for authority in [None, Some(&authority)] {
        let (a, b, _) = two(authority).await;
        let since = std::time::Instant::now();
        for n in 0..200 {
            let text = format!("question {n}");
            assert_eq!(ask(&a, "node-b", &text).await.unwrap(), text.as_bytes());
            assert_eq!(ask(&b, "node-a", &text).await.unwrap(), text.as_bytes());
        }
        println!("one call after the other: {:?} each, TLS: {}", since.elapsed() / 400, authority.is_some());
        assert_eq!(ask(&a, "node-b", "who").await.unwrap(), "node-a");
        until("a heartbeat was measured", || status(&a, "node-b").unwrap().rtt.is_some()).await;
        assert_eq!(counter(&a, "sessions_closed"), 0);
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_a_request_arrives() {
    let kept = Arc::new(Keep(std::sync::Mutex::default()));
    let a_options = LinkOptions { roles: vec![Role::Control, Role::Embed], ..options("node-a") };
    let a_boot = a_options.boot;
    let a = start(a_options).await;
    let b = Link::start(options("node-b"), Arc::clone(&kept) as Arc<dyn Handler>).await.unwrap();
    a.set_peers(vec![seed(b.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
    let request = Request {
        tenant: TenantId::try_new("acme").unwrap(),
        job: Some(JobId::from_uuid(Uuid::from_u128(7))),
        shard: Some(ShardId::new(9)),
        epoch: Epoch(11),
        trace: Some(vec![1, 2, 3]),
        body: Bytes::from_static(b"x"),
    };
    a.call(&name("node-b"), request.clone(), PATIENCE).await.unwrap();
    let (from, seen) = kept.0.lock().unwrap().take().unwrap();
    assert_eq!(seen, request);
    assert_eq!(from, Peer { name: name("node-a"), boot: a_boot, roles: vec![Role::Control, Role::Embed] });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_crosses_and_more_does_not() {
    let (a, _b, handler) = two(None).await;
    let about = 64;
    let body = vec![7; MAX_ENVELOPE_BYTES - about];
    let answer = a.call(&name("node-b"), Request::of(body.clone()), PATIENCE).await.unwrap();
    assert!(answer == body);
    let error = a.call(&name("node-b"), Request::of(vec![7; MAX_ENVELOPE_BYTES]), PATIENCE).await.unwrap_err();
    assert!(matches!(error, LinkError::TooLarge(WireError::TooLarge { .. })) && !error.is_retryable(), "{error}");
    let error = ask(&a, "node-b", "large answer").await.unwrap_err();
    assert!(
        matches!(&error, LinkError::Refused { refusal, .. } if refusal.code == Refusal::ANSWER_TOO_LARGE),
        "{error}"
    );
    assert_eq!(ask(&a, "node-b", "still there").await.unwrap(), "still there");
    assert_eq!(handler.n_handled.load(SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_says_no_or_panics_and_the_link_lives_on() {
    let (a, _b, _) = two(None).await;
    let error = ask(&a, "node-b", "refuse this").await.unwrap_err();
    let LinkError::Refused { refusal, .. } = &error else { panic!("{error}") };
    assert_eq!(*refusal, Refusal::new(Refusal::FIRST_OF_APPLICATION, "not mine"));
    let error = ask(&a, "node-b", "panic please").await.unwrap_err();
    assert!(matches!(&error, LinkError::Refused { refusal, .. } if refusal.code == Refusal::PANICKED), "{error}");
    assert_eq!(ask(&a, "node-b", "still there").await.unwrap(), "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_bounds_calls_and_a_deadline_ends_the_wait_for_room() {
    let (a, _b, handler) = two(None).await;
    let b_name = name("node-b");
    let calls: Vec<_> = (0..window::MAX_CALLS)
        .map(|_| {
            let (a, b_name) = (a.clone(), b_name.clone());
            tokio::spawn(async move { a.call(&b_name, Request::of("sleep 300"), PATIENCE).await })
        })
        .collect();
    until("the window is full", || status(&a, "node-b").unwrap().in_flight.0 == window::MAX_CALLS).await;
    let error = a.call(&b_name, Request::of("no room"), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, LinkError::Full(_)) && error.is_retryable(), "{error}");
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(handler.most_at_once.load(SeqCst), serve::MAX_HANDLERS);
    assert_eq!(status(&a, "node-b").unwrap().in_flight, (0, 0));
    assert!(counter(&a, "window_wait_micros") >= 40_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_late_is_not_handled_but_frees_the_window() {
    let (a, _b, handler) = two(None).await;
    let (a_too, b_name) = (a.clone(), name("node-b"));
    let busy: Vec<_> = (0..serve::MAX_HANDLERS)
        .map(|_| {
            let (a, b_name) = (a.clone(), b_name.clone());
            tokio::spawn(async move { a.call(&b_name, Request::of("sleep 700"), PATIENCE).await })
        })
        .collect();
    until("all turns are taken", || handler.n_handled.load(SeqCst) == serve::MAX_HANDLERS).await;
    let error = a_too.call(&b_name, Request::of("late"), Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, LinkError::Timeout(_)) && error.is_retryable(), "{error}");
    for call in busy {
        call.await.unwrap().unwrap();
    }
    until("the window is empty", || status(&a, "node-b").unwrap().in_flight == (0, 0)).await;
    assert_eq!(handler.n_handled.load(SeqCst), serve::MAX_HANDLERS, "the late one was not handled");
    assert_eq!(counter(&a, "calls_timed_out"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbouring_versions_work_together() {
    let a = start(options("node-a")).await;
    let b = start(LinkOptions { wire: (1, 2), ..options("node-b") }).await;
    let c = start(LinkOptions { wire: (2, 3), ..options("node-c") }).await;
    b.set_peers(vec![seed(a.local_addr()), seed(c.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
    linked(&b, "node-b", &c, "node-c").await;
    for (from, to) in [(&a, "node-b"), (&b, "node-a"), (&b, "node-c"), (&c, "node-b")] {
        assert_eq!(ask(from, to, "hello").await.unwrap(), "hello");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_what_is_under_way_and_is_noticed_at_once() {
    let (a, b, handler) = two(None).await;
    let a_too = a.clone();
    let under_way = tokio::spawn(async move { ask(&a_too, "node-b", "sleep 300").await });
    until("it is handled", || handler.n_handled.load(SeqCst) == 1).await;
    b.stop().await;
    assert_eq!(under_way.await.unwrap().unwrap(), "sleep 300");
    assert!(matches!(ask(&b, "node-a", "x").await, Err(LinkError::Stopped)));
    let noticed = until("the other knows", || state(&a, "node-b") == PeerState::Down).await;
    assert!(noticed < Duration::from_secs(1), "{noticed:?}");
    assert!(matches!(ask(&a, "node-b", "x").await, Err(LinkError::Down(_))));
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_of_both_sides_at_once_all_have_their_own_answers() {
    let (a, b, _) = two(None).await;
    let one = |link: Link, peer: &'static str, n: usize| async move {
        // Some are large, so that both windows of bytes fill.
        let body = format!("{n} {}", "x".repeat(if n.is_multiple_of(7) { 400_000 } else { n % 1000 }));
        let answer = link.call(&name(peer), Request::of(body.clone()), PATIENCE).await;
        assert!(answer.unwrap() == body, "call {n}");
    };
    let calls = (0..1000).map(|n| {
        let (link, peer) = if n % 2 == 0 { (a.clone(), "node-b") } else { (b.clone(), "node-a") };
        tokio::spawn(one(link, peer, n))
    });
    let since = std::time::Instant::now();
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    println!("1000 calls at once, 57 MB there and back: {:?}", since.elapsed());
    assert_eq!(status(&a, "node-b").unwrap().in_flight, (0, 0));
    assert_eq!(counter(&a, "sessions_closed") + counter(&b, "sessions_closed"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_a_peer_ends_its_session() {
    let (a, b, _) = two(None).await;
    a.set_peers(Vec::new());
    until("it is closed on both sides", || state(&a, "node-b") == PeerState::Down).await;
    // The other still lists this node, which lets it in again: whoever leaves takes both lists.
    b.set_peers(Vec::new());
    until("it stays closed", || a.peers().is_empty() && b.peers().is_empty()).await;
    a.set_peers(vec![at("node-b", b.local_addr())]);
    linked(&a, "node-a", &b, "node-b").await;
}
