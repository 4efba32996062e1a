//! kill -9 at any moment: nothing is lost, nothing doubles, no host is asked sooner than promised.

use crate::origin::Origin;
use crate::place::{PATIENCE, Place, check_balance, check_line};
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How hard the crawl is hit.
struct Form {
    n_pages: usize,
    n_kills: u32,
    delay: &'static str,
}

const N_HOSTS: usize = 20;
const QUICK: Form = Form { n_pages: 12, n_kills: 12, delay: "0.4" };
/// With `ARGIOPE_FAULT=full`: 2,000 pages and at least 50 kills.
const FULL: Form = Form { n_pages: 100, n_kills: 50, delay: "0.3" };
/// Redirects, missing and forbidden pages and the sitemap of a generated host.
const N_SKIPPED: usize = 10;

/// Random moments from a seed that is printed; `ARGIOPE_FAULT_SEED` plays one again.
struct Moments {
    seed: u64,
    n_taken: u64,
}

impl Moments {
    fn new() -> Self {
        let given = std::env::var("ARGIOPE_FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("ARGIOPE_FAULT_SEED={seed}");
        Self { seed, n_taken: 0 }
    }

    /// Between 0.2 and 2.5 s after a start.
    fn next(&mut self) -> Duration {
        self.n_taken += 1;
        Duration::from_millis(200 + xxh3_64_with_seed(&self.n_taken.to_le_bytes(), self.seed) % 2_300)
    }
}

/// What the kills left behind.
#[derive(Debug, Default)]
struct Toll {
    n_kills: u32,
    /// Leases that were out at the kills, summed up: what may be fetched again.
    n_in_flight: u64,
}

#[test]
fn fault_kill_nine_loses_and_doubles_nothing() {
    let form = if std::env::var("ARGIOPE_FAULT").is_ok_and(|form| form == "full") { FULL } else { QUICK };
    let builder = (0..N_HOSTS).fold(Site::builder(), |builder, n| {
        // The origin thinks, so that requests are under way at most kills.
        let behaviour = Behaviour { think: Duration::from_millis(80), ..Behaviour::default() };
        builder.host(&format!("h{n}.test"), Generated::new(n, form.n_pages, 9), behaviour)
    });
    let (origin, place) = (Origin::start(builder), Place::new());

    let (ledger, toll) = crawl_under_kills(&origin, &place, &form);

    let n_all = N_HOSTS * form.n_pages;
    let requests = page_requests(&origin);
    let n_again: u64 = requests.values().map(|n| n - 1).sum();
    println!(
        "{n_all} pages, {} kills, {} leases out at kills, {n_again} of {} requests for pages repeated, worst page asked {} times",
        toll.n_kills,
        toll.n_in_flight,
        requests.values().sum::<u64>(),
        requests.values().max().unwrap_or(&0),
    );
    check_line(&ledger, [n_all as u64, 0, (N_SKIPPED * N_HOSTS) as u64, 0]);
    let pages = place.export();
    assert_eq!(pages.len(), n_all);
    let summary = place.verify();
    let n_chunks: u64 = pages.values().filter_map(|page| page["chunks"].as_u64()).sum();
    assert_eq!(
        (&summary["pages"], &summary["heads"], &summary["chunks"]),
        (&n_all.into(), &n_all.into(), &n_chunks.into())
    );
    assert!(toll.n_kills >= form.n_kills / 2, "the crawl ended after {} kills only", toll.n_kills);
    assert!(n_again <= toll.n_in_flight, "{n_again} requests repeated, {} leases were out", toll.n_in_flight);
    let delay = Duration::from_secs_f64(form.delay.parse().expect("seconds"));
    let violations = origin.violations(delay, 1);
    assert!(
        violations.is_empty(),
        "{} violations in {} requests: {violations:#?}",
        violations.len(),
        origin.log().len()
    );
}

/// Starts the same command again and again, kills it each time, and looks at the ledger in between. Answers the last
/// ledger: the summary's, or the job's when the kill came between the job's end and the process's (the next start
/// would be a recrawl).
fn crawl_under_kills(origin: &Origin, place: &Place, form: &Form) -> (Value, Toll) {
    let (mut moments, mut toll) = (Moments::new(), Toll::default());
    let line = ["--delay", form.delay, "--concurrency", "64"];
    while toll.n_kills < form.n_kills {
        let running = place.start_crawl(&origin.seeds(), &line);
        if let Some(ended) = running.kill_after(moments.next()) {
            assert_eq!(ended.status, Some(0), "{ended:?}");
            return (ended.summary().clone(), toll);
        }
        toll.n_kills += 1;
        let jobs = place.run(&["jobs"]);
        assert_eq!(jobs.status, Some(0), "after {toll:?}: {jobs:?}");
        for job in jobs.events("job") {
            check_balance(job);
            toll.n_in_flight += job["leased"].as_u64().unwrap_or_default();
            if job["state"] == "finished" {
                return (job.clone(), toll);
            }
        }
    }
    let ended = place.start_crawl(&origin.seeds(), &line).wait(PATIENCE * 3);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    (ended.summary().clone(), toll)
}

/// Requests for each page that was asked for.
fn page_requests(origin: &Origin) -> BTreeMap<(String, String), u64> {
    let mut requests = BTreeMap::new();
    for entry in origin.log() {
        if entry.path == "/" || entry.path.starts_with("/docs/") {
            *requests.entry((entry.host, entry.path)).or_default() += 1;
        }
    }
    requests
}
