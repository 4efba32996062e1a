//! The embedded vector store: the conformance suite, and what only an engine in this process can do wrong. In a module
//! of its own the same for a server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod qdrant;

use argiope_protocol::{ChunkId, TenantId};
use argiope_store::conformance::vectors::{self as suite, Place};
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
use argiope_store::vectors::{IndexModel, PageWrite, Side, VectorStore, WriteAnswer};
use argiope_store::{Error, Result};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn options() -> VectorOptions {
    VectorOptions { group_wait: Duration::from_millis(3), ..VectorOptions::default() }
}

fn open(dir: &Path) -> Result<EmbeddedVectors> {
    EmbeddedVectors::open(dir, suite::model(), options())
}

struct Directory(TempDir);

#[async_trait]
impl Place for Directory {
    async fn open(&self) -> Arc<dyn VectorStore> {
        Arc::new(open(self.0.path()).unwrap())
    }
}

macro_rules! conformance {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            suite::$name(&Directory(tempfile::tempdir().unwrap())).await;
        }
    )*};
}

conformance! {
    a_written_page_is_found_on_both_sides
    an_empty_question_finds_nothing
    a_replaced_page_shows_only_its_new_version
    an_older_write_is_fenced
    a_hidden_page_is_not_found
    a_group_takes_effect_in_order
    filters_and_tenants_separate
    no_search_sees_two_versions
    scans_are_complete_and_chunks_can_be_removed
    everything_survives_reopening
    a_vector_of_another_dimension_is_refused
}

/// The texts of a version: the first one is the same in all of them.
fn version(n: u32, seq: u64) -> Vec<String> {
    vec![format!("kept of {n}"), format!("page {n} version {seq}"), format!("more of page {n} version {seq}")]
}

/// A write whose chunks are all new to the store, whatever it holds.
fn whole_write(n: u32, seq: u64) -> PageWrite {
    let texts = version(n, seq);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    suite::page_write(&TenantId::default(), n, seq, &texts)
}

/// A write after that of `seq - 1`: one chunk is kept, the others are replaced.
fn write(n: u32, seq: u64) -> PageWrite {
    let mut write = whole_write(n, seq);
    if seq > 1 {
        let old = version(n, seq - 1);
        write.stale = old.iter().skip(1).map(|text| suite::chunk_id(&TenantId::default(), n, text)).collect();
        write.new_chunks.remove(0);
    }
    write
}

