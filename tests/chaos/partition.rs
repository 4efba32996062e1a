//! Two nodes that do not reach each other any more, while both reach everything else, and nobody says so.

use super::net::{self, Net};
use super::{CLAIM_TTL, Cluster, N_SKIPPED, check_polite, hosts, page_requests};
use crate::origin::Origin;
use crate::place::PATIENCE;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a silent partition may go unnoticed, and a look at it takes.
const MAX_SILENCE: Duration = Duration::from_millis(5_500);
/// From the end of the partition to the next session: a redial with its pause.
const MAX_RETURN: Duration = Duration::from_secs(30);
const CONNECTED: &str = "argiope_link_peers{state=\"connected\"}";

/// Waits until both nodes count so many linked peers; answers how long that took.
#[track_caller]
fn wait_for_links(cluster: &Cluster, n_linked: f64, patience: Duration) -> Duration {
    let began = Instant::now();
    let is_so = |name| cluster.metric(name, CONNECTED) == Some(n_linked);
    while !["node-a", "node-b"].into_iter().all(is_so) {
        assert!(began.elapsed() < patience, "not {n_linked} linked after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

#[test]
fn fault_a_silent_partition_is_noticed_within_five_seconds() {
    let test = "chaos::partition::fault_a_silent_partition_is_noticed_within_five_seconds";
    let Some(net) = Net::enter(test) else { return };
    let Some(mut cluster) = Cluster::start_on(Some(net), test) else { return };
    let (n_hosts, n_pages) = (20, 40);
    let origin = Origin::start(hosts(n_hosts, n_pages, 91).network(net::ORIGIN));
    ["node-a", "node-b"].into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    wait_for_links(&cluster, 1.0, PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.5"]);
    crawl.wait_for_stored(60);

    let cut = |from: BTreeSet<_>| cluster.net.as_ref().expect("a network").cut("node-a", &from);
    cut(cluster.net.as_ref().expect("a network").others("node-a"));
    let noticed = wait_for_links(&cluster, 0.0, MAX_SILENCE);
    let n_before = origin.site().log().n_requests();
    std::thread::sleep(CLAIM_TTL);
    let n_meanwhile = origin.site().log().n_requests() - n_before;
    assert!(n_meanwhile > 20, "{n_meanwhile} requests while the nodes did not reach each other");
    cut(BTreeSet::new());
    let back = wait_for_links(&cluster, 1.0, MAX_RETURN);
    println!("noticed after {noticed:?}, {n_meanwhile} requests meanwhile, linked again after {back:?}");

    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    check_polite(&origin, Duration::from_millis(500));
    let requests = page_requests(&origin);
    assert_eq!((requests.len(), requests.values().max()), (n_hosts * n_pages, Some(&1)), "each page is asked for once");
    cluster.verify();
}
