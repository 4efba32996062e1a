//! Everything that reads.
//!
//! A search and the reading of the heads are two calls, and a page may change between them. Where a hit is hidden by
//! its head, the search is repeated: an answer counts when the page's head was the same before and after it, since all
//! that a head lists is there for as long as the head is.

use super::Shared;
use super::payload::{filter, point_id, to_object, uuid_of};
use super::schema::{BM25, DENSE};
use crate::vectors::payload::{PAGE, chunk_from_payload, head_from_payload, page_of};
use crate::vectors::{PageHead, SearchFilter, Side, SideHit, SideQuery, StoredChunk};
use crate::{Error, Result};
use argiope_protocol::{ChunkId, TenantId};
use qdrant_client::qdrant::facet_value::Variant as FacetVariant;
use qdrant_client::qdrant::{
    CountPoints, FacetCounts, GetPoints, PayloadIncludeSelector, Query, QueryBatchPoints, QueryPoints, ReadConsistency,
    ReadConsistencyType, RetrievedPoint, ScoredPoint, ScrollPoints, SparseVector, VectorInput, WithPayloadSelector,
    read_consistency, vector_input, with_payload_selector,
};
use std::collections::{HashMap, HashSet};
use std::time::Instant;
use uuid::Uuid;

/// Most hits of one side, whatever is asked.
const MAX_HITS: usize = 10_000;
/// Searches that are tried, each for three times as many hits, before fewer than wanted are answered.
const MAX_WIDENINGS: u32 = 2;
/// Searches that are tried before an answer may lack hits of pages that are being rewritten.
const MAX_ROUNDS: u32 = 12;
/// Hidden chunks are rare (strays of a crash, or of a group being written), so the first search asks for little
/// more than what is wanted.
const FIRST_MARGIN: usize = 32;
/// Heads in one call.
const HEADS_PER_CALL: usize = 512;

/// Hits of each side, all of the same versions of their pages. `None` for a side where nothing can match.
pub(super) async fn search(
    shared: &Shared,
    sides: Vec<(Side, Option<VectorInput>)>,
    query: &SideQuery,
) -> Result<Vec<Vec<SideHit>>> {
    let until = shared.link.deadline();
    let limit = query.limit.min(MAX_HITS);
    let mut known: HashMap<Uuid, Option<u64>> = HashMap::new();
    let (mut n_asked, mut n_widened, mut round) = (limit + FIRST_MARGIN, 0, 1);
    loop {
        let found = ask(shared, &sides, query, n_asked, until).await?;
        let found = found.into_iter().map(|points| of_pages(&query.tenant, points)).collect::<Result<Vec<_>>>()?;
        let ids: HashSet<Uuid> = found.iter().flatten().map(|hit| hit.head).collect();
        let heads = heads_by_id(shared, &ids.iter().copied().collect::<Vec<_>>(), until).await?;
        let listed: HashMap<Uuid, HashSet<ChunkId>> =
            heads.iter().map(|(id, head)| (*id, head.chunks.iter().copied().collect())).collect();
        let is_listed = |hit: &Found| listed.get(&hit.head).is_some_and(|chunks| chunks.contains(&hit.chunk));
        let seq = |id: &Uuid| heads.get(id).map(|head| head.seq);
        let is_settled = |hit: &Found| is_listed(hit) || known.get(&hit.head) == Some(&seq(&hit.head));
        if round < MAX_ROUNDS && !found.iter().flatten().all(is_settled) {
            known = ids.iter().map(|id| (*id, seq(id))).collect();
            round += 1;
            continue;
        }
        let is_short =
            |hits: &Vec<Found>| hits.len() >= n_asked && hits.iter().filter(|hit| is_listed(hit)).count() < limit;
        if n_widened < MAX_WIDENINGS && found.iter().any(is_short) {
            n_asked *= 3;
            n_widened += 1;
            continue;
        }
        let keep = |hits: Vec<Found>| hits.into_iter().filter(|hit| is_listed(hit)).take(limit).map(into_hit).collect();
        return found.into_iter().map(keep).collect();
    }
}

/// A point that a search found, and the head that says whether it is visible.
struct Found {
    head: Uuid,
    chunk: ChunkId,
    point: ScoredPoint,
}

