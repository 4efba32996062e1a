//! Everything that reads. A reader holds the view for as long as its answer depends on it, and the writer takes
//! it alone for the moment in which heads change: each answer is of one version of each page.

use super::Shared;
use super::payload::{PAGE, chunk_from_payload, filter, page_of, path, point_id, uuid_of};
use super::shards::{BM25, DENSE, Shards};
use crate::vectors::{PageHead, SearchFilter, Side, SideHit, SideQuery, StoredChunk};
use crate::{Error, Result};
use argiope_protocol::{ChunkId, PageKey, TenantId};
use qdrant_edge::{
    CountRequest, NamedQuery, QueryEnum, QueryRequest, ScoredPoint, ScoringQuery, ScrollRequest, VectorInternal,
    WithPayloadInterface, WithVector,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Most hits of one side, whatever is asked.
const MAX_HITS: usize = 10_000;
/// Searches that are tried, each for three times as many hits, before fewer than wanted are answered.
const MAX_ROUNDS: u32 = 3;
/// Hidden chunks are rare (strays of a crash, or of a group being written), so the first search asks for little
/// more than what is wanted.
const FIRST_MARGIN: usize = 32;

/// Hits of each side, all of the same versions of their pages.
pub(super) fn search(shared: &Shared, sides: &[Side], query: &SideQuery) -> Result<Vec<Vec<SideHit>>> {
    shared.with_shards(|shards| {
        let mut heads = Heads { shards, known: HashMap::new() };
        sides.iter().map(|&side| search_side(shared, &mut heads, side, query)).collect()
    })
}

fn search_side(shared: &Shared, heads: &mut Heads<'_>, side: Side, query: &SideQuery) -> Result<Vec<SideHit>> {
    let limit = query.limit.min(MAX_HITS);
    let Some(vector) = side_vector(shared, side, query)? else { return Ok(Vec::new()) };
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut n_asked = limit + FIRST_MARGIN;
    let mut round = 1;
    loop {
        let points = ask(heads.shards, vector.clone(), query, n_asked)?;
        let is_all = points.len() < n_asked;
        let mut hits = heads.keep_listed(&query.tenant, points)?;
        if hits.len() >= limit || is_all || round == MAX_ROUNDS {
            hits.truncate(limit);
            return Ok(hits);
        }
        n_asked *= 3;
        round += 1;
    }
}

/// `None` when nothing can match: no words, or a vector without direction.
fn side_vector(shared: &Shared, side: Side, query: &SideQuery) -> Result<Option<NamedQuery<VectorInternal>>> {
    let (name, vector) = match side {
        Side::Lexical => {
            let vector = shared.lexical.embed_query(&query.text, query.filter.language.as_deref())?;
            (BM25, (!vector.indices.is_empty()).then_some(VectorInternal::Sparse(vector)))
        }
        Side::Semantic => {
            let wanted = &shared.model;
            if u32::try_from(query.dense.len()).ok() != Some(wanted.dimension) {
                let found = wanted.to_string();
                return Err(Error::ModelMismatch { found, wanted: format!("{} dimensions", query.dense.len()) });
            }
            let has_direction = query.dense.iter().all(|x| x.is_finite()) && query.dense.iter().any(|x| *x != 0.0);
            (DENSE, has_direction.then(|| VectorInternal::Dense(query.dense.clone())))
        }
    };
    Ok(vector.map(|query| NamedQuery { query, using: Some(name.into()) }))
}

fn ask(
    shards: &Shards,
    vector: NamedQuery<VectorInternal>,
    query: &SideQuery,
    limit: usize,
) -> Result<Vec<ScoredPoint>> {
    let request = QueryRequest {
        prefetches: Vec::new(),
        query: Some(ScoringQuery::Vector(QueryEnum::Nearest(vector))),
        filter: Some(filter(&query.tenant, &query.filter)?),
        score_threshold: None,
        limit,
        offset: 0,
        params: None,
        with_vector: WithVector::Bool(false),
        with_payload: WithPayloadInterface::Bool(true),
    };
    shards.chunks.query(request).map_err(|error| Error::engine("search the index", error))
}

/// Heads read so far, as the chunks they list; they cannot change while the view is held.
struct Heads<'a> {
    shards: &'a Shards,
    known: HashMap<Uuid, HashSet<ChunkId>>,
}

