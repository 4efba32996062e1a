//! Nodes that do only a part: owners that do not fetch hand URLs to those that do.

use super::{Cluster, N_SKIPPED, check_polite, origin, page_requests};
use crate::place::PATIENCE;
use std::time::Duration;

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
