//! The page store of one machine: the contract, and what a crash, a flipped byte or a full disk does to it.

use crate::body_of;
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, TenantId};
use argiope_store::conformance::pages::{all, new_page, page_url};
use argiope_store::embedded::data_dir::DiskReserve;
use argiope_store::embedded::pages::{EmbeddedPages, PageOptions};
use argiope_store::pages::NewPage;
use argiope_store::{Error, PageStore};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const CHILD: &str = "ARGIOPE_TEST_PAGES_CHILD";

fn options() -> PageOptions {
    PageOptions { reserve: DiskReserve::NONE, group_wait: Duration::from_millis(1), ..PageOptions::default() }
}

fn open(directory: &Path) -> EmbeddedPages {
    EmbeddedPages::open(directory, options()).unwrap()
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let mut directories = Vec::new();
    let make = async || {
        directories.push(tempfile::tempdir().unwrap());
        open(directories.last().unwrap().path())
    };
    all(make).await.unwrap();
}

#[tokio::test]
async fn pages_survive_a_reopen_and_equal_bodies_are_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let puts = (0..200_u64).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.put(new_page(&page_url(n), 1, &body_of(n % 50, 0))).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pages, stats.bodies, stats.shared_bodies), (200, 50, 150));
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.stats().await.unwrap(), stats);
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    for n in 0..200 {
        let body = store.body(&TenantId::default(), &PageKey::of(&page_url(n))).await.unwrap().unwrap();
        assert_eq!(body, body_of(n % 50, 0));
    }
}

#[tokio::test]
async fn compaction_gives_dead_bytes_back_and_keeps_every_page() {
    let directory = tempfile::tempdir().unwrap();
    let small = PageOptions { segment_bytes: 64 * 1024, ..options() };
    let store = EmbeddedPages::open(directory.path(), small.clone()).unwrap();
    let tenant = TenantId::default();
    for seq in 1..=4 {
        for n in 0..60 {
            let noise: Vec<u8> = (0..3_000_u64).map(|i| ((i * i * (n + 3) * seq) >> 5).to_le_bytes()[0]).collect();
            store.put(new_page(&page_url(n), seq, &noise)).await.unwrap();
        }
    }
    let before = store.stats().await.unwrap();
    assert!(before.dead_bytes > before.live_bytes, "{before:?}");
    let done = store.compact().await.unwrap();
    let after = store.stats().await.unwrap();
    assert!(done.segments > 0 && done.freed_bytes > 0 && after.dead_bytes < after.live_bytes, "{done:?} {after:?}");
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    drop(store);
    let store = EmbeddedPages::open(directory.path(), small).unwrap();
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    for n in 0..60 {
        let key = PageKey::of(&page_url(n));
        assert_eq!(store.markdown(&tenant, &key).await.unwrap().as_deref(), Some("# 4"));
        assert!(store.body(&tenant, &key).await.unwrap().is_some());
    }
    assert_eq!(store.compact().await.unwrap().segments, 0);
}

#[tokio::test]
async fn a_flipped_byte_is_found_by_the_reader_and_by_verify_and_healed_by_the_next_put() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let tenant = TenantId::default();
    let page = new_page(&page_url(1), 1, &body_of(300, 1));
    let key = page.record.key;
    store.put(NewPage { markdown: String::new(), ..page.clone() }).await.unwrap();
    let path = directory.path().join("segments/000001.warc.zst");
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    let at = damaged.len() - 30;
    damaged[at] ^= 4;
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(store.body(&tenant, &key).await, Err(Error::Corrupt { .. })));
    let found = store.verify().await.unwrap();
    assert!(found.len() == 1 && found[0].contains("http://site.test/1"), "{found:?}");
    store.put(new_page(&page_url(1), 2, &body_of(300, 1))).await.unwrap();
    assert_eq!(store.body(&tenant, &key).await.unwrap(), Some(page.body));
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    drop(store);
    std::fs::write(&path, &sound[..40]).unwrap();
    let store = open(directory.path());
    assert!(!store.verify().await.unwrap().is_empty());
    store.put(new_page(&page_url(2), 1, b"after the loss")).await.unwrap();
    let read = store.body(&tenant, &PageKey::of(&page_url(2))).await.unwrap();
    assert_eq!(read.as_deref(), Some(b"after the loss".as_slice()));
}

