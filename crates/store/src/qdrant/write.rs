//! How a group of pages is written, in an order in which a crash anywhere leaves strays but never half a page: new
//! chunks, heads, and after a look at which heads took effect, moves and deletions.
//!
//! Others may write the same pages at the same time. A write changes and removes only points that no newer version of
//! the page wrote, and the server compares at the moment of the change.

use super::payload::{Fields, has_id, head_point, not_newer, to_fields, versioned};
use super::schema::{BM25, DENSE};
use super::{Shared, read};
use crate::error::ServerFault;
use crate::vectors::plan::{PagePlan, Plan, PreparedWrite, head_id, plan};
use crate::vectors::{ChunkPoint, PageWrite, WriteAnswer, payload};
use crate::{Error, Result};
use argiope_protocol::ChunkId;
use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList, SetPayload};
use qdrant_client::qdrant::{
    Filter, NamedVectors, PointStruct, PointsUpdateOperation, SparseVector, UpdateBatchPoints, UpdateStatus, Vector,
    WriteOrdering, WriteOrderingType,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;
use uuid::Uuid;

/// Moves and deletions in one call.
const MAX_OPERATIONS: usize = 128;
/// Ids in one deletion.
const MAX_DELETES: usize = 1_024;

/// A point on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    point: PointStruct,
    /// Version of the page that writes it.
    seq: u64,
    /// What it weighs in a call, about.
    n_bytes: usize,
}

/// Writes a group; what it answers is applied on the server.
pub(super) async fn apply(
    shared: &Shared,
    writes: Vec<PreparedWrite<Outgoing>>,
    until: Instant,
) -> Result<Vec<WriteAnswer>> {
    let ids: BTreeSet<Uuid> = writes.iter().map(|write| head_id(&write.head)).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let Plan { mut answers, mut pages } = plan(writes, read::heads_by_id(shared, &ids, until).await?);
    let mut chunks = Vec::new();
    let mut upserted: HashMap<Uuid, Vec<ChunkId>> = HashMap::new();
    for (id, page) in &mut pages {
        let points = std::mem::take(&mut page.upserts);
        upserted.insert(*id, points.iter().map(|(chunk, _)| *chunk).collect());
        chunks.extend(points.into_iter().map(|(_, point)| point));
    }
    upsert(shared, &shared.collections.chunks, chunks, until).await?;
    let heads = pages.iter().map(|(id, page)| outgoing_head(*id, page)).collect();
    upsert(shared, &shared.collections.pages, heads, until).await?;
    let ids: Vec<Uuid> = pages.keys().copied().collect();
    let visible = read::heads_by_id(shared, &ids, until).await?;
    let mut operations = Vec::new();
    for (id, mut page) in pages {
        let head = visible.get(&id).filter(|head| head.seq >= page.head.seq).ok_or_else(|| Error::Server {
            context: "switch a page",
            fault: ServerFault::Unavailable,
            message: "the server does not show what it took".to_owned(),
        })?;
        if head.seq > page.head.seq {
            let fenced = WriteAnswer::Fenced { seq: head.seq };
            page.writes.iter().filter_map(|&n| answers.get_mut(n).map(|answer| *answer = fenced)).count();
            lose(&mut page, &head.chunks, upserted.remove(&id).unwrap_or_default());
        }
        operations.extend(tidy_operations(&page));
    }
    run(shared, operations, until).await?;
    Ok(answers)
}

/// A newer version came in between: what this one wrote goes, unless the newer one lists it.
fn lose(page: &mut PagePlan<Outgoing>, winner: &[ChunkId], upserted: Vec<ChunkId>) {
    let listed: HashSet<ChunkId> = winner.iter().copied().collect();
    page.moves.clear();
    page.deletes.extend(upserted);
    page.deletes.retain(|id| !listed.contains(id));
}

/// Makes a write ready for the server: BM25 and payloads, which take CPU.
pub(super) fn prepare(shared: &Shared, write: &PageWrite) -> Result<PreparedWrite<Outgoing>> {
    if i64::try_from(write.head.seq).is_err() {
        return Err(Error::Corrupt { what: format!("seq of {}", write.head.url), detail: write.head.seq.to_string() });
    }
    let seq = write.head.seq;
    let points = write.new_chunks.iter().map(|chunk| outgoing_chunk(shared, chunk, seq)).collect::<Result<_>>()?;
    Ok(PreparedWrite { head: write.head.clone(), points, moved: write.moved.clone(), stale: write.stale.clone() })
}

fn outgoing_chunk(shared: &Shared, chunk: &ChunkPoint, seq: u64) -> Result<(ChunkId, Outgoing)> {
    shared.model.check(&chunk.dense, || format!("vector of chunk {}", chunk.id))?;
    shared.lexical.note_stored(chunk.payload.language.as_deref());
    let words = shared.lexical.embed_chunk(&chunk.payload)?;
    let texts = [&chunk.payload.text, &chunk.payload.title, &chunk.payload.url].map(String::len);
    // The fields besides the texts, and the names of all of them.
    let n_bytes = chunk.dense.len() * 4 + words.indices.len() * 8 + texts.iter().sum::<usize>() + 512;
    let mut vectors = HashMap::from([(DENSE.to_owned(), Vector::from(chunk.dense.clone()))]);
    if !words.indices.is_empty() {
        let words = SparseVector { values: words.values, indices: words.indices };
        vectors.insert(BM25.to_owned(), words.into());
    }
    let fields = versioned(payload::chunk_to_payload(&chunk.payload), seq);
    let point = PointStruct::new(super::payload::point_id(chunk.id.0), NamedVectors { vectors }, fields);
    Ok((chunk.id, Outgoing { point, seq, n_bytes }))
}

