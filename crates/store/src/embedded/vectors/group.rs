//! What the writer does to the shards, in an order in which a crash anywhere leaves strays but never half a page:
//! new chunks, flush of the chunks, heads, flush of the heads, then moves and deletions and a second flush of the
//! chunks.

use super::Shared;
use super::activity::Counts;
use super::compact::{LEVELS, max_segments, segment_chunks};
use super::payload::{head_to_payload, point_id, position_payload};
use super::shards::Shards;
use crate::vectors::WriteAnswer;
use crate::vectors::plan::{Plan, PreparedWrite, head_id, plan};
use crate::{Error, Result};
use argiope_protocol::ChunkId;
use qdrant_edge::{
    EdgeShard, PayloadOps, PointInsertOperations, PointOperations, PointStructPersisted, SetPayloadOp, UpdateOperation,
    VectorStructPersisted, WithPayloadInterface, WithVector,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// A write with the engine's points.
pub(super) type PreparedPoints = PreparedWrite<PointStructPersisted>;

/// Points in one operation of the engine: its log writes each operation as one record.
const POINTS_PER_OPERATION: usize = 256;

/// Writes one group; everything is flushed when it returns.
pub(super) fn write(shared: &Shared, writes: Vec<PreparedPoints>) -> Result<Vec<WriteAnswer>> {
    let ids: HashSet<Uuid> = writes.iter().map(|write| head_id(&write.head)).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let Plan { answers, pages } = shared.with_shards(|shards| Ok(plan(writes, shards.heads(&ids)?)))?;
    let (mut upserts, mut heads, mut deletes) = (Vec::new(), Vec::with_capacity(pages.len()), Vec::new());
    let mut moves: BTreeMap<u32, Vec<ChunkId>> = BTreeMap::new();
    for page in pages.into_values() {
        upserts.extend(page.upserts.into_iter().map(|(_, point)| point));
        heads.push(page.head);
        page.moves.into_iter().for_each(|(id, position)| moves.entry(position).or_default().push(id));
        deletes.extend(page.deletes);
    }
    shared.with_shards(|shards| {
        if !upserts.is_empty() {
            upsert(&shards.chunks, upserts)?;
            shards.chunks.flush();
        }
        Ok(())
    })?;
    if !heads.is_empty() {
        let points = heads.iter().map(|head| PointStructPersisted {
            id: point_id(head_id(head)),
            vector: VectorStructPersisted::Named(HashMap::new()),
            payload: Some(head_to_payload(head)),
        });
        let points = points.collect();
        shared.with_shards_alone(|shards| upsert(&shards.pages, points))?;
        shared.with_shards(|shards| {
            shards.pages.flush();
            Ok(())
        })?;
    }
    if !moves.is_empty() || !deletes.is_empty() {
        shared.with_shards(|shards| {
            for (position, chunks) in moves {
                set_position(&shards.chunks, &chunks, position)?;
            }
            delete(&shards.chunks, &deletes)?;
            shards.chunks.flush();
            Ok(())
        })?;
    }
    Ok(answers)
}

fn upsert(shard: &EdgeShard, points: Vec<PointStructPersisted>) -> Result<()> {
    let mut points = points.into_iter().peekable();
    while points.peek().is_some() {
        let batch = points.by_ref().take(POINTS_PER_OPERATION).collect();
        let operation = PointOperations::UpsertPoints(PointInsertOperations::PointsList(batch));
        update(shard, UpdateOperation::PointOperation(operation), "write points")?;
    }
    Ok(())
}

fn delete(shard: &EdgeShard, chunks: &[ChunkId]) -> Result<()> {
    for batch in chunks.chunks(POINTS_PER_OPERATION) {
        let operation = PointOperations::DeletePoints { ids: batch.iter().map(|id| point_id(id.0)).collect() };
        update(shard, UpdateOperation::PointOperation(operation), "delete points")?;
    }
    Ok(())
}

/// The engine fails on ids it does not hold, so those are left out; `verify` finds heads that list them.
fn set_position(shard: &EdgeShard, chunks: &[ChunkId], position: u32) -> Result<()> {
    let ids: Vec<_> = chunks.iter().map(|id| point_id(id.0)).collect();
    let held = shard
        .retrieve(&ids, Some(WithPayloadInterface::Bool(false)), Some(WithVector::Bool(false)))
        .map_err(|error| Error::engine("read moved chunks", error))?;
    if held.is_empty() {
        return Ok(());
    }
    let operation = PayloadOps::SetPayload(SetPayloadOp {
        payload: position_payload(position),
        points: Some(held.into_iter().map(|record| record.id).collect()),
        filter: None,
        key: None,
    });
    update(shard, UpdateOperation::PayloadOperation(operation), "move chunks")
}

/// Removes chunks, flushed.
pub(super) fn remove(shared: &Shared, chunks: &[ChunkId]) -> Result<()> {
    shared.with_shards(|shards| {
        delete(&shards.chunks, chunks)?;
        shards.chunks.flush();
        Ok(())
    })
}

/// Indexes what has grown, merges segments when there are many, and drops what was deleted.
pub(super) fn optimize(shards: &Shards, optimize_every: usize, counts: &Counts) -> Result<()> {
    let failed = |error| Error::engine("optimise the index", error);
    let mut has_new_segments = false;
    for level in 1..=LEVELS {
        let info = shards.chunks.info();
        if info.segments_count > max_segments(info.points_count, optimize_every) {
            Counts::add(&counts.merges);
            has_new_segments |= shards.merge(segment_chunks(level, optimize_every))?;
        }
    }
    has_new_segments |= shards.chunks.optimize().map_err(failed)? | shards.pages.optimize().map_err(failed)?;
    if has_new_segments {
        Counts::add(&counts.optimized);
        // The segment that takes the next writes is new and has no payload indexes yet.
        shards.make_indexes()?;
        shards.chunks.flush();
        shards.pages.flush();
    }
    Ok(())
}

fn update(shard: &EdgeShard, operation: UpdateOperation, context: &'static str) -> Result<()> {
    shard.update(operation).map_err(|error| Error::engine(context, error))
}

#[cfg(test)]
mod tests {
    use super::super::shards::DENSE;
    use super::*;
    use crate::vectors::IndexModel;
    use qdrant_edge::external::serde_json::json;
    use qdrant_edge::{Payload, VectorPersisted};

    fn point(n: u16) -> PointStructPersisted {
        let vector = VectorPersisted::Dense(vec![1.0, f32::from(n)]);
        let payload = json!({"tenant": "t", "host": "h", "domain": "d", "language": "en", "page": n.to_string()});
        PointStructPersisted {
            id: point_id(Uuid::from_u128(n.into())),
            vector: VectorStructPersisted::Named(HashMap::from([(DENSE.to_owned(), vector)])),
            payload: payload.as_object().cloned().map(Payload),
        }
    }

    fn shards(dir: &tempfile::TempDir) -> Shards {
        Shards::open(dir.path(), &IndexModel { id: "m".to_owned(), dimension: 2 }, 200).unwrap()
    }

    #[test]
    fn an_optimised_index_has_payload_indexes_in_old_and_new_segments() {
        let dir = tempfile::tempdir().unwrap();
        let shards = shards(&dir);
        for round in 0..3 {
            upsert(&shards.chunks, (round * 300..(round + 1) * 300).map(point).collect()).unwrap();
            shards.chunks.flush();
            optimize(&shards, 200, &Counts::default()).unwrap();
        }
        upsert(&shards.chunks, (900..950).map(point).collect()).unwrap();
        let info = shards.chunks.info();
        assert_eq!(info.points_count, 950);
        assert_eq!(info.segments_count, 4, "three optimised ones and the growing one");
        assert_eq!(info.payload_schema.len(), 4);
        for (field, index) in info.payload_schema {
            assert_eq!(index.points, 950, "{field}");
        }
    }

    #[test]
    fn many_segments_become_one() {
        let dir = tempfile::tempdir().unwrap();
        let (shards, counts) = (shards(&dir), Counts::default());
        for round in 0..9 {
            upsert(&shards.chunks, (round * 200..(round + 1) * 200).map(point).collect()).unwrap();
            shards.chunks.flush();
            optimize(&shards, 250, &counts).unwrap();
        }
        let info = shards.chunks.info();
        assert_eq!((info.points_count, counts.read().n_merges), (1_800, 1));
        assert!(info.segments_count <= 4, "{} segments", info.segments_count);
    }
}
