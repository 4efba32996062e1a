//! Networks and nodes that fail.

use super::proxy::Proxy;
use super::*;
use std::time::Instant;

/// `a` dials `b` through a proxy; `b` does not dial.
async fn through_proxy() -> (Link, Link, Arc<Echo>, Proxy) {
    let handler = Arc::new(Echo::default());
    let (a, b) = (start(options("node-a")).await, start_with(options("node-b"), Arc::clone(&handler)).await);
    let proxy = Proxy::to(b.local_addr()).await;
    a.set_peers(vec![at("node-b", proxy.address)]);
    linked(&a, "node-a", &b, "node-b").await;
    (a, b, handler, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_ends_calls_at_once_and_is_made_anew() {
    let (a, b, handler, proxy) = through_proxy().await;
    let a_too = a.clone();
    let under_way = tokio::spawn(async move {
        let outcome = ask(&a_too, "node-b", "sleep 10000").await;
        (outcome, Instant::now())
    });
    until("it is handled", || handler.n_handled.load(SeqCst) == 1).await;
    let broken = Instant::now();
    proxy.break_connections();
    let (outcome, at) = under_way.await.unwrap();
    assert!(matches!(outcome, Err(LinkError::Down(_))), "{outcome:?}");
    println!("a broken connection was told after {:?}", at - broken);
    assert!(at - broken < Duration::from_secs(1), "{:?}", at - broken);
    linked(&a, "node-a", &b, "node-b").await;
    println!("and made anew after {:?}", broken.elapsed());
    assert_eq!(ask(&a, "node-b", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_partition_is_noticed_within_five_seconds_and_heals() {
    let (a, b, handler, proxy) = through_proxy().await;
    let since = Instant::now();
    proxy.fall_silent();
    // Calls during the silence: none of them may be handled after its deadline, when the network has healed.
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let a = a.clone();
            let body = Request::of("during the silence");
            tokio::spawn(async move { a.call(&name("node-b"), body, Duration::from_secs(2)).await })
        })
        .collect();
    until("a suspects b", || state(&a, "node-b") == PeerState::Suspect).await;
    let suspected = since.elapsed();
    until("a has given b up", || state(&a, "node-b") == PeerState::Down).await;
    let noticed = since.elapsed();
    until("b has given a up", || state(&b, "node-a") == PeerState::Down).await;
    println!("a silent partition: suspect after {suspected:?}, down after {noticed:?}");
    assert!(suspected >= Duration::from_millis(1900) && noticed <= Duration::from_millis(5300), "{noticed:?}");
    for call in calls {
        let outcome = call.await.unwrap();
        assert!(matches!(outcome, Err(LinkError::Timeout(_) | LinkError::Down(_))), "{outcome:?}");
    }
    assert!(matches!(ask(&a, "node-b", "x").await, Err(LinkError::Down(_))));

    let healed = Instant::now();
    proxy.heal();
    linked(&a, "node-a", &b, "node-b").await;
    println!("linked again {:?} after it healed", healed.elapsed());
    assert_eq!(ask(&a, "node-b", "x").await.unwrap(), "x");
    assert_eq!(handler.n_handled.load(SeqCst), 1, "nothing of the silence was handled late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_peer_links_at_once_although_its_old_session_is_half_open() {
    // Listed with its new boot at once; unlisted, and the old run was heard a moment ago; the same a while ago.
    for (is_listed, pause) in [(true, 0), (false, 0), (false, 1800)] {
        let (a, old, _, proxy) = through_proxy().await;
        let old_boot = boot(&a, "node-b");
        let stale = vec![PeerAddress { boot: old_boot, ..at("node-b", proxy.address) }];
        a.set_peers(stale.clone());
        // Cut off, so that `a` does not learn that the old run ends.
        proxy.fall_silent();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let options = options("node-b");
        let new_boot = options.boot;
        let new = start(options).await;
        let since = Instant::now();
        if is_listed {
            let address = new.local_addr().to_string();
            a.set_peers(vec![PeerAddress { name: Some(name("node-b")), boot: Some(new_boot), address }]);
        } else {
            new.set_peers(vec![at("node-a", a.local_addr())]);
        }
        until("the new run is linked", || boot(&a, "node-b") == Some(new_boot) && is_connected(&a, "node-b")).await;
        println!("a restarted peer was linked after {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        assert_ne!(old_boot, Some(new_boot));
        if !is_listed {
            // The list is behind: that is no reason to close what is new.
            a.set_peers(stale);
        }
        until("and answers", || is_connected(&new, "node-a")).await;
        assert_eq!(ask(&a, "node-b", "x").await.unwrap(), "x");
        assert_eq!(ask(&new, "node-a", "x").await.unwrap(), "x");
        for link in [a, old, new] {
            link.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_costs_its_window() {
    let (a, _b, _, proxy) = through_proxy().await;
    proxy.fall_silent();
    let body = Bytes::from(vec![1; 1_000_000]);
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let (a, request) = (a.clone(), Request::of(body.clone()));
            tokio::spawn(async move { a.call(&name("node-b"), request, Duration::from_secs(1)).await })
        })
        .collect();
    let mut most = 0;
    for call in calls {
        most = most.max(status(&a, "node-b").map_or(0, |status| status.in_flight.1));
        let outcome = call.await.unwrap();
        assert!(matches!(outcome, Err(LinkError::Timeout(_) | LinkError::Full(_))), "{outcome:?}");
    }
    // Those whose callers have given up still count: the transport still holds them.
    let (n_calls, n_bytes) = status(&a, "node-b").unwrap().in_flight;
    assert_eq!(n_calls, 4);
    assert!(n_bytes <= window::MAX_CALL_BYTES as u64 && most <= window::MAX_CALL_BYTES as u64);
}

/// All nodes list all others, as in a cluster: two dial each other at once, and one session must come of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mesh_comes_to_rest_with_one_session_a_pair() {
    const NAMES: [&str; 4] = ["node-a", "node-b", "node-c", "node-d"];
    let mut links = Vec::new();
    for node in NAMES {
        links.push(start(options(node)).await);
    }
    let seeds = vec![seed(links[0].local_addr())];
    let all: Vec<PeerAddress> = NAMES.iter().zip(&links).map(|(node, link)| at(node, link.local_addr())).collect();
    let since = Instant::now();
    for link in &links {
        link.set_peers([seeds.clone(), all.clone()].concat());
    }
    let n_linked = |link: &Link| link.peers().iter().filter(|peer| peer.state == PeerState::Connected).count();
    until("everyone is linked", || links.iter().all(|link| n_linked(link) == 3)).await;
    println!("a mesh of four after {:?}", since.elapsed());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let n_closed: u64 = links.iter().map(|link| counter(link, "sessions_closed")).sum();
    assert!(links.iter().all(|link| n_linked(link) == 3), "it stays so");
    println!("sessions closed on the way: {n_closed}");
    for (n, link) in links.iter().enumerate() {
        for peer in NAMES.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, name)| name) {
            assert_eq!(ask(link, peer, "x").await.unwrap(), "x");
        }
    }
}
