//! Stores of different ages: what was lost is crawled again, and what is crawled again replaces what is there.

use super::Cluster;
use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::PATIENCE;
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, Site};
use std::collections::BTreeSet;

const N_PAGES: usize = 10;
const EDITED: usize = 4;

#[test]
fn heavy_a_frontier_that_was_begun_anew_replaces_what_is_stored() {
    let Some(mut cluster) = Cluster::start("heavy_a_frontier_that_was_begun_anew_replaces_what_is_stored") else {
        return;
    };
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 64));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    cluster.add("node-a", &[]);
    cluster.wait_for_owners(&["node-a"], PATIENCE);
    // Twice, so that the epochs of the pages are not the first ones.
    cluster.stop("node-a");
    cluster.restart("node-a");
    cluster.wait_for_owners(&["node-a"], PATIENCE);
    let line = ["--delay", "0", "--per-host", "2"];
    cluster.crawl("node-a", &origin, &line).wait(PATIENCE).check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    let found = |cluster: &Cluster, word: &str| -> BTreeSet<String> {
        let found = cluster.ask("node-a", &["search", word, "--mode", "lexical"]).wait(PATIENCE);
        let urls = found.events("hit").filter_map(|hit| hit["url"].as_str());
        urls.map(|url| url.split('#').next().unwrap_or_default().to_owned()).collect()
    };
    let page = BTreeSet::from([origin.site().hosts()[0].url(&Generated::path(EDITED))]);
    assert_eq!(found(&cluster, &unique_word(0, EDITED)), page);

    cluster.stop("node-a");
    cluster.redis.forget();
    let new_word = "xequantaborimoluk";
    editor.set(&Generated::path(EDITED), Change::Replace(unique_word(0, EDITED), new_word.to_owned()));
    cluster.restart("node-a");
    cluster.wait_for_owners(&["node-a"], PATIENCE);
    // Validators are the pages' own: what did not change is not fetched whole.
    let ended = cluster.crawl("node-a", &origin, &line).wait(PATIENCE);
    ended.check_ledger(0, [1, N_PAGES as u64 - 1, 10, 0]);
    assert_eq!(found(&cluster, new_word), page);
    assert!(found(&cluster, &unique_word(0, EDITED)).is_empty(), "the old version is still found");
    cluster.verify();
}
