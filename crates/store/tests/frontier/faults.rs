//! A damaged file, an older file, a newer file, a full disk.

use crate::{database, open, runtime};
use argiope_protocol::{CanonicalUrl, PageKey};
use argiope_store::conformance::frontier::{at, claim, job_id, link, request, spec, url};
use argiope_store::embedded::frontier::{EmbeddedFrontier, OpenOptions};
use argiope_store::frontier::{LeaseAnswer, RejectTally, UrlFilter};
use argiope_store::{Error, FrontierStore};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

async fn fill(path: &Path, n_urls: u8) {
    let store = open(path, at(0));
    let claim = claim(&store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 1_000), at(0)).await.unwrap();
    let offer = (0..n_urls).map(|path| link(url(0, path))).collect();
    store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.unwrap();
}

#[test]
fn a_flipped_byte_in_a_value_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    runtime().block_on(fill(&path, 50));
    let mut bytes = std::fs::read(&path).unwrap();
    let text = url(0, 33).to_string();
    let places: Vec<usize> =
        (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text.as_bytes())).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + 10] ^= 1;
    }
    std::fs::write(&path, bytes).unwrap();
    runtime().block_on(async {
        let store = open(&path, at(1));
        let findings = store.verify().await.unwrap();
        assert!(findings.iter().any(|finding| finding.contains("checksum")), "{findings:?}");
        let list = store.list_urls(job_id(0), UrlFilter::All, None, 100).await;
        assert!(matches!(list, Err(Error::Corrupt { .. })), "{list:?}");
        // The rest still works: a group without that record commits.
        let claim = claim(&store, at(1)).await;
        let lease = store.lease(&claim, &request(0, 1), at(1)).await.unwrap();
        assert!(matches!(lease, LeaseAnswer::Granted(_)), "{lease:?}");
        let again = store.admit(&claim, job_id(0), vec![link(url(0, 200))], RejectTally::default(), at(1)).await;
        assert_eq!(again.unwrap().queued.len(), 1);
        // An operation that fails after it wrote leaves nothing behind, and its neighbours in the group stay.
        let pages = vec![PageKey::of(&url(0, 10)), PageKey::of(&url(0, 33))];
        let broken = store.discard(&claim, job_id(0), pages, argiope_protocol::Fate::Stored, at(1));
        let offer = vec![link(url(0, 201))];
        let good = store.admit(&claim, job_id(0), offer, RejectTally::default(), at(1));
        let (broken, good) = tokio::join!(broken, good);
        assert!(matches!(broken, Err(Error::Corrupt { .. })), "{broken:?}");
        assert_eq!(good.unwrap().queued.len(), 1);
        let counters = store.job(job_id(0)).await.unwrap().counters;
        assert_eq!((counters.stored, counters.discovered, counters.is_balanced()), (0, 52, true));
    });
}

#[test]
fn a_lost_end_of_history_is_noticed_and_no_epoch_is_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    runtime().block_on(fill(&path, 3));
    let older = std::fs::read(&path).unwrap();
    let epoch = runtime().block_on(async {
        let store = open(&path, at(1));
        claim(&store, at(1)).await;
        claim(&store, at(1)).await.epoch
    });
    std::fs::write(&path, older).unwrap();
    runtime().block_on(async {
        let store = open(&path, at(2));
        assert!(store.open_report().lost_commits > 0, "{:?}", store.open_report());
        assert!(claim(&store, at(2)).await.epoch > epoch);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
    let store = open(&path, at(3));
    assert_eq!(store.open_report().lost_commits, 0, "a loss is told once");
    drop(store);
    std::fs::remove_file(dir.path().join("frontier.redb.commits")).unwrap();
    assert!(open(&path, at(4)).open_report().is_counter_missing);
}

#[test]
fn a_newer_format_and_a_second_opener_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let store = open(&path, at(0));
    let second = EmbeddedFrontier::open(&path, &OpenOptions::default(), at(0));
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    drop(store);
    let engine = redb::Database::open(&path).unwrap();
    let transaction = engine.begin_write().unwrap();
    let format = redb::TableDefinition::<&str, u32>::new("format");
    transaction.open_table(format).unwrap().insert("frontier", 7).unwrap();
    transaction.commit().unwrap();
    drop(engine);
    let newer = EmbeddedFrontier::open(&path, &OpenOptions::default(), at(0));
    assert!(matches!(newer, Err(Error::Newer { found: 7, .. })), "{newer:?}");
}

/// A tmpfs that goes away with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(dir.path()).output();
        done.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_fails_calls_and_heals_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED a_full_disk_fails_calls_and_heals_when_there_is_room: cannot mount a tmpfs");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    runtime().block_on(async {
        let store = open(&database(disk.0.path()), at(0));
        let claim = claim(&store, at(0)).await;
        store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await.unwrap();
        let batch = |number: u32| {
            let page = move |n: u32| format!("https://h0.example.org/{}/{}", number * 100 + n, "x".repeat(400));
            (0..100).map(|n| link(CanonicalUrl::parse(&page(n)).unwrap())).collect::<Vec<_>>()
        };
        let mut n_batches = 0;
        let error = loop {
            match store.admit(&claim, job_id(0), batch(n_batches), RejectTally::default(), at(0)).await {
                Ok(_) => n_batches += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?} after {n_batches}");
        assert!(n_batches > 0);
        assert!(error.is_retryable());
        std::fs::remove_file(&ballast).unwrap();
        let began = Instant::now();
        while let Err(error) = store.admit(&claim, job_id(0), batch(n_batches), RejectTally::default(), at(0)).await {
            assert!(began.elapsed() < Duration::from_secs(20), "still {error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let counters = store.job(job_id(0)).await.unwrap().counters;
        assert_eq!(counters.discovered, u64::from(n_batches + 1) * 100);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}
