//! Nodes that do only a part: owners that do not fetch hand URLs to those that do.

use super::{Cluster, N_SKIPPED, check_polite, origin, page_requests};
use crate::place::PATIENCE;
use std::collections::BTreeMap;
use std::time::Duration;

/// Embedders called by a node: here, at another node, here for another node.
fn embed_calls(cluster: &Cluster, node: &str) -> [f64; 3] {
    let samples: BTreeMap<String, f64> = cluster.metrics(node);
    ["here", "peer", "for_peer"].map(|place| samples[&format!("argiope_embed_calls_total{{place=\"{place}\"}}")])
}

#[test]
fn heavy_an_owner_without_a_fetcher_lends_its_urls() {
    let Some(mut cluster) = Cluster::start("heavy_an_owner_without_a_fetcher_lends_its_urls") else { return };
    let (n_hosts, n_pages) = (10, 12);
    let origin = origin(n_hosts, n_pages, 61);
    cluster.add("node-a", &["--roles", "control,frontier"]);
    cluster.add("node-b", &["--roles", "fetch,embed"]);
    cluster.wait_for_owners(&["node-a"], PATIENCE);
    let ended = cluster.crawl("node-a", &origin, &["--delay", "0.2"]).wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    let requests = page_requests(&origin);
    assert_eq!((requests.len(), requests.values().max()), (n_hosts * n_pages, Some(&1)), "each page is asked for once");
    check_polite(&origin, Duration::from_millis(200));
    cluster.verify();
}

#[test]
fn heavy_pages_are_embedded_by_nodes_of_the_role_and_wait_for_them() {
    let Some(mut cluster) = Cluster::start("heavy_pages_are_embedded_by_nodes_of_the_role_and_wait_for_them") else {
        return;
    };
    let (n_hosts, n_pages) = (10, 12);
    let origin = origin(n_hosts, n_pages, 62);
    cluster.add("node-a", &["--roles", "control,frontier,fetch"]);
    cluster.add("node-b", &["--roles", "embed"]);
    cluster.wait_for_owners(&["node-a"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.2"]);
    crawl.wait_for_stored(30);
    let [here, _, for_peer] = embed_calls(&cluster, "node-b");
    assert!(here == 0.0 && for_peer >= 30.0, "{here} {for_peer}");
    // The only one that embeds dies: pages wait with what was fetched of them.
    cluster.kill("node-b");
    cluster.wait_for_log("node-a", "AR0302");
    cluster.restart("node-b");
    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    let requests = page_requests(&origin);
    assert_eq!((requests.len(), requests.values().max()), (n_hosts * n_pages, Some(&1)), "each page is asked for once");
    let [here, peer, for_peer] = embed_calls(&cluster, "node-a");
    assert_eq!((here, for_peer), (0.0, 0.0), "node-a does not have the role");
    assert!(peer >= (n_hosts * n_pages) as f64, "{peer}");
    let summary = cluster.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&(n_hosts * n_pages).into(), &(n_hosts * n_pages).into()));
}
