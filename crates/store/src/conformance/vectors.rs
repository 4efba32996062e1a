//! What every [`VectorStore`] must do. Each function takes a [`Place`] that holds no index yet.

use crate::vectors::{
    ChunkPayload, ChunkPoint, IndexModel, PageHead, PageWrite, SearchFilter, Side, SideHit, SideQuery, VectorStore,
    WriteAnswer,
};
use argiope_protocol::{ChunkHash, ChunkId, JobId, PageKey, TenantId, Timestamp};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Components of the suite's vectors.
pub const DIMENSION: u32 = 16;

/// Where an index is kept.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the index for [`model`]; the first call makes it. Earlier stores were dropped.
    async fn open(&self) -> Arc<dyn VectorStore>;
}

/// The model of the suite's indexes.
#[must_use]
pub fn model() -> IndexModel {
    IndexModel { id: "conformance".to_owned(), dimension: DIMENSION }
}

/// The key of the suite's page `n`.
#[must_use]
pub fn page_key(n: u32) -> PageKey {
    PageKey::from_bytes(Uuid::from_u128(u128::from(n) + 1).into_bytes())
}

/// The id of the chunk with this text on page `n`.
#[must_use]
pub fn chunk_id(tenant: &TenantId, n: u32, text: &str) -> ChunkId {
    ChunkId::of(tenant, &page_key(n), &ChunkHash::of(1, text), 0)
}

/// A unit vector that is the same for equal texts and nearly orthogonal for others.
#[must_use]
pub fn direction(text: &str) -> Vec<f32> {
    let bytes = ChunkHash::of(0, text).0;
    let raw: Vec<f32> = bytes.iter().take(16).map(|byte| f32::from(*byte) - 127.5).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / norm).collect()
}

/// A chunk of page `n` on host `h{n}.example`.
#[must_use]
pub fn chunk(tenant: &TenantId, n: u32, text: &str, position: u32, seq: u64) -> ChunkPoint {
    let payload = ChunkPayload {
        tenant: tenant.clone(),
        job: JobId::from_uuid(Uuid::from_u128(1)),
        page: page_key(n),
        url: url(n),
        host: format!("h{n}.example"),
        domain: format!("d{}.example", n % 2),
        title: format!("Page {n}"),
        heading_path: vec!["Top".to_owned()],
        anchor: Some("top".to_owned()),
        text: text.to_owned(),
        position,
        language: Some("en".to_owned()),
        seq,
        fetched_at: Timestamp::from_millis(1_700_000_000_000 + seq),
    };
    ChunkPoint { id: chunk_id(tenant, n, text), dense: direction(text), payload }
}

fn url(n: u32) -> String {
    format!("https://h{n}.example/")
}

fn head(tenant: &TenantId, n: u32, seq: u64, texts: &[&str]) -> PageHead {
    let chunks = texts.iter().map(|text| chunk_id(tenant, n, text)).collect();
    PageHead { page: page_key(n), tenant: tenant.clone(), url: url(n), seq, chunks }
}

/// A write of page `n` whose version `seq` has these texts, all of them new.
#[must_use]
pub fn page_write(tenant: &TenantId, n: u32, seq: u64, texts: &[&str]) -> PageWrite {
    let position = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    PageWrite {
        head: head(tenant, n, seq, texts),
        new_chunks: texts
            .iter()
            .enumerate()
            .map(|(place, text)| chunk(tenant, n, text, position(place), seq))
            .collect(),
        moved: Vec::new(),
        stale: Vec::new(),
    }
}

/// A question for the page's words and direction.
#[must_use]
pub fn question(tenant: &TenantId, text: &str, limit: usize) -> SideQuery {
    let filter = SearchFilter::default();
    SideQuery { tenant: tenant.clone(), text: text.to_owned(), dense: direction(text), filter, limit }
}

async fn apply(store: &dyn VectorStore, write: PageWrite) -> WriteAnswer {
    let answers = store.apply(vec![write]).await.expect("the write is accepted");
    assert_eq!(answers.len(), 1);
    *answers.first().expect("one answer was counted")
}

async fn search(store: &dyn VectorStore, side: Side, query: &SideQuery) -> Vec<SideHit> {
    store.search(side, query).await.expect("the search succeeds")
}

async fn count(store: &dyn VectorStore, tenant: &TenantId) -> u64 {
    store.count(tenant).await.expect("the count succeeds")
}

async fn head_of(store: &dyn VectorStore, tenant: &TenantId, n: u32) -> Option<PageHead> {
    let heads = store.heads(tenant, &[page_key(n)]).await.expect("the heads are read");
    heads.into_iter().next().flatten()
}

fn texts(hits: &[SideHit]) -> BTreeSet<&str> {
    hits.iter().map(|hit| hit.payload.text.as_str()).collect()
}

