//! An owner that is frozen for longer than its claims hold, and wakes while another one has its shards.
//!
//! The new owner is itself frozen for the first seconds after that: it cannot hand the shards back, so that whatever the
//! first one starts there meanwhile it starts without a right. `crate::sabotage` runs the same with a build that has no
//! fence.

use super::{Cluster, N_SKIPPED, origin};
use crate::origin::Origin;
use crate::place::{PATIENCE, Running};
use argiope_protocol::{CanonicalUrl, ShardId};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(300);
const N_HOSTS: usize = 20;
/// Of each host, and as many more as the new owner fetches in a second, for each second of the freeze: there must be some left.
const N_PAGES: usize = 50;
const PAGES_A_SECOND: u64 = 3;
/// Longer than in other tests, so that there is time to see what is started without a right.
const CLAIM_TTL: Duration = Duration::from_secs(10);
/// From the awakening until the new owner may go on; its claims, renewed each fifth of their life, hold for longer.
const ALONE: Duration = Duration::from_secs(7);
/// After that, until the frozen node has its shards again, or should.
const WATCH: Duration = Duration::from_secs(7);
const MAX_TAKEOVER: Duration = Duration::from_secs(24);

/// What was seen of a crawl whose owner was frozen.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Requests that came too soon, or were too many at once.
    n_violations: usize,
    /// Requests that the frozen node started at hosts whose shard another node owned.
    pub(crate) n_foreign: usize,
    /// Whether the ledger says exactly what there was. `None`: the crawl was not waited for.
    is_exact: Option<bool>,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        self.n_violations == 0 && self.n_foreign == 0 && self.is_exact == Some(true)
    }
}

/// Owners as they were between two moments of the origin's clock.
struct Look {
    began_micros: u64,
    ended_micros: u64,
    owners: Vec<String>,
}

/// Two nodes crawl, one is frozen for so long after it was replaced, and wakes. Nodes of another build are told which
/// part of them to break; what they do is not waited for to its end when they did what is forbidden.
#[track_caller]
pub(crate) fn freeze_an_owner(test: &str, frozen: Duration, broken: Option<(&Path, &str)>) -> Option<Findings> {
    let mut cluster = Cluster::start(test)?;
    let n_pages = N_PAGES + usize::try_from(PAGES_A_SECOND * frozen.as_secs()).expect("a short time");
    let origin = origin(N_HOSTS, n_pages, 71);
    for name in ["node-a", "node-b"] {
        let ttl = CLAIM_TTL.as_secs().to_string();
        let place = cluster.place().with("ARGIOPE_FRONTIER_CLAIM_TTL_SECS", &ttl);
        let place = match broken {
            Some((program, part)) => place.with_program(program).with("ARGIOPE_SABOTAGE", part),
            None => place,
        };
        cluster.add_at(place, name, &[]);
    }
    cluster.wait_for_owners(&["node-a", "node-b"], PATIENCE);
    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.3"]);
    crawl.wait_for_stored(60);
    cluster.signal("node-b", Signal::STOP);
    cluster.wait_for_owners(&["node-a"], MAX_TAKEOVER);
    std::thread::sleep(frozen);
    cluster.signal("node-a", Signal::STOP);
    cluster.signal("node-b", Signal::CONT);
    let mut looks = watch(&cluster, "node-b", &origin, ALONE);
    cluster.signal("node-a", Signal::CONT);
    looks.extend(watch(&cluster, "node-a", &origin, WATCH));
    let n_foreign = foreign_starts(&origin, &looks);
    let is_exact = (n_foreign == 0).then(|| is_exact(crawl, n_pages));
    let findings = Findings { n_violations: origin.violations(DELAY, 1).len(), n_foreign, is_exact };
    println!("{findings:?} of {} requests, {} looks at owners", origin.log().len(), looks.len());
    if findings.is_clean() {
        let n_all = serde_json::Value::from(N_HOSTS * n_pages);
        let summary = cluster.verify();
        assert_eq!((&summary["pages"], &summary["heads"]), (&n_all, &n_all));
    }
    Some(findings)
}

/// Whether the crawl ends with just the ledger that the site gives.
fn is_exact(crawl: Running, n_pages: usize) -> bool {
    let exact = [N_HOSTS * n_pages, 0, N_HOSTS * N_SKIPPED, 0, 0, 0].map(|n| Some(n as u64));
    let names = ["stored", "unchanged", "skipped", "failed", "queued", "leased"];
    crawl.kill_after(PATIENCE * 2).is_some_and(|ended| names.map(|name| ended.summary()[name].as_u64()) == exact)
}

/// Looks at the owners of all shards for so long.
fn watch(cluster: &Cluster, asked: &str, origin: &Origin, time: Duration) -> Vec<Look> {
    let (log, began) = (origin.site().log(), Instant::now());
    let mut looks = Vec::new();
    while began.elapsed() < time {
        let began_micros = log.now_micros();
        if let Ok(owners) = cluster.owner_of_shards(asked) {
            looks.push(Look { began_micros, ended_micros: log.now_micros(), owners });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    looks
}

/// Requests of the frozen node that started while two looks in a row say that their shard was another node's.
fn foreign_starts(origin: &Origin, looks: &[Look]) -> usize {
    let log = origin.log();
    let of_frozen = log.iter().filter(|entry| entry.user_agent == "node-b");
    let is_foreign = |entry: &&argiope_testkit::LogEntry| {
        let url = CanonicalUrl::parse(&format!("http://{}/", entry.host)).expect("an address");
        let shard = usize::from(ShardId::of_host(&url.host()).number());
        looks.windows(2).any(|pair| {
            let is_between = pair[0].ended_micros <= entry.start_micros && entry.start_micros <= pair[1].began_micros;
            is_between && pair.iter().all(|look| look.owners[shard] == "node-a")
        })
    };
    of_frozen.filter(is_foreign).count()
}

#[test]
fn fault_a_zombie_owner_starts_nothing_where_another_node_owns() {
    let is_full = std::env::var("ARGIOPE_FAULT").is_ok_and(|form| form == "full");
    let frozen = if is_full { Duration::from_secs(30) } else { CLAIM_TTL };
    let test = "fault_a_zombie_owner_starts_nothing_where_another_node_owns";
    let Some(findings) = freeze_an_owner(test, frozen, None) else { return };
    assert!(findings.is_clean(), "{findings:?}");
}
