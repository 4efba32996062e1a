//! Nodes and servers that die, freeze or go away in the middle of a crawl.

use super::{CLAIM_TTL, Cluster, N_SKIPPED, check_polite, origin, page_requests};
use crate::place::{PATIENCE, check_line};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(300);
const LINE: [&str; 2] = ["--delay", "0.3"];
/// From the death of an owner to the last of its shards in other hands.
const MAX_TAKEOVER: Duration = Duration::from_secs(8);

#[test]
fn fault_a_killed_owner_is_replaced_within_eight_seconds() {
    let Some(mut cluster) = Cluster::start("fault_a_killed_owner_is_replaced_within_eight_seconds") else { return };
    let (n_hosts, n_pages) = (20, 40);
    let origin = origin(n_hosts, n_pages, 51);
    ["node-a", "node-b", "node-c"].into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&["node-a", "node-b", "node-c"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &LINE);
    crawl.wait_for_stored(100);
    cluster.kill("node-b");
    let took = cluster.wait_for_owners(&["node-a", "node-c"], MAX_TAKEOVER);
    cluster.restart("node-b");
    let back = cluster.wait_for_owners(&["node-a", "node-b", "node-c"], PATIENCE);
    let ended = crawl.wait(PATIENCE);
    println!("taken over after {took:?}, handed back after {back:?}");
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    check_polite(&origin, DELAY);
    assert_eq!(page_requests(&origin).len(), n_hosts * n_pages);
    let summary = cluster.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&(n_hosts * n_pages).into(), &(n_hosts * n_pages).into()));
}

#[test]
fn fault_a_frozen_owner_starts_nothing_when_it_wakes() {
    let Some(mut cluster) = Cluster::start("fault_a_frozen_owner_starts_nothing_when_it_wakes") else { return };
    let (n_hosts, n_pages) = (20, 40);
    let origin = origin(n_hosts, n_pages, 52);
    ["node-a", "node-b"].into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &LINE);
    crawl.wait_for_stored(60);
    cluster.signal("node-b", Signal::STOP);
    cluster.wait_for_owners(&["node-a"], MAX_TAKEOVER);
    std::thread::sleep(CLAIM_TTL);
    cluster.signal("node-b", Signal::CONT);
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    check_polite(&origin, DELAY);
    let summary = cluster.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&(n_hosts * n_pages).into(), &(n_hosts * n_pages).into()));
}

#[test]
fn fault_nodes_are_replaced_one_by_one_and_each_page_is_asked_for_once() {
    let Some(mut cluster) = Cluster::start("fault_nodes_are_replaced_one_by_one_and_each_page_is_asked_for_once")
    else {
        return;
    };
    let (n_hosts, n_pages) = (20, 60);
    let origin = origin(n_hosts, n_pages, 53);
    let names = ["node-a", "node-b", "node-c"];
    names.into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&names, PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &LINE);
    crawl.wait_for_stored(60);
    // The one that the command follows stays; it is drained by the operator's word at the end.
    for name in ["node-b", "node-c"] {
        cluster.stop(name);
        cluster.restart(name);
        cluster.wait_for_owners(&names, PATIENCE);
    }
    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    let requests = page_requests(&origin);
    let again: Vec<_> = requests.iter().filter(|(_, n)| **n > 1).collect();
    assert!(again.is_empty(), "asked for more than once: {again:?}");
    check_polite(&origin, DELAY);
    let drained = cluster.ask("node-b", &["admin", "drain", "node-a"]).wait(PATIENCE);
    assert_eq!(drained.status, Some(0), "{drained:?}");
    cluster.wait_for_owners(&["node-b", "node-c"], PATIENCE);
    cluster.verify();
}

/// How long servers are away; `ARGIOPE_FAULT=full` takes the minute that is promised.
fn outage() -> Duration {
    let is_full = std::env::var("ARGIOPE_FAULT").is_ok_and(|form| form == "full");
    Duration::from_secs(if is_full { 60 } else { 12 })
}

#[test]
fn fault_redis_and_qdrant_go_away_and_the_crawl_goes_on_after() {
    let Some(mut cluster) = Cluster::start("fault_redis_and_qdrant_go_away_and_the_crawl_goes_on_after") else {
        return;
    };
    let (n_hosts, n_pages) = (20, 80);
    let origin = origin(n_hosts, n_pages, 54);
    for name in ["node-a", "node-b"] {
        // What waits for a server must not be given to somebody else meanwhile.
        let place = cluster.place().with("ARGIOPE_FRONTIER_VISIBILITY_SECS", "120");
        cluster.add_at(place, name, &[]);
    }
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &LINE);
    crawl.wait_for_stored(100);
    let log = origin.site().log();

    cluster.redis.kill();
    std::thread::sleep(CLAIM_TTL);
    let n_before = log.n_requests();
    std::thread::sleep(outage());
    assert_eq!(log.n_requests(), n_before, "requests started without a frontier");
    cluster.redis.run();
    let resumed = wait_for_more(&origin, n_before);

    cluster.qdrant.kill();
    std::thread::sleep(outage());
    cluster.qdrant.restart();
    let n_before = log.n_requests();
    let after_qdrant = wait_for_more(&origin, n_before);
    let ended = crawl.wait(PATIENCE * 2);
    println!("the crawl went on {resumed:?} after Redis and {after_qdrant:?} after Qdrant came back");

    check_line(ended.summary(), [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    let n_requests: u64 = page_requests(&origin).values().sum();
    println!("{n_requests} requests for {} pages", n_hosts * n_pages);
    assert!(
        n_requests * 10 <= (n_hosts * n_pages * 12) as u64,
        "{n_requests} requests for {} pages",
        n_hosts * n_pages
    );
    check_polite(&origin, DELAY);
    let summary = cluster.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&(n_hosts * n_pages).into(), &(n_hosts * n_pages).into()));
}

/// Waits for further requests; within 30 s of a server's return is promised.
#[track_caller]
pub(super) fn wait_for_more(origin: &crate::origin::Origin, n_before: u64) -> Duration {
    let began = Instant::now();
    while origin.site().log().n_requests() <= n_before + 5 {
        assert!(began.elapsed() < Duration::from_secs(30), "the crawl does not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    began.elapsed()
}
