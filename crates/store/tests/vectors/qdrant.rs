//! The vector store on a real Qdrant server: the conformance suite, and what can happen to servers.

use crate::{check_all, remove_strays, stored_ids, suite, version, whole_write, write};
use argiope_protocol::TenantId;
use argiope_store::conformance::vectors::Place;
use argiope_store::error::ServerFault;
use argiope_store::qdrant::{QdrantOptions, QdrantVectors};
use argiope_store::vectors::{IndexModel, Side, VectorStore, WriteAnswer};
use argiope_store::{Error, Result};
use argiope_testkit::QdrantServer;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A server, and the directory that must outlive it.
struct Served {
    server: QdrantServer,
    _dir: TempDir,
}

fn serve(test: &str, settings: &[(&str, &str)]) -> Option<Served> {
    let dir = tempfile::tempdir().unwrap();
    Some(Served { server: QdrantServer::start(test, dir.path(), settings)?, _dir: dir })
}

fn options(url: &str) -> QdrantOptions {
    QdrantOptions { prefix: "test".to_owned(), call_timeout: Duration::from_secs(5), ..QdrantOptions::new(url) }
}

async fn open(options: QdrantOptions) -> Result<QdrantVectors> {
    QdrantVectors::open(options, suite::model()).await
}

/// An index of its own on a server that several share.
struct Prefix(QdrantOptions);

#[async_trait]
impl Place for Prefix {
    async fn open(&self) -> Arc<dyn VectorStore> {
        Arc::new(open(self.0.clone()).await.unwrap())
    }
}

