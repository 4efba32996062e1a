//! What holds for pages on shared storage of any kind, beside the contract of all page stores.

use crate::body_of;
use argiope_protocol::{Epoch, PageKey, PageRecord, TenantId, Timestamp};
use argiope_store::conformance::pages::{new_page, page_url};
use argiope_store::objects::{Clock, ObjectPages};
use argiope_store::{Error, PageStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// A clock that tests turn.
#[derive(Clone, Default)]
pub(crate) struct Days(Arc<AtomicU64>);

impl Days {
    /// Noon of this day.
    pub(crate) fn at(day: u64) -> Self {
        let days = Self::default();
        days.turn_to(day);
        days
    }

    pub(crate) fn turn_to(&self, day: u64) {
        self.0.store(day * DAY_MILLIS + DAY_MILLIS / 2, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
    }
}

/// The day it really is: storage has its own clock, for the second look.
pub(crate) fn today() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap() / DAY_MILLIS
}

/// Stores on one storage, each with its own adapter as on its own node.
pub(crate) trait Nodes {
    async fn open(&self, clock: Clock) -> ObjectPages;
    /// Names of the bodies that are there.
    fn bodies(&self) -> Vec<String>;
}

fn key(n: u64) -> PageKey {
    PageKey::of(&page_url(n))
}

/// Record, Markdown and body are of one version; answers its `seq`.
pub(crate) async fn check_whole(store: &impl PageStore, n: u64) -> u64 {
    let tenant = TenantId::default();
    let record = store.record(&tenant, &key(n)).await.unwrap().expect("the page is there");
    let markdown = store.markdown(&tenant, &key(n)).await.unwrap();
    assert_eq!(markdown, Some(format!("# {}", record.seq)), "page {n}");
    let body = store.body(&tenant, &key(n)).await.unwrap().expect("the body is there");
    assert_eq!(*blake3::hash(&body).as_bytes(), record.body_hash, "page {n}");
    assert_eq!(body, body_of(record.seq % 7, record.seq));
    record.seq
}

pub(crate) async fn nodes_that_put_one_page_at_once_end_at_the_highest_seq(nodes: &impl Nodes) {
    const N_PAGES: u64 = 3;
    const N_SEQS: u64 = 24;
    let mut tasks = Vec::new();
    for node in 0..4 {
        let store = Arc::new(nodes.open(Days::at(today()).clock()).await);
        // Each node has every fourth version, the highest among the first for some and among the last for others.
        for at in 0..N_SEQS {
            let seq = 1 + if node % 2 == 0 { at } else { N_SEQS - 1 - at };
            if seq % 4 != node {
                continue;
            }
            let store = Arc::clone(&store);
            tasks.push(tokio::spawn(async move {
                for n in 0..N_PAGES {
                    store.put(new_page(&page_url(n), seq, &body_of(seq % 7, seq))).await.unwrap();
                    assert!(check_whole_now(&store, n).await >= seq, "an older version is back");
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = nodes.open(Days::at(today()).clock()).await;
    for n in 0..N_PAGES {
        assert_eq!(check_whole(&store, n).await, N_SEQS);
    }
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}

/// While others write, only what one answer says can be compared.
async fn check_whole_now(store: &ObjectPages, n: u64) -> u64 {
    let record = store.record(&TenantId::default(), &key(n)).await.unwrap().unwrap();
    assert_eq!(*blake3::hash(&body_of(record.seq % 7, record.seq)).as_bytes(), record.body_hash);
    assert_eq!(record.title, format!("page {}", record.seq));
    record.seq
}

pub(crate) async fn a_touch_never_marries_a_record_to_another_body(nodes: &impl Nodes) {
    let (one, other) = (nodes.open(Days::at(today()).clock()).await, nodes.open(Days::at(today()).clock()).await);
    let page = |seq| new_page(&page_url(1), seq, &body_of(seq % 7, seq));
    for round in 0..8 {
        let first = round * 10 + 1;
        one.put(page(first)).await.unwrap();
        let unchanged = PageRecord { seq: first + 2, title: "touched".to_owned(), ..page(first).record };
        let (put, touched) = tokio::join!(one.put(page(first + 1)), other.touch(unchanged));
        put.unwrap();
        touched.unwrap();
        let tenant = TenantId::default();
        let record = one.record(&tenant, &key(1)).await.unwrap().unwrap();
        let body = one.body(&tenant, &key(1)).await.unwrap().unwrap();
        assert_eq!(*blake3::hash(&body).as_bytes(), record.body_hash, "round {round}");
    }
}

pub(crate) async fn equal_bodies_are_kept_once_and_a_page_keeps_its_own(nodes: &impl Nodes) {
    let days = Days::at(today());
    let (one, other) = (nodes.open(days.clock()).await, nodes.open(days.clock()).await);
    one.put(new_page(&page_url(1), 1, b"the same")).await.unwrap();
    other.put(new_page(&page_url(2), 1, b"the same")).await.unwrap();
    assert_eq!(nodes.bodies().len(), 1);
    days.turn_to(today() + 9);
    one.put(new_page(&page_url(1), 2, b"the same")).await.unwrap();
    assert_eq!(nodes.bodies().len(), 1, "a page that changed elsewhere keeps its body");
    one.put(new_page(&page_url(3), 1, b"the same")).await.unwrap();
    assert_eq!(nodes.bodies().len(), 2, "a body of another day is not named anew");
    assert_eq!(one.verify().await.unwrap(), [""; 0]);
}

pub(crate) async fn only_old_bodies_that_nobody_names_are_removed(nodes: &impl Nodes) {
    let days = Days::at(today());
    let store = nodes.open(days.clock()).await;
    for (n, seq, body) in [(1, 1, "kept"), (2, 1, "replaced"), (2, 2, "new"), (3, 1, "deleted")] {
        store.put(new_page(&page_url(n), seq, body.as_bytes())).await.unwrap();
    }
    store.delete(&TenantId::default(), &key(3)).await.unwrap();
    assert_eq!(nodes.bodies().len(), 4);
    for (day, left) in [(0, 4), (1, 4), (2, 2), (30, 2)] {
        days.turn_to(today() + day);
        let n_removed = store.remove_strays().await.unwrap();
        assert_eq!(nodes.bodies().len(), left, "{n_removed} were removed on day {day}");
    }
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    let body = store.body(&TenantId::default(), &key(2)).await.unwrap();
    assert_eq!(body.as_deref(), Some(b"new".as_slice()));
}

/// `damage` changes the object whose name it is given; names with `page` are pages.
pub(crate) async fn damage_is_named_and_touches_no_other_page(nodes: &impl Nodes, damage: impl Fn(&str)) {
    let store = nodes.open(Days::at(today()).clock()).await;
    let tenant = TenantId::default();
    for n in 1..=3 {
        store.put(new_page(&page_url(n), 1, &body_of(n, 0))).await.unwrap();
    }
    let first = key(1).to_string();
    let damaged = format!("pages/default/{}/{first}.page", &first[..2]);
    damage(&damaged);
    let hash = blake3::hash(&body_of(2, 0)).to_hex();
    let body = nodes.bodies().into_iter().find(|name| name.contains(hash.as_str())).unwrap();
    damage(&body);
    let Err(Error::Corrupt { what, .. }) = store.record(&tenant, &key(1)).await else { panic!("damage goes unseen") };
    assert!(what.contains(&damaged), "{what}");
    let Err(Error::Corrupt { what, .. }) = store.body(&tenant, &key(2)).await else { panic!("damage goes unseen") };
    assert!(what.contains(&body), "{what}");
    assert!(store.record(&tenant, &key(2)).await.unwrap().is_some());
    assert_eq!(store.body(&tenant, &key(3)).await.unwrap().unwrap(), body_of(3, 0));
    let found = store.verify().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|text| text.contains(&damaged)), "{found:?}");
    assert!(found.iter().any(|text| text.contains("http://site.test/2") && text.contains(&body)), "{found:?}");
    assert!(matches!(store.touch(new_page(&page_url(1), 2, &body_of(1, 0)).record).await, Err(Error::Corrupt { .. })));
    assert!(matches!(store.remove_strays().await, Err(Error::Corrupt { .. })), "what a damaged page names is unknown");
    for n in 1..=2 {
        store.put(new_page(&page_url(n), 2, &body_of(n, 0))).await.unwrap();
        assert_eq!(store.body(&tenant, &key(n)).await.unwrap().unwrap(), body_of(n, 0), "the next put heals");
    }
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}

pub(crate) async fn the_highest_epoch_is_kept_whoever_raises_it(nodes: &impl Nodes) {
    let open = || nodes.open(Days::at(today()).clock());
    assert_eq!(open().await.epoch_floor().await.unwrap(), Epoch::default());
    let raise = async |epoch| open().await.raise_epoch_floor(Epoch(epoch)).await.unwrap();
    futures_util::future::join_all([7, 3, 12, 5].map(raise)).await;
    assert_eq!(open().await.epoch_floor().await.unwrap(), Epoch(12));
    raise(11).await;
    assert_eq!(open().await.epoch_floor().await.unwrap(), Epoch(12), "it never sinks");
    assert_eq!(open().await.verify().await.unwrap(), Vec::<String>::new());
}