/// Both sides find a chunk by its words and by its direction, with all that was kept beside it.
pub async fn a_written_page_is_found_on_both_sides(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    assert_eq!(store.model(), &model());
    assert_eq!(apply(&*store, page_write(&tenant, 1, 1, &["red apples", "green pears"])).await, WriteAnswer::Switched);
    apply(&*store, page_write(&tenant, 2, 1, &["blue plums"])).await;
    for side in [Side::Lexical, Side::Semantic] {
        let hits = search(&*store, side, &question(&tenant, "green pears", 1)).await;
        assert_eq!(hits.len(), 1, "{side:?}");
        let expected = chunk(&tenant, 1, "green pears", 1, 1);
        assert_eq!(hits.first().map(|hit| (hit.id, &hit.payload)), Some((expected.id, &expected.payload)), "{side:?}");
    }
    // Stemming: the lexical side knows the word in another form; nothing else has it.
    assert_eq!(
        texts(&search(&*store, Side::Lexical, &question(&tenant, "plum", 9)).await),
        BTreeSet::from(["blue plums"])
    );
    let (lexical, semantic) =
        store.search_both(&question(&tenant, "red apples", 9)).await.expect("the search succeeds");
    assert_eq!(texts(&lexical), BTreeSet::from(["red apples"]));
    assert_eq!(semantic.len(), 3);
    assert!(semantic.is_sorted_by(|a, b| a.score >= b.score));
    assert!((semantic.first().expect("three hits").score - 1.0).abs() < 1e-3);
    assert_eq!(count(&*store, &tenant).await, 3);
}

/// Nothing is found by questions without words or direction, nor with a limit of 0.
pub async fn an_empty_question_finds_nothing(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    apply(&*store, page_write(&tenant, 1, 1, &["red apples"])).await;
    let empty = SideQuery { dense: vec![0.0; DIMENSION as usize], ..question(&tenant, "the of, and ...", 5) };
    let none = question(&tenant, "red apples", 0);
    for side in [Side::Lexical, Side::Semantic] {
        assert!(search(&*store, side, &empty).await.is_empty(), "{side:?}");
        assert!(search(&*store, side, &none).await.is_empty(), "{side:?}");
    }
    assert!(store.apply(Vec::new()).await.expect("nothing is written").is_empty());
}

/// A new version keeps, moves, adds and drops chunks.
pub async fn a_replaced_page_shows_only_its_new_version(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    apply(&*store, page_write(&tenant, 1, 1, &["kept one", "dropped two", "kept three"])).await;
    let write = PageWrite {
        head: head(&tenant, 1, 2, &["kept three", "added four", "kept one"]),
        new_chunks: vec![chunk(&tenant, 1, "added four", 1, 2)],
        moved: vec![(chunk_id(&tenant, 1, "kept three"), 0), (chunk_id(&tenant, 1, "kept one"), 2)],
        stale: vec![chunk_id(&tenant, 1, "dropped two")],
    };
    assert_eq!(apply(&*store, write).await, WriteAnswer::Switched);
    let hits = search(&*store, Side::Semantic, &question(&tenant, "anything", 9)).await;
    assert_eq!(texts(&hits), BTreeSet::from(["kept one", "kept three", "added four"]));
    let mut places: Vec<_> = hits.iter().map(|hit| (hit.payload.position, hit.payload.text.as_str())).collect();
    places.sort_unstable();
    assert_eq!(places, [(0, "kept three"), (1, "added four"), (2, "kept one")]);
    assert_eq!(count(&*store, &tenant).await, 3);
    assert_eq!(head_of(&*store, &tenant, 1).await.map(|head| (head.seq, head.chunks.len())), Some((2, 3)));
}

/// An older write changes nothing that can be seen; the same write again is no error.
pub async fn an_older_write_is_fenced(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    // Neighbours that a comparison in floating point would take for equal.
    let newer = (1 << 60) + 1;
    apply(&*store, page_write(&tenant, 1, newer, &["new text"])).await;
    let stale = vec![chunk_id(&tenant, 1, "new text")];
    let older = PageWrite { stale, ..page_write(&tenant, 1, newer - 1, &["old text"]) };
    assert_eq!(apply(&*store, older).await, WriteAnswer::Fenced { seq: newer });
    let hits = search(&*store, Side::Semantic, &question(&tenant, "old text", 9)).await;
    assert_eq!(texts(&hits), BTreeSet::from(["new text"]));
    assert_eq!(count(&*store, &tenant).await, 1);
    assert_eq!(apply(&*store, page_write(&tenant, 1, newer, &["new text"])).await, WriteAnswer::Switched);
    assert_eq!(head_of(&*store, &tenant, 1).await, Some(head(&tenant, 1, newer, &["new text"])));
}

