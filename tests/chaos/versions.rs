//! Nodes of two neighbouring versions share one crawl. The later one is a build of the same source that offers one more
//! version of the wire, adds to what it says, and sends messages of kinds that nobody knows (`Fault::Next`).

use super::{Cluster, N_SKIPPED, check_polite, origin, page_requests};
use crate::place::{Ended, PATIENCE};
use crate::sabotage::Build;
use std::path::Path;
use std::time::Duration;

const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// Replaces a node by one of the other version, in the middle of whatever goes on. What it left.
#[track_caller]
fn change(cluster: &mut Cluster, name: &'static str, later: Option<&Path>) -> Ended {
    let ended = cluster.stop(name);
    let place = match later {
        Some(program) => {
            cluster.place().with_program(program).with("ARGIOPE_SABOTAGE", "next").with("RUST_LOG", "info")
        }
        None => cluster.place(),
    };
    cluster.add_at(place, name, &[]);
    cluster.wait_for_owners(&NODES, PATIENCE);
    ended
}

/// A later version was refused what nobody knows, by name, by both other nodes, and went on.
#[track_caller]
fn check_refused(later: &Ended) {
    let lines = |what: &str, peer: &str| {
        later.stderr.lines().filter(|line| line.contains(what) && line.contains(peer)).collect::<Vec<_>>()
    };
    for peer in ["node-a", "node-c"] {
        let kinds = lines("answers an unknown kind", peer);
        assert!(kinds.iter().any(|line| line.contains("kind 100 is not known here")), "{peer}: {later:?}");
        let calls = lines("answers an unknown call", peer);
        assert!(calls.iter().any(|line| line.contains("the call is not understood")), "{peer}: {later:?}");
        assert!(kinds.len() + calls.len() > 4, "the session ended: {later:?}");
    }
}

#[test]
fn heavy_versions_are_changed_there_and_back_and_each_page_is_asked_for_once() {
    let test = "heavy_versions_are_changed_there_and_back_and_each_page_is_asked_for_once";
    let Some(mut cluster) = Cluster::start(test) else { return };
    let later = Build::make().argiope;
    let (n_hosts, n_pages) = (20, 90);
    let origin = origin(n_hosts, n_pages, 57);
    NODES.into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&NODES, PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.6"]);
    crawl.wait_for_stored(60);

    let mut ends = Vec::new();
    // The one that the command follows stays as it is: neighbours of both versions are linked with it all the time.
    for (name, program) in [("node-b", Some(&later)), ("node-c", Some(&later)), ("node-c", None), ("node-b", None)] {
        ends.push(change(&mut cluster, name, program.map(std::path::PathBuf::as_path)));
    }
    assert!(!crawl.has_ended(), "the crawl was over before the last change");
    let ended = crawl.wait(PATIENCE * 2);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);
    let requests = page_requests(&origin);
    let again: Vec<_> = requests.iter().filter(|(_, n)| **n > 1).collect();
    assert!(requests.len() == n_hosts * n_pages && again.is_empty(), "asked for more than once: {again:?}");
    check_polite(&origin, Duration::from_millis(600));
    // The last of node-b was of the later version, and linked with one of each.
    check_refused(ends.last().expect("four nodes ended"));
    ends.extend(NODES.map(|name| cluster.stop(name)));
    for end in &ends {
        assert!(!end.stderr.contains("panicked") && !end.stderr.contains("ERROR"), "{end:?}");
    }
    cluster.verify();
}