/// Best first; equal scores in a fixed order, so that equal questions get equal answers.
fn of_pages(tenant: &TenantId, points: Vec<ScoredPoint>) -> Result<Vec<Found>> {
    let mut found = Vec::with_capacity(points.len());
    for point in points {
        let chunk = ChunkId(uuid_of(point.id.clone())?);
        let page = point.payload.get(PAGE).cloned().map(|page| (PAGE.to_owned(), page));
        let head = page_of(&to_object(page.into_iter().collect()))?.head_id(tenant);
        found.push(Found { head, chunk, point });
    }
    found.sort_by(|a, b| b.point.score.total_cmp(&a.point.score).then(a.chunk.cmp(&b.chunk)));
    Ok(found)
}

fn into_hit(found: Found) -> Result<SideHit> {
    let payload = chunk_from_payload(to_object(found.point.payload))?;
    Ok(SideHit { id: found.chunk, score: found.point.score, payload })
}

/// One list of points for each side.
async fn ask(
    shared: &Shared,
    sides: &[(Side, Option<VectorInput>)],
    query: &SideQuery,
    limit: usize,
    until: Instant,
) -> Result<Vec<Vec<ScoredPoint>>> {
    let side_query = |(side, vector): &(Side, Option<VectorInput>)| {
        let using = match side {
            Side::Lexical => BM25,
            Side::Semantic => DENSE,
        };
        Some(QueryPoints {
            collection_name: shared.collections.chunks.clone(),
            query: Some(Query::new_nearest(vector.clone()?)),
            using: Some(using.to_owned()),
            filter: Some(filter(&query.tenant, &query.filter)),
            limit: Some(limit as u64),
            with_payload: Some(true.into()),
            ..QueryPoints::default()
        })
    };
    let query_points: Vec<QueryPoints> = sides.iter().filter_map(side_query).collect();
    if query_points.is_empty() || query.limit == 0 {
        return Ok(sides.iter().map(|_| Vec::new()).collect());
    }
    let collection_name = shared.collections.chunks.clone();
    let request = QueryBatchPoints { collection_name, query_points, ..QueryBatchPoints::default() };
    let ask = shared.link.read("search the index", until, |client| {
        let request = request.clone();
        async move { client.query_batch(request).await }
    });
    let mut answers = ask.await?.result.into_iter();
    let answer = |(_, vector): &(Side, Option<VectorInput>)| {
        vector.as_ref().and_then(|_| answers.next()).map(|answer| answer.result).unwrap_or_default()
    };
    Ok(sides.iter().map(answer).collect())
}

/// `None` when nothing can match: no words, or a vector without direction.
pub(super) fn side_vector(shared: &Shared, side: Side, query: &SideQuery) -> Result<Option<VectorInput>> {
    let variant = match side {
        Side::Lexical => {
            let words = shared.lexical.embed_query(&query.text, query.filter.language.as_deref())?;
            let vector = SparseVector { values: words.values, indices: words.indices };
            (!vector.indices.is_empty()).then_some(vector_input::Variant::Sparse(vector))
        }
        Side::Semantic => {
            if u32::try_from(query.dense.len()).ok() != Some(shared.model.dimension) {
                let wanted = format!("{} dimensions", query.dense.len());
                return Err(Error::ModelMismatch { found: shared.model.to_string(), wanted });
            }
            let has_direction = query.dense.iter().all(|x| x.is_finite()) && query.dense.iter().any(|x| *x != 0.0);
            has_direction.then(|| vector_input::Variant::Dense(query.dense.clone().into()))
        }
    };
    Ok(variant.map(|variant| VectorInput { variant: Some(variant) }))
}