#[tokio::test]
async fn a_damaged_index_record_fails_only_what_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let page = new_page(&page_url(1), 1, b"one");
    let (tenant, key) = (page.record.tenant.clone(), page.record.key);
    store.put(page.clone()).await.unwrap();
    drop(store);
    flip_a_bit_of_every_page_record(directory.path());
    let slow = PageOptions { group_wait: Duration::from_millis(100), ..options() };
    let store = EmbeddedPages::open(directory.path(), slow).unwrap();
    assert!(matches!(store.record(&tenant, &key).await, Err(Error::Corrupt { .. })));
    assert!(!store.verify().await.unwrap().is_empty());
    let other = new_page(&page_url(2), 1, b"two");
    let (touched, put) = tokio::join!(store.touch(page.record.clone()), store.put(other.clone()));
    assert!(matches!(touched, Err(Error::Corrupt { .. })));
    put.unwrap();
    assert_eq!(store.body(&tenant, &other.record.key).await.unwrap(), Some(other.body));
    store.put(page.clone()).await.unwrap();
    assert_eq!(store.body(&tenant, &key).await.unwrap(), Some(page.body));
}

fn flip_a_bit_of_every_page_record(directory: &Path) {
    use redb::ReadableTable;
    let database = redb::Database::open(directory.join("index.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let rows = redb::TableDefinition::<&[u8], &[u8]>::new("pages");
        let mut table = transaction.open_table(rows).unwrap();
        let rows = table.iter().unwrap().map(Result::unwrap);
        let found: Vec<_> = rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect();
        for (key, mut value) in found {
            value[20] ^= 1;
            table.insert(key.as_slice(), value.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

#[tokio::test]
async fn nothing_is_written_into_the_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let all_of_it = DiskReserve { bytes: u64::MAX, share: 1.0 };
    let store = EmbeddedPages::open(directory.path(), PageOptions { reserve: all_of_it, ..options() }).unwrap();
    let page = new_page(&page_url(1), 1, b"text");
    assert!(matches!(store.put(page.clone()).await, Err(Error::DiskFull { .. })));
    assert_eq!(store.record(&TenantId::default(), &page.record.key).await.unwrap(), None);
    store.delete(&TenantId::default(), &page.record.key).await.unwrap();
}

#[tokio::test]
async fn a_failed_write_opens_the_store_again_and_the_next_one_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.put(new_page(&page_url(1), 1, b"one")).await.unwrap();
    drop(store);
    // A directory where the next segment should be: the write fails however privileged the test is.
    let tiny = PageOptions { segment_bytes: 1, ..options() };
    let store = EmbeddedPages::open(directory.path(), tiny).unwrap();
    let blocked = directory.path().join("segments/000002.warc.zst");
    std::fs::create_dir(&blocked).unwrap();
    assert!(store.put(new_page(&page_url(2), 1, b"two")).await.is_err());
    assert_eq!(store.record(&TenantId::default(), &PageKey::of(&page_url(2))).await.unwrap(), None);
    std::fs::remove_dir(&blocked).unwrap();
    store.put(new_page(&page_url(2), 1, b"two")).await.unwrap();
    assert_eq!(store.stats().await.unwrap().pages, 2);
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn segments_are_read_by_the_zstd_tool() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..5 {
        store.put(new_page(&page_url(n), 1, &body_of(n % 3, 0))).await.unwrap();
    }
    let segment = directory.path().join("segments/000001.warc.zst");
    if let Some(keep) = std::env::var_os("ARGIOPE_TEST_KEEP_SEGMENT") {
        std::fs::copy(&segment, keep).unwrap();
    }
    let Ok(output) = Command::new("zstd").args(["-d", "-c"]).arg(&segment).output() else {
        eprintln!("skipped: there is no zstd tool here");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for (kind, n) in [("warcinfo", 1), ("response", 3), ("revisit", 2), ("conversion", 5)] {
        assert_eq!(text.matches(&format!("WARC-Type: {kind}\r\n")).count(), n, "{kind}");
    }
}

/// Not a test of its own: the process that `whatever_was_answered_survives_kill_9` kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (directory, seed) = task.rsplit_once('#').unwrap();
    let seed: u64 = seed.parse().unwrap();
    let small = PageOptions { segment_bytes: 256 * 1024, ..options() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Arc::new(EmbeddedPages::open(Path::new(directory), small).unwrap());
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for task in 0..8_u64 {
            let store = Arc::clone(&store);
            tasks.push(tokio::spawn(async move {
                for n in (task..).step_by(8) {
                    let mut page = new_page(&page_url(n % 500), seed * 1_000_000 + n, &body_of(n % 200, seed));
                    page.retain = if n % 5 == 0 { Retain::Markdown } else { Retain::Raw };
                    store.put(page).await.unwrap();
                    // One write a line: a torn line was not answered.
                    std::io::stdout().write_all(format!("acked {n}\n").as_bytes()).unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[tokio::test]
async fn whatever_was_answered_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut newest: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut n_acked = 0;
    for seed in 1..=12_u64 {
        for n in acked_by_a_killed_child(directory.path(), seed) {
            let page = newest.entry(n % 500).or_default();
            *page = (*page).max((seed, n));
            n_acked += 1;
        }
        let store = open(directory.path());
        assert_eq!(store.verify().await.unwrap(), [""; 0], "run {seed}");
        for (page, (seed, n)) in &newest {
            check_acked(&store, *page, *seed, *n).await;
        }
    }
    assert!(n_acked > 200, "only {n_acked} pages were answered before the kills");
}

/// Kills the child some time after its first answer, another time in every run, and reads its answers to the end.
fn acked_by_a_killed_child(directory: &Path, seed: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{}#{seed}", directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first_answer, is_writing) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        let mut acked = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("acked ").and_then(|n| n.parse().ok()) {
                acked.push(n);
                let _ = first_answer.try_send(());
            }
        }
        acked
    });
    is_writing.recv_timeout(Duration::from_secs(60)).expect("the child answers");
    std::thread::sleep(Duration::from_micros(seed * 7_919_137 % 250_000));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// The page is at least as new as its newest answered version, and its bytes belong to its record.
async fn check_acked(store: &EmbeddedPages, page: u64, seed: u64, n: u64) {
    let tenant = TenantId::default();
    let key = PageKey::of(&page_url(page));
    let record = store.record(&tenant, &key).await.unwrap().expect("an answered page is there");
    assert!(record.seq >= seed * 1_000_000 + n, "page {page} lost run {seed}, write {n}");
    let markdown = store.markdown(&tenant, &key).await.unwrap();
    assert_eq!(markdown, Some(format!("# {}", record.seq)));
    match store.body(&tenant, &key).await.unwrap() {
        Some(body) => assert_eq!(*blake3::hash(&body).as_bytes(), record.body_hash),
        None => assert_eq!(record.seq % 1_000_000 % 5, 0, "page {page} lost its body"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn any_header_and_body_bytes_come_back(
        pages in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 0..3_000),
                prop::collection::vec(("[a-z-]{1,12}", prop::collection::vec(any::<u8>(), 0..40)), 0..6),
                any::<String>(),
            ),
            1..6,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let store = open(directory.path());
            for (n, (body, headers, markdown)) in (0..).zip(&pages) {
                let page = new_page(&page_url(n), 1, body);
                store.put(NewPage { headers: headers.clone(), markdown: markdown.clone(), ..page }).await.unwrap();
            }
            for (n, (body, headers, markdown)) in (0..).zip(&pages) {
                let (tenant, key) = (TenantId::default(), PageKey::of(&page_url(n)));
                assert_eq!(&store.body(&tenant, &key).await.unwrap().unwrap()[..], &body[..]);
                assert_eq!(store.markdown(&tenant, &key).await.unwrap().unwrap_or_default(), *markdown);
                let mut read = store.headers(&tenant, &key).await.unwrap().unwrap();
                assert_eq!(read.pop().unwrap().1, body.len().to_string().into_bytes());
                assert_eq!(read, headers.iter().map(|(name, value)| (kept_name(name), kept_value(value))).collect::<Vec<_>>());
            }
            assert_eq!(store.verify().await.unwrap(), [""; 0]);
        });
    }
}

fn kept_name(name: &str) -> String {
    let is_wire = matches!(name, "content-encoding" | "content-length" | "transfer-encoding");
    if is_wire { format!("x-crawler-{name}") } else { name.to_owned() }
}

fn kept_value(value: &[u8]) -> Vec<u8> {
    let one_line: Vec<u8> = value.iter().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { *b }).collect();
    one_line.trim_ascii().to_vec()
}
