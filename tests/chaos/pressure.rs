//! A slow index or a peer that does not read makes the crawl slow, never a node large.

use super::slow::SlowWay;
use super::{Cluster, N_SKIPPED, origin};
use crate::place::PATIENCE;
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a node's memory may move by.
const MAX_MOVE_KIB: u64 = 32 * 1024;
const LOOK: Duration = Duration::from_secs(1);
/// Qdrant answers on loopback within some milliseconds, on a busy machine within 20: this is a hundred times as long.
const SLOW_ANSWER: Duration = Duration::from_secs(2);
const EDGES: [&str; 4] = ["fetch", "parse", "embed", "write"];

fn is_full() -> bool {
    std::env::var("ARGIOPE_FAULT").is_ok_and(|form| form == "full")
}

/// Seconds that senders waited so far, by edge.
fn waits(cluster: &Cluster, node: &str) -> BTreeMap<&'static str, f64> {
    let samples = cluster.metrics(node);
    let name = |edge| format!("argiope_credit_wait_seconds_total{{edge=\"{edge}\"}}");
    EDGES.map(|edge| (edge, samples.get(&name(edge)).copied().unwrap_or_default())).into()
}

/// Pages under way to the embedder, most of which wait for the writer when it is slow.
fn waiting_pages(cluster: &Cluster, node: &str) -> f64 {
    cluster.metrics(node).get("argiope_edge_items{edge=\"embed\"}").copied().unwrap_or_default()
}

/// Pages that these nodes stored so far; writes that failed and were tried again are none.
fn written(cluster: &Cluster, nodes: &[&str]) -> f64 {
    let name = "argiope_urls_total{fate=\"stored\",reason=\"\"}";
    nodes.iter().filter_map(|node| cluster.metrics(node).get(name).copied()).sum()
}

/// Watches the nodes' memory; the least and the most of each, in KiB.
fn watch(cluster: &Cluster, nodes: &[&'static str], time: Duration) -> BTreeMap<&'static str, (u64, u64)> {
    let until = Instant::now() + time;
    let mut seen: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    while Instant::now() < until {
        for node in nodes {
            let rss = cluster.rss_kib(node);
            let (least, most) = seen.entry(node).or_insert((rss, rss));
            (*least, *most) = (rss.min(*least), rss.max(*most));
        }
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    seen
}

/// Waits until every stage before the writer is full: pages wait in the embedder, and URLs for a fetcher.
#[track_caller]
fn wait_until_full(cluster: &Cluster, nodes: &[&str], patience: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let before: Vec<f64> = nodes.iter().map(|node| waits(cluster, node)["fetch"]).collect();
        std::thread::sleep(LOOK * 2);
        let is_full = |(node, before): (&&str, &f64)| {
            waiting_pages(cluster, node) >= 100.0 && waits(cluster, node)["fetch"] > *before
        };
        if nodes.iter().zip(&before).all(is_full) {
            return began.elapsed();
        }
        let pages: Vec<f64> = nodes.iter().map(|node| waiting_pages(cluster, node)).collect();
        assert!(began.elapsed() < patience, "not full after {patience:?}: {pages:?} pages wait");
    }
}

#[test]
fn fault_an_index_that_is_a_hundred_times_slower_makes_no_node_grow() {
    let test = "fault_an_index_that_is_a_hundred_times_slower_makes_no_node_grow";
    let Some(mut cluster) = Cluster::start(test) else { return };
    let (n_hosts, n_pages) = (40, 50);
    let slow_time = Duration::from_secs(if is_full() { 300 } else { 30 });
    let way = SlowWay::start(cluster.qdrant.grpc_address());
    let site = (0..n_hosts).fold(Site::builder(), |builder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, n_pages, 71), Behaviour::default())
    });
    let origin = crate::origin::Origin::start(site);
    let nodes = ["node-a", "node-b"];
    for name in nodes {
        // Pages wait for longer than a lease of these tests.
        let place = cluster.place().with("ARGIOPE_FRONTIER_VISIBILITY_SECS", "3600");
        cluster.add_at(place.with("ARGIOPE_VECTORS_URL", &way.url()), name, &[]);
    }
    cluster.wait_for_owners(&nodes, PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0", "--per-host", "4"]);
    crawl.wait_for_stored(100);
    let (n_before, began) = (written(&cluster, &nodes), Instant::now());
    crawl.wait_for_stored(250);
    let fast = (written(&cluster, &nodes) - n_before) / began.elapsed().as_secs_f64();
    way.slow_down(SLOW_ANSWER);
    let filled = wait_until_full(&cluster, &nodes, PATIENCE * 2);

    let before = nodes.map(|node| (cluster.rss_kib(node), waits(&cluster, node)));
    let n_before = written(&cluster, &nodes);
    let seen = watch(&cluster, &nodes, slow_time);
    let after = nodes.map(|node| waits(&cluster, node));
    let slow = (written(&cluster, &nodes) - n_before) / slow_time.as_secs_f64();
    way.slow_down(Duration::ZERO);
    println!("{fast:.1} pages a second, then {slow:.2} for {slow_time:?}; all stages were full after {filled:?}");
    for ((node, (rss, waited)), after) in nodes.iter().zip(&before).zip(&after) {
        let (least, most) = seen[node];
        let grown = EDGES.map(|edge| (edge, after[edge] - waited[edge]));
        println!("{node}: {rss} KiB, then {least} to {most} KiB; seconds waited for credit: {grown:?}");
        assert!(most <= rss + MAX_MOVE_KIB && least + MAX_MOVE_KIB >= *rss, "{node}: {rss} KiB, {least} to {most} KiB");
        let longest = grown.iter().max_by(|one, other| one.1.total_cmp(&other.1)).map(|(edge, _)| *edge);
        assert_eq!(longest, Some("write"), "{node}: {grown:?}");
    }
    assert!(slow * 5.0 < fast, "the index was not slow");
    let ended = crawl.wait(PATIENCE * 3);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    cluster.verify();
}

#[test]
fn fault_a_peer_that_is_stopped_makes_the_others_not_grow() {
    let Some(mut cluster) = Cluster::start("fault_a_peer_that_is_stopped_makes_the_others_not_grow") else { return };
    let (n_hosts, n_pages) = (40, 60);
    let origin = origin(n_hosts, n_pages, 72);
    let nodes = ["node-a", "node-b", "node-c"];
    nodes.into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&nodes, PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.1"]);
    crawl.wait_for_stored(400);
    let others = ["node-a", "node-c"];
    let before = others.map(|node| cluster.rss_kib(node));
    cluster.signal("node-b", Signal::STOP);
    let seen = watch(&cluster, &others, Duration::from_secs(if is_full() { 60 } else { 12 }));
    cluster.signal("node-b", Signal::CONT);
    for (node, rss) in others.iter().zip(before) {
        let (least, most) = seen[node];
        println!("{node}: {rss} KiB, then {least} to {most} KiB");
        assert!(most <= rss + MAX_MOVE_KIB, "{node}: {rss} KiB, then up to {most} KiB");
    }
    let ended = crawl.wait(PATIENCE * 2);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    cluster.verify();
}