/// A head without chunks hides its page, and still fences.
pub async fn a_hidden_page_is_not_found(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    apply(&*store, page_write(&tenant, 1, 1, &["red apples", "green pears"])).await;
    let stale = vec![chunk_id(&tenant, 1, "red apples"), chunk_id(&tenant, 1, "green pears")];
    assert_eq!(apply(&*store, PageWrite { stale, ..page_write(&tenant, 1, 3, &[]) }).await, WriteAnswer::Switched);
    assert!(search(&*store, Side::Lexical, &question(&tenant, "red apples", 9)).await.is_empty());
    assert_eq!(count(&*store, &tenant).await, 0);
    assert_eq!(apply(&*store, page_write(&tenant, 1, 2, &["red apples"])).await, WriteAnswer::Fenced { seq: 3 });
}

/// One group may hold several pages and several versions of one page.
pub async fn a_group_takes_effect_in_order(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    let group = vec![
        page_write(&tenant, 1, 2, &["two"]),
        page_write(&tenant, 2, 1, &["other"]),
        page_write(&tenant, 1, 1, &["one"]),
        page_write(&tenant, 1, 3, &["three", "four"]),
    ];
    let answers = store.apply(group).await.expect("the group is accepted");
    let (done, fenced) = (WriteAnswer::Switched, WriteAnswer::Fenced { seq: 2 });
    assert_eq!(answers, [done, done, fenced, done]);
    let hits = search(&*store, Side::Semantic, &question(&tenant, "x", 9)).await;
    assert_eq!(texts(&hits), BTreeSet::from(["three", "four", "other"]));
    assert_eq!(count(&*store, &tenant).await, 3);
    let heads = store.heads(&tenant, &[page_key(2), page_key(9), page_key(1)]).await.expect("the heads are read");
    assert_eq!(
        heads.iter().map(|head| head.as_ref().map(|head| head.seq)).collect::<Vec<_>>(),
        [Some(1), None, Some(3)]
    );
}

/// Filters hold on both sides, and a tenant never sees another's chunks.
pub async fn filters_and_tenants_separate(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    let other = TenantId::try_new("other").expect("a valid name");
    let group: Vec<_> = (1..=4).map(|n| page_write(&tenant, n, 1, &["shared words"])).collect();
    store.apply(group).await.expect("the group is accepted");
    apply(&*store, page_write(&other, 1, 7, &["shared words"])).await;
    let check = async |tenant: &TenantId, filter: SearchFilter, expected: &[&str]| {
        for side in [Side::Lexical, Side::Semantic] {
            let query = SideQuery { filter: filter.clone(), ..question(tenant, "shared words", 9) };
            let hits = search(&*store, side, &query).await;
            let hosts: BTreeSet<_> = hits.iter().map(|hit| hit.payload.host.as_str()).collect();
            assert_eq!(hosts, expected.iter().copied().collect(), "{side:?} {filter:?}");
        }
    };
    let none = SearchFilter::default();
    let host = SearchFilter { host: Some("h3.example".to_owned()), ..none.clone() };
    let domain = SearchFilter { domain: Some("d0.example".to_owned()), ..none.clone() };
    let language = SearchFilter { language: Some("de".to_owned()), ..none.clone() };
    check(&tenant, none.clone(), &["h1.example", "h2.example", "h3.example", "h4.example"]).await;
    check(&tenant, host.clone(), &["h3.example"]).await;
    check(&tenant, domain.clone(), &["h2.example", "h4.example"]).await;
    check(&tenant, SearchFilter { domain: domain.domain, ..host.clone() }, &[]).await;
    check(&tenant, language, &[]).await;
    check(&other, none, &["h1.example"]).await;
    check(&other, host, &[]).await;
    assert_eq!((count(&*store, &tenant).await, count(&*store, &other).await), (4, 1));
    assert_eq!(head_of(&*store, &other, 1).await.map(|head| head.seq), Some(7));
    assert_eq!(head_of(&*store, &other, 2).await, None);
}

