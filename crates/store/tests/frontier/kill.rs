//! kill -9 at any moment: what was acknowledged is there after the next open.

use crate::{database, open, runtime};
use argiope_protocol::{CanonicalUrl, Fate, Timestamp};
use argiope_store::FrontierStore;
use argiope_store::conformance::frontier::{at, claim, job_id, link, request, spec};
use argiope_store::frontier::{LeaseAnswer, RejectTally, UrlFilter, UrlState};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const CHILD: &str = "ARGIOPE_FRONTIER_CHILD";
const N_KILLS: u64 = 24;
const BATCH: u64 = 5;

fn page(number: u64) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("https://h{}.example.org/page/{number}", number % 3)).unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{line}").unwrap();
    out.flush().unwrap();
}

/// Offers batches, leases and settles, and says what was acknowledged, until it is killed.
async fn hammer(path: &Path, first: u64, now: Timestamp) {
    let store: Arc<dyn FrontierStore> = Arc::new(open(path, now));
    let claim = claim(&*store, now).await;
    store.create_job(job_id(0), &spec("default", u64::MAX), now).await.unwrap();
    let offers = async {
        for batch in first.. {
            let offer = (batch * BATCH..(batch + 1) * BATCH).map(|number| link(page(number))).collect();
            store.admit(&claim, job_id(0), offer, RejectTally::default(), now).await.unwrap();
            say(&format!("admitted {batch}"));
        }
    };
    let work = async |host: u8| {
        loop {
            let LeaseAnswer::Granted(leases) = store.lease(&claim, &request(host, 8), now).await.unwrap() else {
                tokio::task::yield_now().await;
                continue;
            };
            store.settle(&claim, leases[0].token, Fate::Stored, now).await.unwrap();
            say(&format!("stored {}", leases[0].candidate.url));
        }
    };
    tokio::join!(offers, work(0), work(1), work(2));
}

#[test]
fn child_that_hammers_the_store() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (first, path) = order.split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    runtime().block_on(hammer(Path::new(path), first, at(1_000_000 + first * 1_000)));
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let (mut admitted, mut stored) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..N_KILLS {
        let first = admitted.last().map_or(0, |last: &u64| last + 1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_hammers_the_store", "--nocapture"])
            .env(CHILD, format!("{first} {}", path.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut n_left = 3 + kill * 37 % 101;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(batch) = line.strip_prefix("@admitted ") {
                admitted.insert(batch.parse().unwrap());
            } else if let Some(url) = line.strip_prefix("@stored ") {
                stored.insert(url.to_owned());
            } else {
                continue;
            }
            n_left = n_left.saturating_sub(1);
            if n_left == 0 {
                child.kill().unwrap();
            }
        }
        assert!(n_left == 0, "the child ended by itself");
        child.wait().unwrap();
        runtime().block_on(check(&path, &admitted, &stored));
    }
}

async fn check(path: &Path, admitted: &BTreeSet<u64>, stored: &BTreeSet<String>) {
    let store = open(path, at(0));
    assert_eq!(store.open_report().lost_commits, 0);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert!(store.job(job_id(0)).await.unwrap().counters.is_balanced());
    let (mut known, mut ended, mut after) = (BTreeSet::new(), BTreeSet::new(), None);
    loop {
        let urls = store.list_urls(job_id(0), UrlFilter::All, after, 1_000).await.unwrap();
        let Some((last, _)) = urls.last() else { break };
        after = Some(*last);
        for (_, entry) in urls {
            known.insert(entry.candidate.url.to_string());
            if entry.state == UrlState::Ended(Fate::Stored) {
                ended.insert(entry.candidate.url.to_string());
            }
        }
    }
    let lost: Vec<_> = stored.difference(&ended).collect();
    assert!(lost.is_empty(), "stored and lost: {lost:?}");
    for number in admitted.iter().flat_map(|batch| batch * BATCH..(batch + 1) * BATCH) {
        assert!(known.contains(page(number).as_str()), "admitted and lost: {number}");
    }
}