impl Heads<'_> {
    fn keep_listed(&mut self, tenant: &TenantId, points: Vec<ScoredPoint>) -> Result<Vec<SideHit>> {
        let mut of_pages = Vec::with_capacity(points.len());
        for point in points {
            let Some(payload) = point.payload else { continue };
            let head_id = page_of(&payload)?.head_id(tenant);
            of_pages.push((head_id, ChunkId(uuid_of(point.id)?), point.score, payload));
        }
        self.read(of_pages.iter().map(|(head_id, ..)| *head_id))?;
        let mut hits = Vec::with_capacity(of_pages.len());
        for (head_id, id, score, payload) in of_pages {
            if self.known.get(&head_id).is_some_and(|chunks| chunks.contains(&id)) {
                hits.push(SideHit { id, score, payload: chunk_from_payload(payload)? });
            }
        }
        // Equal scores in a fixed order, so that equal questions get equal answers.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        Ok(hits)
    }

    fn read(&mut self, ids: impl Iterator<Item = Uuid>) -> Result<()> {
        let missing: HashSet<Uuid> = ids.filter(|id| !self.known.contains_key(id)).collect();
        let missing: Vec<Uuid> = missing.into_iter().collect();
        let mut found = self.shards.heads(&missing)?;
        for id in missing {
            let chunks = found.remove(&id).map(|head| head.chunks.into_iter().collect());
            self.known.insert(id, chunks.unwrap_or_default());
        }
        Ok(())
    }
}

pub(super) fn heads(shared: &Shared, tenant: &TenantId, pages: &[PageKey]) -> Result<Vec<Option<PageHead>>> {
    let ids: Vec<Uuid> = pages.iter().map(|page| page.head_id(tenant)).collect();
    let found = shared.with_shards(|shards| shards.heads(&ids))?;
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

pub(super) fn count(shared: &Shared, tenant: &TenantId) -> Result<u64> {
    let request = CountRequest { filter: Some(filter(tenant, &SearchFilter::default())?), exact: true };
    let count = shared
        .with_shards(|shards| shards.chunks.count(request).map_err(|error| Error::engine("count the chunks", error)))?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

pub(super) fn scan_chunks(
    shared: &Shared,
    tenant: &TenantId,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredChunk>> {
    let only_page = WithPayloadInterface::Fields(vec![path(PAGE)?]);
    let request = scroll(tenant, after.map(|id| id.0), limit, only_page)?;
    let records = shared
        .with_shards(|shards| shards.chunks.scroll(request).map_err(|error| Error::engine("list the chunks", error)))?;
    let mut chunks = Vec::with_capacity(records.0.len());
    for record in records.0 {
        let id = ChunkId(uuid_of(record.id)?);
        let Some(payload) = record.payload else { continue };
        if Some(id) != after && chunks.len() < limit {
            chunks.push(StoredChunk { id, page: page_of(&payload)? });
        }
    }
    Ok(chunks)
}

pub(super) fn scan_heads(
    shared: &Shared,
    tenant: &TenantId,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<PageHead>, Option<Uuid>)> {
    let request = scroll(tenant, after, limit, WithPayloadInterface::Bool(true))?;
    let records = shared
        .with_shards(|shards| shards.pages.scroll(request).map_err(|error| Error::engine("list the heads", error)))?;
    let (mut heads, mut last) = (Vec::with_capacity(records.0.len()), None);
    for record in records.0 {
        let id = uuid_of(record.id)?;
        let Some(payload) = record.payload else { continue };
        if Some(id) != after && heads.len() < limit {
            heads.push(super::payload::head_from_payload(payload)?);
            last = Some(id);
        }
    }
    let is_full = heads.len() == limit;
    Ok((heads, last.filter(|_| is_full)))
}

/// One more than wanted, since the engine's scroll begins with the point that `after` names.
fn scroll(
    tenant: &TenantId,
    after: Option<Uuid>,
    limit: usize,
    with_payload: WithPayloadInterface,
) -> Result<ScrollRequest> {
    Ok(ScrollRequest {
        offset: after.map(point_id),
        limit: Some(limit.saturating_add(1)),
        filter: Some(filter(tenant, &SearchFilter::default())?),
        with_payload: Some(with_payload),
        with_vector: WithVector::Bool(false),
        order_by: None,
    })
}