/// While a page is rewritten again and again, each answer holds all chunks of one version and none of another.
pub async fn no_search_sees_two_versions(place: &impl Place) {
    const N_CHUNKS: usize = 6;
    let (store, tenant) = (place.open().await, TenantId::default());
    let version = |seq: u64| (0..N_CHUNKS).map(|n| format!("version {seq} part {n}")).collect::<Vec<_>>();
    let write = |seq: u64| {
        let (new, old) = (version(seq), version(seq.saturating_sub(1)));
        let stale = old.iter().map(|text| chunk_id(&TenantId::default(), 1, text)).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        PageWrite { stale, ..page_write(&TenantId::default(), 1, seq, &new) }
    };
    apply(&*store, write(1)).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, is_done, query) = (Arc::clone(&store), Arc::clone(&is_done), question(&tenant, "version part", 50));
        tokio::spawn(async move {
            let mut n_answers = 0_u32;
            while !is_done.load(Ordering::Relaxed) {
                let (lexical, semantic) = store.search_both(&query).await.expect("the search succeeds");
                let seqs: BTreeSet<u64> = lexical.iter().chain(&semantic).map(|hit| hit.payload.seq).collect();
                assert_eq!((lexical.len(), semantic.len(), seqs.len()), (N_CHUNKS, N_CHUNKS, 1), "versions {seqs:?}");
                n_answers += 1;
            }
            n_answers
        })
    };
    for seq in 2..20 {
        apply(&*store, write(seq)).await;
    }
    is_done.store(true, Ordering::Relaxed);
    assert!(reader.await.expect("no answer was of two versions") > 0);
    assert_eq!(count(&*store, &tenant).await, N_CHUNKS as u64);
}

/// Scans list every chunk and head once, in pages; what is removed is gone.
pub async fn scans_are_complete_and_chunks_can_be_removed(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    let group: Vec<_> = (0..7).map(|n| page_write(&tenant, n, 1, &["first", "second", "third"])).collect();
    store.apply(group).await.expect("the group is accepted");
    apply(&*store, page_write(&TenantId::try_new("other").expect("a valid name"), 1, 1, &["first"])).await;
    let mut chunks = Vec::new();
    loop {
        let after = chunks.last().map(|chunk: &crate::vectors::StoredChunk| chunk.id);
        let part = store.scan_chunks(&tenant, after, 4).await.expect("the scan succeeds");
        if part.is_empty() {
            break;
        }
        assert!(part.len() <= 4);
        chunks.extend(part);
    }
    assert!(chunks.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(chunks.len(), 21);
    let (mut heads, mut cursor) = (BTreeSet::new(), None);
    loop {
        let (part, next) = store.scan_heads(&tenant, cursor, 3).await.expect("the scan succeeds");
        heads.extend(part.into_iter().map(|head| head.page));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(heads, (0..7).map(page_key).collect());
    let removed: Vec<_> = chunks.iter().filter(|chunk| chunk.page == page_key(3)).map(|chunk| chunk.id).collect();
    assert_eq!(removed.len(), 3);
    store.remove_strays(removed).await.expect("the chunks are removed");
    assert_eq!(count(&*store, &tenant).await, 18);
    let hits = search(&*store, Side::Lexical, &question(&tenant, "first", 50)).await;
    assert_eq!(hits.len(), 6);
}

/// What was answered is there when the index is opened again, and goes on from there.
pub async fn everything_survives_reopening(place: &impl Place) {
    let tenant = TenantId::default();
    for round in 1..=4_u64 {
        let store = place.open().await;
        assert_eq!(count(&*store, &tenant).await, if round == 1 { 0 } else { 3 });
        let old = (round > 1).then(|| chunk_id(&tenant, 1, &format!("changed in {}", round - 1)));
        let changed = format!("changed in {round}");
        let mut write = page_write(&tenant, 1, round, &["kept", &changed]);
        write.new_chunks.retain(|chunk| round == 1 || chunk.payload.text != "kept");
        write.stale = old.into_iter().collect();
        assert_eq!(apply(&*store, write).await, WriteAnswer::Switched);
        if round == 1 {
            apply(&*store, page_write(&tenant, 2, 1, &["another page"])).await;
        }
        drop(store);
    }
    let store = place.open().await;
    for side in [Side::Lexical, Side::Semantic] {
        let hits = search(&*store, side, &question(&tenant, "changed kept another page in 4", 9)).await;
        assert_eq!(texts(&hits), BTreeSet::from(["kept", "changed in 4", "another page"]), "{side:?}");
    }
    assert_eq!(apply(&*store, page_write(&tenant, 1, 3, &["late"])).await, WriteAnswer::Fenced { seq: 4 });
}

/// A vector of another dimension is refused, and nothing of its group is written.
pub async fn a_vector_of_another_dimension_is_refused(place: &impl Place) {
    let (store, tenant) = (place.open().await, TenantId::default());
    let mut write = page_write(&tenant, 1, 1, &["short"]);
    write.new_chunks.iter_mut().for_each(|chunk| chunk.dense.truncate(3));
    let group = vec![page_write(&tenant, 2, 1, &["good"]), write];
    assert!(matches!(store.apply(group).await, Err(crate::Error::ModelMismatch { .. })));
    assert_eq!(count(&*store, &tenant).await, 0);
    let query = SideQuery { dense: vec![1.0], ..question(&tenant, "x", 1) };
    assert!(matches!(store.search(Side::Semantic, &query).await, Err(crate::Error::ModelMismatch { .. })));
}