fn outgoing_head(id: Uuid, page: &PagePlan<Outgoing>) -> Outgoing {
    let n_bytes = 512 + page.head.url.len() + page.head.chunks.len() * 40;
    Outgoing { point: head_point(id, &page.head), seq: page.head.seq, n_bytes }
}

/// Writes points in batches of a size that the server stands, each unless a newer version wrote it.
async fn upsert(shared: &Shared, collection: &str, points: Vec<Outgoing>, until: Instant) -> Result<()> {
    let mut points = points.as_slice();
    while !points.is_empty() {
        let (batch, rest, n_bytes) = split(points, shared.pace().batch_bytes());
        let began = Instant::now();
        match update(shared, "write points", collection, upserts(batch), until).await {
            Ok(()) => {
                shared.pace().written(n_bytes, began.elapsed());
                points = rest;
            }
            Err(error) => {
                let is_overload =
                    matches!(error, Error::Server { fault: ServerFault::Busy | ServerFault::Timeout, .. });
                if is_overload {
                    shared.pace().refused();
                }
                if !is_overload || Instant::now() >= until {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// As many points as the bytes allow, but one at least; the others; the bytes of the first part.
fn split(points: &[Outgoing], max_bytes: usize) -> (&[Outgoing], &[Outgoing], usize) {
    let mut n_bytes = 0;
    let mut n_points = 0;
    for point in points {
        if n_points > 0 && n_bytes + point.n_bytes > max_bytes {
            break;
        }
        n_bytes += point.n_bytes;
        n_points += 1;
    }
    let (batch, rest) = points.split_at_checked(n_points).unwrap_or((points, &[]));
    (batch, rest, n_bytes)
}

/// One operation for each run of points of the same version.
fn upserts(points: &[Outgoing]) -> Vec<Operation> {
    let runs = points.chunk_by(|a, b| a.seq == b.seq);
    let list = |run: &[Outgoing]| {
        let seq = run.first().map_or(0, |first| first.seq);
        Operation::Upsert(PointStructList {
            points: run.iter().map(|outgoing| outgoing.point.clone()).collect(),
            update_filter: Some(Filter::must([not_newer(seq)])),
            ..PointStructList::default()
        })
    };
    runs.map(list).collect()
}

/// Moves and deletions of a page. By filter: ids that are gone are no error.
fn tidy_operations(page: &PagePlan<Outgoing>) -> Vec<Operation> {
    let moves = page.moves.iter().map(|(id, position)| {
        let fields: Fields = to_fields(payload::position_payload(*position));
        let points = Filter::must([has_id(&[*id]), not_newer(page.head.seq)]);
        Operation::SetPayload(SetPayload {
            payload: fields,
            points_selector: Some(points.into()),
            ..Default::default()
        })
    });
    let deletes = page.deletes.chunks(MAX_DELETES).map(|ids| {
        let points = Filter::must([has_id(ids), not_newer(page.head.seq)]);
        Operation::DeletePoints(DeletePoints { points: Some(points.into()), ..DeletePoints::default() })
    });
    moves.chain(deletes).collect()
}

async fn run(shared: &Shared, mut operations: Vec<Operation>, until: Instant) -> Result<()> {
    while !operations.is_empty() {
        let rest = operations.split_off(operations.len().min(MAX_OPERATIONS));
        update(shared, "remove stale points", &shared.collections.chunks, operations, until).await?;
        operations = rest;
    }
    Ok(())
}

/// Removes chunks, whoever wrote them.
pub(super) async fn remove(shared: &Shared, chunks: &[ChunkId], until: Instant) -> Result<()> {
    let delete = |ids: &[ChunkId]| {
        let points = Some(Filter::must([has_id(ids)]).into());
        Operation::DeletePoints(DeletePoints { points, ..DeletePoints::default() })
    };
    run(shared, chunks.chunks(MAX_DELETES).map(delete).collect(), until).await
}

/// Sends operations and waits until they are applied.
async fn update(
    shared: &Shared,
    context: &'static str,
    collection: &str,
    operations: Vec<Operation>,
    until: Instant,
) -> Result<()> {
    let operation = |operation| PointsUpdateOperation { operation: Some(operation) };
    let request = UpdateBatchPoints {
        collection_name: collection.to_owned(),
        wait: Some(true),
        operations: operations.into_iter().map(operation).collect(),
        // Heads decide what is visible: their writers meet at one place, also while a cluster changes its leader.
        ordering: (collection == shared.collections.pages)
            .then(|| WriteOrdering { r#type: WriteOrderingType::Strong.into() }),
        ..UpdateBatchPoints::default()
    };
    let call = shared.link.call(context, until, |client| async move { client.update_points_batch(request).await });
    let unfinished = call.await?.result.into_iter().find(|result| result.status() != UpdateStatus::Completed);
    unfinished.map_or(Ok(()), |result| {
        let message = format!("the server took it and did not apply it: {}", result.status().as_str_name());
        Err(Error::Server { context, fault: ServerFault::Timeout, message })
    })
}