/// The heads that exist among these ids.
pub(super) async fn heads_by_id(shared: &Shared, ids: &[Uuid], until: Instant) -> Result<HashMap<Uuid, PageHead>> {
    let mut heads = HashMap::with_capacity(ids.len());
    for part in ids.chunks(HEADS_PER_CALL) {
        let request = GetPoints {
            collection_name: shared.collections.pages.clone(),
            ids: part.iter().copied().map(point_id).collect(),
            with_payload: Some(true.into()),
            // A replica that lags must not bring back a version that was replaced.
            read_consistency: Some(ReadConsistency {
                value: Some(read_consistency::Value::Type(ReadConsistencyType::Majority.into())),
            }),
            ..GetPoints::default()
        };
        let get = shared.link.read("read page heads", until, |client| {
            let request = request.clone();
            async move { client.get_points(request).await }
        });
        for point in get.await?.result {
            heads.insert(uuid_of(point.id)?, head_from_payload(to_object(point.payload))?);
        }
    }
    Ok(heads)
}

pub(super) async fn count(shared: &Shared, tenant: &TenantId) -> Result<u64> {
    let request = CountPoints {
        collection_name: shared.collections.chunks.clone(),
        filter: Some(filter(tenant, &SearchFilter::default())),
        exact: Some(true),
        ..CountPoints::default()
    };
    let count = shared.link.read("count the chunks", shared.link.deadline(), |client| {
        let request = request.clone();
        async move { client.count(request).await }
    });
    Ok(count.await?.result.map_or(0, |result| result.count))
}

pub(super) async fn scan_chunks(
    shared: &Shared,
    tenant: &TenantId,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredChunk>> {
    let only_page = PayloadIncludeSelector { fields: vec![PAGE.to_owned()] };
    let only_page =
        WithPayloadSelector { selector_options: Some(with_payload_selector::SelectorOptions::Include(only_page)) };
    let points = scroll(shared, &shared.collections.chunks, tenant, after.map(|id| id.0), limit, only_page).await?;
    let chunk = |(id, point): (Uuid, RetrievedPoint)| {
        Ok(StoredChunk { id: ChunkId(id), page: page_of(&to_object(point.payload))? })
    };
    points.into_iter().map(chunk).collect()
}

pub(super) async fn scan_heads(
    shared: &Shared,
    tenant: &TenantId,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<PageHead>, Option<Uuid>)> {
    let points = scroll(shared, &shared.collections.pages, tenant, after, limit, true.into()).await?;
    let last = points.last().map(|(id, _)| *id).filter(|_| points.len() == limit);
    let heads = points.into_iter().map(|(_, point)| head_from_payload(to_object(point.payload)));
    Ok((heads.collect::<Result<_>>()?, last))
}

/// At most `limit` points after one, in id order.
async fn scroll(
    shared: &Shared,
    collection: &str,
    tenant: &TenantId,
    after: Option<Uuid>,
    limit: usize,
    with_payload: WithPayloadSelector,
) -> Result<Vec<(Uuid, RetrievedPoint)>> {
    let request = ScrollPoints {
        collection_name: collection.to_owned(),
        filter: Some(filter(tenant, &SearchFilter::default())),
        offset: after.map(point_id),
        // One more: the answer begins with the point that `after` names.
        limit: Some(u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX)),
        with_payload: Some(with_payload),
        ..ScrollPoints::default()
    };
    let scroll = shared.link.read("list points", shared.link.deadline(), |client| {
        let request = request.clone();
        async move { client.scroll(request).await }
    });
    let mut points = Vec::new();
    for point in scroll.await?.result {
        let id = uuid_of(point.id.clone())?;
        if Some(id) != after && points.len() < limit {
            points.push((id, point));
        }
    }
    Ok(points)
}

/// Language codes of the stored chunks, the most frequent first.
pub(super) async fn languages(shared: &Shared, until: Instant) -> Result<Vec<String>> {
    let request = FacetCounts {
        collection_name: shared.collections.chunks.clone(),
        key: crate::vectors::payload::LANGUAGE.to_owned(),
        limit: Some(16),
        ..FacetCounts::default()
    };
    let facet = shared.link.read("read the languages", until, |client| {
        let request = request.clone();
        async move { client.facet(request).await }
    });
    let hits = facet.await?.hits.into_iter();
    let code = |variant| match variant {
        FacetVariant::StringValue(code) => Some(code),
        FacetVariant::IntegerValue(_) | FacetVariant::BoolValue(_) => None,
    };
    Ok(hits.filter_map(|hit| code(hit.value?.variant?)).collect())
}
