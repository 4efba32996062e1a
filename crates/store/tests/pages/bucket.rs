//! Pages in a bucket of an S3 server.

use crate::body_of;
use crate::s3::{BUCKET, KEY_ID, S3Server, SECRET};
use crate::shared::{self, Days, Nodes, today};
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, PageRecord, TenantId};
use argiope_store::conformance::pages::{all, new_page, page_url};
use argiope_store::objects::{BucketOptions, Clock, Location, ObjectOptions, ObjectPages};
use argiope_store::pages::NewPage;
use argiope_store::{Error, PageStore, ServerFault};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn options(server: &S3Server, clock: Clock) -> ObjectOptions {
    let bucket = BucketOptions {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        endpoint: Some(server.endpoint.clone()),
        region: "us-east-1".to_owned(),
        keys: Some((KEY_ID.to_owned(), SECRET.to_owned())),
    };
    ObjectOptions::new(Location::Bucket(bucket), clock)
}

fn with_prefix(server: &S3Server, prefix: &str) -> ObjectOptions {
    let mut options = options(server, Days::at(today()).clock());
    if let Location::Bucket(bucket) = &mut options.location {
        prefix.clone_into(&mut bucket.prefix);
    }
    options
}

async fn open(server: &S3Server) -> ObjectPages {
    server.open(Days::at(today()).clock()).await
}

impl Nodes for S3Server {
    async fn open(&self, clock: Clock) -> ObjectPages {
        ObjectPages::open(options(self, clock)).await.unwrap()
    }