fn allocated_bytes(dir: &Path) -> u64 {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        n_bytes += if metadata.is_dir() { allocated_bytes(&entry.path()) } else { metadata.blocks() * 512 };
    }
    n_bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_another_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    for model in [
        IndexModel { id: "other".to_owned(), ..suite::model() },
        IndexModel { dimension: suite::DIMENSION + 1, ..suite::model() },
    ] {
        let refused = EmbeddedVectors::open(dir.path(), model, options());
        assert!(matches!(refused, Err(Error::ModelMismatch { .. })), "{refused:?}");
    }
    drop(open(dir.path()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_open_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let second = open(dir.path());
    assert!(matches!(&second, Err(Error::Locked { holder }) if holder.starts_with("process ")), "{second:?}");
    store.apply(vec![write(1, 1)]).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.apply(vec![write(1, 2)]).await, Err(Error::Closed)));
    assert!(matches!(store.count(&TenantId::default()).await, Err(Error::Closed)));
    assert_eq!(open(dir.path()).unwrap().count(&TenantId::default()).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let greedy = VectorOptions { min_free_bytes: u64::MAX, min_free_fraction: 1.0, ..options() };
    let unmade = EmbeddedVectors::open(dir.path(), suite::model(), greedy.clone());
    assert!(matches!(unmade, Err(Error::DiskFull { .. })), "{unmade:?}");
    drop(open(dir.path()).unwrap());
    let store = EmbeddedVectors::open(dir.path(), suite::model(), greedy).unwrap();
    let refused = store.apply(vec![write(1, 1)]).await;
    assert!(matches!(&refused, Err(error @ Error::DiskFull { .. }) if error.is_retryable()), "{refused:?}");
    assert_eq!(store.count(&TenantId::default()).await.unwrap(), 0);
    drop(store);
    assert_eq!(open(dir.path()).unwrap().apply(vec![write(1, 1)]).await.unwrap(), [WriteAnswer::Switched]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_with_the_number_of_openings() {
    let dir = tempfile::tempdir().unwrap();
    for seq in 1..=30 {
        let store = open(dir.path()).unwrap();
        let answers = store.apply((0..10).map(|n| write(n, seq)).collect()).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == WriteAnswer::Switched));
        store.close().await.unwrap();
    }
    let n_bytes = allocated_bytes(dir.path());
    assert!(n_bytes < 40 * 1024 * 1024, "{n_bytes} bytes");
    let store = open(dir.path()).unwrap();
    check_all(&store, &(0..10).map(|n| (n, 30)).collect()).await;
    assert_eq!(store.count(&TenantId::default()).await.unwrap(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_groups_and_the_index_is_optimised_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let options = VectorOptions { optimize_every: 100, queue_chunks: 8, group_chunks: 32, ..options() };
    let store = Arc::new(EmbeddedVectors::open(dir.path(), suite::model(), options).unwrap());
    let callers = (0..8_u32).map(|caller| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..15 {
                let answers = store.apply(vec![write(caller * 100 + n, 1), write(caller * 100 + n, 2)]).await.unwrap();
                assert_eq!(answers, [WriteAnswer::Switched; 2]);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let expected: BTreeMap<u32, u64> = (0..8).flat_map(|caller| (0..15).map(move |n| (caller * 100 + n, 2))).collect();
    check_all(&*store, &expected).await;
    assert_eq!(store.count(&TenantId::default()).await.unwrap(), 8 * 15 * 3);
    drop(store);
    check_all(&open(dir.path()).unwrap(), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_panics_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.apply(vec![write(1, 1)]).await.unwrap();
    // The engine's flush panics when it cannot write.
    std::fs::remove_dir_all(dir.path().join("chunks_conformance_16/segments")).unwrap();
    let failed = store.apply(vec![write(2, 1)]).await;
    assert!(matches!(&failed, Err(error @ Error::Engine { .. }) if error.is_retryable()), "{failed:?}");
    assert_eq!(store.apply(vec![write(2, 1)]).await.unwrap(), [WriteAnswer::Switched]);
    let hits = store.search(Side::Lexical, &suite::question(&TenantId::default(), "kept", 9)).await.unwrap();
    assert_eq!(hits.len(), 1);
}

/// Every page has at least the version that was answered, with all of its chunks, and both sides find them.
async fn check_all(store: &dyn VectorStore, answered: &BTreeMap<u32, u64>) {
    let tenant = TenantId::default();
    let stored = stored_ids(store).await;
    for (&n, &seq) in answered {
        let head = store.heads(&tenant, &[suite::page_key(n)]).await.unwrap().pop().flatten().unwrap();
        assert!(head.seq >= seq, "page {n} went back from {seq} to {}", head.seq);
        let expected: Vec<ChunkId> =
            version(n, head.seq).iter().map(|text| suite::chunk_id(&tenant, n, text)).collect();
        assert_eq!(head.chunks, expected, "page {n}");
        assert!(expected.iter().all(|id| stored.contains(id)), "page {n} version {} lacks chunks", head.seq);
        if n % 7 == 0 {
            for side in [Side::Lexical, Side::Semantic] {
                let hits = store.search(side, &suite::question(&tenant, &format!("kept of {n}"), 400)).await.unwrap();
                assert!(hits.iter().any(|hit| expected.first() == Some(&hit.id)), "{side:?} lost page {n}");
            }
        }
    }
}

async fn stored_ids(store: &dyn VectorStore) -> BTreeSet<ChunkId> {
    let chunks = store.scan_chunks(&TenantId::default(), None, 100_000).await.unwrap();
    chunks.into_iter().map(|chunk| chunk.id).collect()
}

async fn remove_strays(store: &dyn VectorStore) -> usize {
    let (heads, cursor) = store.scan_heads(&TenantId::default(), None, 100_000).await.unwrap();
    assert_eq!(cursor, None);
    let listed: BTreeSet<ChunkId> = heads.into_iter().flat_map(|head| head.chunks).collect();
    let stored = stored_ids(store).await;
    assert!(listed.is_subset(&stored), "a head lists chunks that are not stored");
    let strays: Vec<ChunkId> = stored.difference(&listed).copied().collect();
    let n_strays = strays.len();
    store.remove_strays(strays).await.unwrap();
    assert_eq!(stored_ids(store).await, listed);
    n_strays
}

const CHILD_DIR: &str = "ARGIOPE_TEST_VECTORS_CHILD_DIR";
const CHILD_SEQ: &str = "ARGIOPE_TEST_VECTORS_CHILD_SEQ";
const N_KILLS: u64 = 12;
const N_WRITERS: u32 = 8;
const PAGES_PER_WRITER: u32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut n_answers, mut n_strays) = (0, 0);
    for round in 0..N_KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_of_the_kill_test", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .env(CHILD_SEQ, (round * 1_000 + 1).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut killer = None;
        // The pipe keeps what was answered before the kill; reading goes on until it ends.
        for line in lines.map_while(std::result::Result::ok) {
            let mut words = line.split(' ').skip_while(|word| *word != "answered").skip(1);
            let (Some(n), Some(seq)) = (words.next(), words.next()) else { continue };
            answered.insert(n.parse().unwrap(), seq.parse().unwrap());
            n_answers += 1;
            killer.get_or_insert_with(|| kill_soon(&child, RandomState::new().hash_one(round) % 1_500));
        }
        let status = child.wait().unwrap();
        assert!(!status.success(), "the child ended by itself: {status}");
        killer.expect("the child wrote something").join().unwrap();
        let store = open(dir.path()).unwrap();
        check_all(&store, &answered).await;
        n_strays += remove_strays(&store).await;
        store.close().await.unwrap();
    }
    println!("{n_answers} answers for {} pages, {n_strays} strays after {N_KILLS} kills", answered.len());
}

fn kill_soon(child: &std::process::Child, millis: u64) -> std::thread::JoinHandle<()> {
    let id = rustix::process::Pid::from_child(child);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(millis));
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    })
}

/// Writes pages, again and again with a higher `seq`, and prints each answer, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_of_the_kill_test() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let first_seq: u64 = std::env::var(CHILD_SEQ).unwrap().parse().unwrap();
    // Small, so that some of the kills meet an optimisation.
    let options = VectorOptions { optimize_every: 60, ..options() };
    let store = Arc::new(EmbeddedVectors::open(Path::new(&dir), suite::model(), options).unwrap());
    let writers = (0..N_WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for seq in first_seq.. {
                for n in writer * PAGES_PER_WRITER..(writer + 1) * PAGES_PER_WRITER {
                    let write = if seq == first_seq { whole_write(n, seq) } else { write(n, seq) };
                    assert_eq!(store.apply(vec![write]).await.unwrap(), [WriteAnswer::Switched]);
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "answered {n} {seq}").unwrap();
                    out.flush().unwrap();
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