macro_rules! conformance {
    ($url:expr, $($name:ident)*) => {$(
        println!("{}", stringify!($name));
        suite::$name(&Prefix(QdrantOptions { prefix: stringify!($name).to_owned(), ..options($url) })).await;
    )*};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_keeps_the_contract() {
    let Some(served) = serve("a_server_keeps_the_contract", &[]) else { return };
    conformance! {
        &served.server.url(),
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_of_another_model_or_program_are_refused() {
    let Some(served) = serve("collections_of_another_model_or_program_are_refused", &[]) else { return };
    let url = served.server.url();
    drop(open(options(&url)).await.unwrap());
    for model in [
        IndexModel { id: "other".to_owned(), ..suite::model() },
        IndexModel { dimension: suite::DIMENSION + 1, ..suite::model() },
    ] {
        let refused = QdrantVectors::open(options(&url), model).await;
        assert!(matches!(&refused, Err(error @ Error::ModelMismatch { .. }) if !error.is_retryable()), "{refused:?}");
    }
    drop(open(options(&url)).await.unwrap());
    let client = qdrant_client::Qdrant::from_url(&url).skip_compatibility_check().build().unwrap();
    let foreign = qdrant_client::qdrant::CreateCollectionBuilder::new("foreign_pages");
    client.create_collection(foreign).await.unwrap();
    let refused = open(QdrantOptions { prefix: "foreign".to_owned(), ..options(&url) }).await;
    assert!(matches!(&refused, Err(Error::ModelMismatch { found, .. }) if found.contains("foreign_pages")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_an_error_that_trying_again_does_not_help() {
    let test = "a_wrong_key_is_an_error_that_trying_again_does_not_help";
    let Some(served) = serve(test, &[("QDRANT__SERVICE__API_KEY", "right")]) else { return };
    let url = served.server.url();
    for key in [None, Some("wrong".to_owned()), Some("not\nsent".to_owned())] {
        let refused = open(QdrantOptions { api_key: key, ..options(&url) }).await.unwrap_err();
        assert!(matches!(refused, Error::Server { .. }) && !refused.is_retryable(), "{refused:?}");
        assert!(!refused.to_string().contains("not\nsent"), "{refused}");
    }
    let store = open(QdrantOptions { api_key: Some("right".to_owned()), ..options(&url) }).await.unwrap();
    assert_eq!(store.apply(vec![write(1, 1)]).await.unwrap(), [WriteAnswer::Switched]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_open_and_write_at_once_leave_the_newest_version_whole() {
    let test = "two_nodes_that_open_and_write_at_once_leave_the_newest_version_whole";
    let Some(served) = serve(test, &[]) else { return };
    let url = served.server.url();
    let (one, two) = tokio::join!(open(options(&url)), open(options(&url)));
    let (one, two) = (one.unwrap(), two.unwrap());
    let (mut n_switched, n_pages) = (0, 30);
    for n in 0..n_pages {
        let (older, newer) = tokio::join!(one.apply(vec![whole_write(n, 1)]), two.apply(vec![whole_write(n, 2)]));
        assert_eq!(newer.unwrap(), [WriteAnswer::Switched]);
        match older.unwrap()[..] {
            [WriteAnswer::Switched] => n_switched += 1,
            [WriteAnswer::Fenced { seq: 2 }] => {}
            ref other => panic!("{other:?}"),
        }
    }
    check_all(&one, &(0..n_pages).map(|n| (n, 2)).collect()).await;
    println!("{n_switched} of {n_pages} older versions were visible for a moment");
    remove_strays(&two).await;
    assert_eq!(stored_ids(&one).await.len(), n_pages as usize * version(0, 1).len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_a_clear_error_within_the_deadline() {
    let test = "a_server_that_is_away_is_a_clear_error_within_the_deadline";
    let Some(mut served) = serve(test, &[]) else { return };
    let call_timeout = Duration::from_millis(500);
    let write_timeout = Duration::from_secs(2);
    let options = QdrantOptions { call_timeout, write_timeout, ..options(&served.server.url()) };
    let store = open(options.clone()).await.unwrap();
    store.apply(vec![write(1, 1)]).await.unwrap();

    // It is there and says nothing.
    served.server.signal("STOP");
    let began = Instant::now();
    let silent = store.count(&TenantId::default()).await.unwrap_err();
    assert!(matches!(silent, Error::Server { fault: ServerFault::Timeout, .. }) && silent.is_retryable(), "{silent}");
    assert!(began.elapsed() < call_timeout * 3, "{:?}", began.elapsed());
    let began = Instant::now();
    let silent = store.apply(vec![write(1, 2)]).await.unwrap_err();
    assert!(silent.is_retryable() && began.elapsed() < write_timeout * 2, "{silent} after {:?}", began.elapsed());
    served.server.signal("CONT");

    // It is gone.
    served.server.kill();
    let refused = open(options.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Server { fault: ServerFault::Unreachable, .. }), "{refused}");
    for _ in 0..6 {
        assert!(store.apply(vec![write(1, 2)]).await.unwrap_err().is_retryable());
    }
    let began = Instant::now();
    let left_alone = store.apply(vec![write(1, 2)]).await.unwrap_err();
    assert!(left_alone.to_string().contains("next attempt in"), "{left_alone}");
    assert!(began.elapsed() < Duration::from_millis(100), "it is not asked: {:?}", began.elapsed());

    served.server.restart();
    let began = Instant::now();
    while store.apply(vec![write(1, 2)]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check_all(&store, &BTreeMap::from([(1, 2)])).await;
}

const N_KILLS: u64 = 4;
const N_WRITERS: u32 = 4;
const PAGES_PER_WRITER: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_when_the_server_is_killed() {
    let test = "nothing_that_was_answered_is_lost_when_the_server_is_killed";
    let Some(mut served) = serve(test, &[]) else { return };
    let store = Arc::new(open(options(&served.server.url())).await.unwrap());
    let answered: Arc<Mutex<BTreeMap<u32, u64>>> = Arc::default();
    let (is_over, n_failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..N_WRITERS)
        .map(|writer| {
            let (store, answered) = (Arc::clone(&store), Arc::clone(&answered));
            let (is_over, n_failed) = (Arc::clone(&is_over), Arc::clone(&n_failed));
            tokio::spawn(async move {
                for seq in 1.. {
                    for n in writer * PAGES_PER_WRITER..(writer + 1) * PAGES_PER_WRITER {
                        // As the crawl's writer does: the same again until it is answered.
                        while let Err(error) = store.apply(vec![write(n, seq)]).await {
                            assert!(error.is_retryable(), "{error:?}");
                            n_failed.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        answered.lock().await.insert(n, seq);
                    }
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    for round in 0..N_KILLS {
        tokio::time::sleep(Duration::from_millis(700 + 333 * round)).await;
        served.server.kill();
        let before = answered.lock().await.clone();
        served.server.restart();
        let again = open(options(&served.server.url())).await.unwrap();
        let pages: Vec<_> = before.keys().map(|&n| suite::page_key(n)).collect();
        let heads = again.heads(&TenantId::default(), &pages).await.unwrap();
        for (head, (n, seq)) in heads.into_iter().zip(&before) {
            assert!(head.is_some_and(|head| head.seq >= *seq), "page {n} lost version {seq}");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let answered = answered.lock().await.clone();
    check_all(&*store, &answered).await;
    let n_failed = n_failed.load(Ordering::Relaxed);
    let n_strays = remove_strays(&*store).await;
    println!("versions {answered:?}, {n_failed} calls failed, {n_strays} strays after {N_KILLS} kills");
    assert!(n_failed > 0, "no kill met a write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_limits_writes_is_asked_again_when_it_said() {
    let Some(served) = serve("a_server_that_limits_writes_is_asked_again_when_it_said", &[]) else { return };
    let url = served.server.url();
    let store = open(options(&url)).await.unwrap();
    let client = qdrant_client::Qdrant::from_url(&url).skip_compatibility_check().build().unwrap();
    let limit = qdrant_client::qdrant::StrictModeConfig {
        enabled: Some(true),
        write_rate_limit: Some(WRITES_PER_MINUTE),
        ..Default::default()
    };
    let collection = format!("test_conformance_{}", suite::DIMENSION);
    let update = qdrant_client::qdrant::UpdateCollectionBuilder::new(collection).strict_mode_config(limit);
    client.update_collection(update).await.unwrap();
    let first = store.batch_bytes();
    let began = Instant::now();
    // Three chunks a page: a tenth more than the server takes at once.
    let n_pages = WRITES_PER_MINUTE * 11 / 30;
    for n in 0..n_pages {
        assert_eq!(store.apply(vec![write(n, 1)]).await.unwrap(), [WriteAnswer::Switched]);
    }
    println!("{n_pages} pages in {:?}, {} bytes a call after {first}", began.elapsed(), store.batch_bytes());
    assert!(began.elapsed() > Duration::from_secs(2), "nothing was limited: {:?}", began.elapsed());
    assert!(store.batch_bytes() < first);
    check_all(&store, &(0..n_pages).map(|n| (n, 1)).collect()).await;
}

/// The server refills one a second.
const WRITES_PER_MINUTE: u32 = 60;

/// Passes bytes on, at most so many a second in each direction of each connection; 0: as fast as it can.
struct SlowWay {
    address: SocketAddr,
    bytes_per_sec: Arc<AtomicU64>,
}

impl SlowWay {
    #[expect(clippy::disallowed_methods, reason = "the way to a server that the test started")]
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, bytes_per_sec) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let rate = Arc::clone(&bytes_per_sec);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(server).await.unwrap();
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_read, far_write, Arc::clone(&rate)));
                tokio::spawn(pass(far_read, near_write, Arc::clone(&rate)));
            }
        });
        Self { address, bytes_per_sec }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    bytes_per_sec: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 2_048];
    while let Ok(n_bytes @ 1..) = from.read(&mut buffer).await {
        let rate = bytes_per_sec.load(Ordering::Relaxed);
        if rate > 0 {
            tokio::time::sleep(Duration::from_secs_f64(n_bytes as f64 / rate as f64)).await;
        }
        if to.write_all(&buffer[..n_bytes]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_gets_smaller_batches_until_it_is_fast_again() {
    let Some(served) = serve("a_slow_server_gets_smaller_batches_until_it_is_fast_again", &[]) else { return };
    let way = SlowWay::to(served.server.grpc_address()).await;
    let options = QdrantOptions {
        batch_bytes: 2 * 1024..=256 * 1024,
        slow_batch: Duration::from_millis(400),
        ..options(&format!("http://{}", way.address))
    };
    let store = open(options).await.unwrap();
    let first = store.batch_bytes();
    assert_eq!(first, 64 * 1024);
    let page = |n: u32| {
        let texts: Vec<String> = (0..80).map(|at| format!("page {n} part {at} {}", "some words ".repeat(40))).collect();
        suite::page_write(&TenantId::default(), n, 1, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    way.bytes_per_sec.store(24 * 1024, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(store.apply(vec![page(1)]).await.unwrap(), [WriteAnswer::Switched]);
    let (slow, took) = (store.batch_bytes(), began.elapsed());
    assert!(slow <= first / 3, "{slow} bytes after {took:?}");
    way.bytes_per_sec.store(0, Ordering::Relaxed);
    for n in 2..12 {
        assert_eq!(store.apply(vec![page(n)]).await.unwrap(), [WriteAnswer::Switched]);
    }
    let fast = store.batch_bytes();
    println!("{first} bytes a call, {slow} on a slow way ({took:?} for a page), {fast} on a fast one");
    assert!(fast > slow, "{fast} bytes after ten fast pages");
    assert_eq!(store.count(&TenantId::default()).await.unwrap(), 11 * 80);
    let hits = store.search(Side::Lexical, &suite::question(&TenantId::default(), "part", 10)).await.unwrap();
    assert_eq!(hits.len(), 10);
}
