//! Hosts of several owners behind one address: together the nodes keep to the number of requests that one address takes.

use super::{Cluster, N_SKIPPED};
use crate::origin::{Origin, TOLERANCE};
use crate::place::PATIENCE;
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, LogEntry, Site};
use std::time::Duration;

const N_HOSTS: usize = 10;
const N_PAGES: usize = 8;
/// `crawl.per_ip` as it is by default.
const PER_IP: usize = 2;

/// The most requests that were answered at one moment. The origin's thread may note an end late.
fn most_at_once(log: &[LogEntry]) -> usize {
    let tolerance = u64::try_from(TOLERANCE.as_micros()).expect("a short time");
    let at_start = |entry: &LogEntry| {
        let is_open = |other: &&LogEntry| {
            other.start_micros <= entry.start_micros && entry.start_micros + tolerance < other.end_micros
        };
        log.iter().filter(is_open).count()
    };
    log.iter().map(at_start).max().unwrap_or_default()
}

#[test]
fn heavy_one_address_is_asked_by_no_more_at_once_than_one_node_would() {
    let Some(mut cluster) = Cluster::start("heavy_one_address_is_asked_by_no_more_at_once_than_one_node_would") else {
        return;
    };
    let behaviour = || Behaviour { think: Duration::from_millis(100), ..Behaviour::default() };
    let origin = Origin::start((0..N_HOSTS).fold(Site::builder(), |builder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, N_PAGES, 63), behaviour())
    }));
    let hosts = origin.site().hosts();
    let given: Vec<String> = hosts.iter().map(|host| format!("{}:{}", host.name, hosts[0].address)).collect();
    for name in ["node-a", "node-b"] {
        let place = cluster.place().with("ARGIOPE_EGRESS_RESOLVE", &given.join(","));
        cluster.add_at(place, name, &[]);
    }
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let seeds: Vec<String> = hosts.iter().map(|host| host.named_url("/")).collect();
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    let ended = cluster.ask("node-a", &[&["crawl", "--delay", "0"], &seeds[..]].concat()).wait(PATIENCE);
    ended.check_ledger(0, [(N_HOSTS * N_PAGES) as u64, 0, (N_HOSTS * N_SKIPPED) as u64, 0]);
    let log = origin.log();
    for name in ["node-a", "node-b"] {
        assert!(log.iter().any(|entry| entry.user_agent == name), "{name} did not crawl");
    }
    assert_eq!(most_at_once(&log), PER_IP, "of {} requests", log.len());
}