    fn bodies(&self) -> Vec<String> {
        self.names("bodies")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract() {
    let server = S3Server::start().await;
    let mut n_stores = 0;
    let make = async || {
        n_stores += 1;
        // A prefix each: prefixes of one bucket are stores of their own.
        ObjectPages::open(with_prefix(&server, &format!("/team a/{n_stores}/"))).await.unwrap()
    };
    all(make).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_put_one_page_at_once_end_at_the_highest_seq() {
    shared::nodes_that_put_one_page_at_once_end_at_the_highest_seq(&S3Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_epoch_is_kept_whoever_raises_it() {
    shared::the_highest_epoch_is_kept_whoever_raises_it(&S3Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_never_marries_a_record_to_another_body() {
    shared::a_touch_never_marries_a_record_to_another_body(&S3Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bodies_are_kept_once_and_a_page_keeps_its_own() {
    shared::equal_bodies_are_kept_once_and_a_page_keeps_its_own(&S3Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_bodies_that_nobody_names_are_removed() {
    shared::only_old_bodies_that_nobody_names_are_removed(&S3Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_touches_no_other_page() {
    let server = S3Server::start().await;
    let damage = |name: &str| std::fs::write(server.file(name), b"garbage").unwrap();
    shared::damage_is_named_and_touches_no_other_page(&server, damage).await;
}

fn counts<const N: usize>(counts: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    counts.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_few_requests() {
    let server = S3Server::start().await;
    let store = open(&server).await;
    server.take_requests();
    let page = new_page(&page_url(1), 1, b"one");
    let (tenant, key) = (TenantId::default(), page.record.key);
    store.put(page.clone()).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 1), ("put", 2)]), "a new page");
    store.put(new_page(&page_url(1), 2, b"two")).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 1), ("put", 2)]), "a page that changed");
    store.put(new_page(&page_url(1), 3, b"two")).await.unwrap();
    assert_eq!(
        server.take_requests(),
        counts([("get", 2), ("put", 1)]),
        "the same body again, and whether it is whole"
    );
    store.touch(PageRecord { seq: 4, ..new_page(&page_url(1), 3, b"two").record }).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 1), ("put", 1)]), "a page found unchanged");
    store.put(page).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 1)]), "an old version");
    store.record(&tenant, &key).await.unwrap();
    store.markdown(&tenant, &key).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 2)]));
    store.body(&tenant, &key).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 2)]));
    store.scan(&tenant, None, 100).await.unwrap();
    assert_eq!(server.take_requests(), counts([("get", 1), ("list", 1)]));
    store.delete(&tenant, &key).await.unwrap();
    assert_eq!(server.take_requests().values().sum::<u32>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_and_a_lost_answer_does_no_harm() {
    let server = S3Server::start().await;
    let store = open(&server).await;
    let tenant = TenantId::default();
    for n in 1..=6 {
        server.trouble.busy.store(u32::from(n % 2 == 0) * 2, Ordering::Relaxed);
        server.trouble.lost.store(n / 3, Ordering::Relaxed);
        let page = new_page(&page_url(1), u64::from(n), &body_of(u64::from(n), 1));
        store.put(page.clone()).await.unwrap();
        assert_eq!(store.body(&tenant, &page.record.key).await.unwrap(), Some(page.body), "version {n}");
    }
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_busy_or_goes_away_is_an_error_that_passes() {
    let server = S3Server::start().await;
    let brief = ObjectOptions {
        call_timeout: Duration::from_millis(500),
        operation_timeout: Duration::from_secs(2),
        ..options(&server, Days::at(today()).clock())
    };
    let store = ObjectPages::open(brief).await.unwrap();
    let page = new_page(&page_url(1), 1, b"one");
    server.trouble.busy.store(u32::MAX, Ordering::Relaxed);
    let error = store.put(page.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Server { fault: ServerFault::Busy, .. }) && error.is_retryable(), "{error}");
    server.trouble.busy.store(0, Ordering::Relaxed);
    store.put(page.clone()).await.unwrap();
    drop(server);
    let begin = Instant::now();
    let error = store.put(new_page(&page_url(1), 2, b"two")).await.unwrap_err();
    assert!(matches!(error, Error::Server { fault: ServerFault::Unreachable | ServerFault::Timeout, .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_is_refused_with_its_reason_and_without_our_keys() {
    let server = S3Server::start().await;
    let mut wrong = options(&server, Days::at(today()).clock());
    if let Location::Bucket(bucket) = &mut wrong.location {
        bucket.keys = Some((KEY_ID.to_owned(), "another-secret".to_owned()));
    }
    let error = ObjectPages::open(wrong).await.unwrap_err();
    assert!(matches!(error, Error::Server { fault: ServerFault::AccessDenied, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("another-secret"), "{error:?}");

    let mut absent = options(&server, Days::at(today()).clock());
    if let Location::Bucket(bucket) = &mut absent.location {
        "elsewhere".clone_into(&mut bucket.bucket);
    }
    let error = ObjectPages::open(absent).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");

    server.trouble.unconditional.store(1, Ordering::Relaxed);
    let error = ObjectPages::open(options(&server, Days::at(today()).clock())).await.unwrap_err();
    assert!(matches!(error, Error::NotDurable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_copied_to_a_bucket_is_the_same_store_and_long_scans_are_complete_and_in_order() {
    let server = S3Server::start().await;
    let directory = std::sync::Arc::new(crate::directory::open(&server.bucket()).await);
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..8 {
        let directory = std::sync::Arc::clone(&directory);
        tasks.spawn(async move {
            for n in (part..1_010).step_by(8) {
                let page = NewPage { retain: Retain::None, ..new_page(&page_url(n), 1, b"not kept") };
                directory.put(page).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut expected: Vec<PageKey> = (0..1_010).map(|n| PageKey::of(&page_url(n))).collect();
    expected.sort_unstable();
    let tenant = TenantId::default();
    let keys = |records: Vec<PageRecord>| records.iter().map(|record| record.key).collect::<Vec<_>>();
    assert_eq!(keys(directory.scan(&tenant, None, 5_000).await.unwrap()), expected);
    let store = open(&server).await;
    assert_eq!(keys(store.scan(&tenant, None, 5_000).await.unwrap()), expected);
    assert_eq!(keys(store.scan(&tenant, Some(expected[960]), 1_000).await.unwrap()), expected[961..]);
}
