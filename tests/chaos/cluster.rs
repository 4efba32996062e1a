//! Nodes share one crawl: each page once, no host sooner than promised, whoever comes, goes or is asked.

use super::{CLAIM_TTL, Cluster, N_SKIPPED, check_polite, get, origin, page_requests};
use crate::place::{PATIENCE, Place};
use argiope_testkit::site::unique_word;
use std::time::Duration;

#[test]
fn heavy_three_nodes_crawl_each_page_once_and_any_of_them_answers() {
    let Some(mut cluster) = Cluster::start("heavy_three_nodes_crawl_each_page_once_and_any_of_them_answers") else {
        return;
    };
    let origin = origin(20, 12, 31);
    ["node-a", "node-b", "node-c"].into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&["node-a", "node-b", "node-c"], PATIENCE);
    let nodes = get(&cluster, "node-c", "/nodes");
    assert_eq!(nodes["items"].as_array().map(Vec::len), Some(3), "{nodes}");

    let ended = cluster.crawl("node-a", &origin, &["--delay", "0.2"]).wait(PATIENCE);
    ended.check_ledger(0, [20 * 12, 0, 20 * N_SKIPPED as u64, 0]);
    let requests = page_requests(&origin);
    assert_eq!((requests.len(), requests.values().max()), (20 * 12, Some(&1)), "each page is asked for once");
    check_polite(&origin, Duration::from_millis(200));
    for node in ["node-a", "node-b", "node-c"] {
        let found = cluster.ask(node, &["search", &unique_word(3, 5), "--mode", "lexical"]).wait(PATIENCE);
        let urls: Vec<_> = found.events("hit").filter_map(|hit| hit["url"].as_str()).collect();
        assert!(urls.iter().any(|url| url.contains("/page5")), "{node}: {urls:?}");
    }
    // All of them took part.
    let agents = cluster.owners("node-a");
    assert!(agents.values().all(|n_shards| *n_shards > 40), "{agents:?}");

    let again = cluster.crawl("node-b", &origin, &["--delay", "0.2"]).wait(PATIENCE);
    again.check_ledger(0, [0, 20 * 12, 20 * N_SKIPPED as u64, 0]);
    check_polite(&origin, Duration::from_millis(200));
    let summary = cluster.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&240.into(), &240.into()));
}

#[test]
fn heavy_nothing_of_a_cancelled_job_starts_after_the_answer() {
    let Some(mut cluster) = Cluster::start("heavy_nothing_of_a_cancelled_job_starts_after_the_answer") else { return };
    let origin = origin(20, 100, 32);
    ["node-a", "node-b"].into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0"]);
    crawl.wait_for_stored(50);
    let cancelled = cluster.ask("node-b", &["cancel", "last"]).wait(PATIENCE);
    assert_eq!(cancelled.status, Some(0), "{cancelled:?}");
    // The origin reads what was written before the answer a moment later.
    std::thread::sleep(Duration::from_millis(200));
    let n_requests = origin.site().log().n_requests();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(origin.site().log().n_requests(), n_requests, "requests started after the cancel was answered");
    assert!(n_requests < 20 * 100, "the job was not cancelled in the middle");
    drop(crawl);
    cluster.verify();
}

#[test]
fn heavy_what_cannot_join_says_why() {
    let Some(mut cluster) = Cluster::start("heavy_what_cannot_join_says_why") else { return };
    cluster.add("node-a", &[]);
    let try_node = |place: Place, name: &str| {
        let line = ["node", "--name", name, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        place.start(&line).wait(PATIENCE)
    };
    let taken = try_node(cluster.place(), "node-a");
    assert!(taken.status == Some(4) && taken.stderr.contains("AR0507"), "{taken:?}");
    let other = try_node(cluster.place().with("ARGIOPE_CLUSTER_ID", "another"), "node-b");
    assert!(other.status == Some(2) && other.stderr.contains("AR0504"), "{other:?}");
    let dimension = cluster.place().with("ARGIOPE_EMBEDDER_KIND", "openai").with("ARGIOPE_EMBEDDER_DIMENSION", "3");
    let dimension = dimension.with("ARGIOPE_EMBEDDER_URL", "http://127.0.0.1:1/v1").with("ARGIOPE_EMBEDDER_MODEL", "m");
    let dimension = try_node(dimension, "node-b");
    assert!(dimension.status == Some(4) && dimension.stderr.contains("AR0301"), "{dimension:?}");
    let alone = cluster.place().run(&["crawl", "http://127.0.0.1/"]);
    assert!(alone.status == Some(2) && alone.stderr.contains("AR0508"), "{alone:?}");
    let strict = try_node(cluster.place().with("ARGIOPE_FRONTIER_DURABILITY", "strict"), "node-b");
    assert!(strict.status == Some(4) && strict.stderr.contains("AR0208"), "{strict:?}");
    // Whoever was refused took nothing from the node that is there.
    cluster.wait_for_owners(&["node-a"], CLAIM_TTL * 2);
    cluster.stop_all();
}
