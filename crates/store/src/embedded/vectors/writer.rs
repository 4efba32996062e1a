//! The thread that owns every update, flush and optimisation: the engine's flush panics when another thread
//! holds one of its locks. Callers send it commands over a bounded queue and wait for the answer.
//!
//! A group is written so that a crash anywhere leaves strays but never half a page: new chunks, flush of the
//! chunks, heads, flush of the heads, then moves and deletions and a second flush of the chunks. Only then is
//! it answered.

use super::payload::{head_to_payload, point_id, position_payload};
use super::plan::{Plan, PreparedWrite, head_id, plan};
use super::shards::{Shards, caught};
use super::{Shared, State, space};
use crate::vectors::WriteAnswer;
use crate::{Error, Result};
use argiope_protocol::ChunkId;
use qdrant_edge::{
    EdgeShard, PayloadOps, PointInsertOperations, PointOperations, PointStructPersisted, SetPayloadOp, UpdateOperation,
    VectorStructPersisted, WithPayloadInterface, WithVector,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, info, warn};
use uuid::Uuid;

/// Points in one operation of the engine: its log writes each operation as one record.
const POINTS_PER_OPERATION: usize = 256;

/// What callers ask the thread for.
#[derive(Debug)]
pub(super) enum Command {
    Apply(QueuedWrites),
    Remove { chunks: Vec<ChunkId>, reply: oneshot::Sender<Result<()>> },
    Close { reply: oneshot::Sender<Result<()>> },
}

/// One caller's writes, and the room they take in the queue.
#[derive(Debug)]
pub(super) struct QueuedWrites {
    pub(super) writes: Vec<PreparedWrite>,
    pub(super) reply: oneshot::Sender<Result<Vec<WriteAnswer>>>,
    pub(super) room: OwnedSemaphorePermit,
}

impl QueuedWrites {
    fn n_chunks(&self) -> usize {
        self.writes.iter().map(|write| write.points.len()).sum()
    }
}

/// The thread's own state.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// Chunks written since the last optimisation.
    n_unoptimized: usize,
    /// Set by a failure, cleared by a commit: the store is re-opened once between the two.
    was_reopened: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, commands: Receiver<Command>) -> Self {
        // The growing segment of an index that existed may be nearly full already.
        let n_unoptimized = shared.options.optimize_every;
        Self { shared, commands, n_unoptimized, was_reopened: false }
    }

    /// Runs until a close command or until every sender is gone; the index is flushed and closed then.
    pub(super) fn run(mut self) {
        let mut next = self.commands.recv().ok();
        while let Some(command) = next.take() {
            match command {
                Command::Apply(first) => {
                    let (group, following) = self.gather(first);
                    self.commit(group);
                    next = following;
                }
                Command::Remove { chunks, reply } => {
                    let result = self.engine("remove strays", |shared| remove(shared, &chunks));
                    // A caller that stopped waiting needs no answer.
                    drop(reply.send(result));
                }
                Command::Close { reply } => {
                    drop(reply.send(self.close()));
                    return;
                }
            }
            next = next.or_else(|| self.commands.recv().ok());
        }
        if let Err(failure) = self.close() {
            error!(%failure, "index was not flushed on close");
        }
    }

    /// Waits for more writes until the group is large or old enough. Answers what ended it early, if anything.
    fn gather(&self, first: QueuedWrites) -> (Vec<QueuedWrites>, Option<Command>) {
        let options = &self.shared.options;
        let deadline = Instant::now() + options.group_wait;
        let mut n_chunks = first.n_chunks();
        let mut group = vec![first];
        while n_chunks < options.group_chunks {
            match self.commands.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Command::Apply(queued)) => {
                    n_chunks += queued.n_chunks();
                    group.push(queued);
                }
                Ok(other) => return (group, Some(other)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        (group, None)
    }

    fn commit(&mut self, group: Vec<QueuedWrites>) {
        let (mut writes, mut waiting) = (Vec::new(), Vec::with_capacity(group.len()));
        for queued in group {
            waiting.push((queued.writes.len(), queued.reply, queued.room));
            writes.extend(queued.writes);
        }
        let n_chunks: usize = writes.iter().map(|write| write.points.len()).sum();
        let shared = Arc::clone(&self.shared);
        let result = space::check(&shared.dir, &shared.options, 1)
            .and_then(|()| self.engine("write a group", |shared| write(shared, writes)));
        let mut answers = match &result {
            Ok(answers) => answers.as_slice(),
            Err(_) => &[],
        };
        for (n_writes, reply, room) in waiting {
            let answer = match &result {
                Ok(_) => {
                    let (mine, rest) = answers.split_at_checked(n_writes).unwrap_or((answers, &[]));
                    answers = rest;
                    Ok(mine.to_vec())
                }
                Err(failure) => Err(copy_of(failure)),
            };
            drop(reply.send(answer));
            drop(room);
        }
        if result.is_ok() {
            self.was_reopened = false;
            self.n_unoptimized += n_chunks;
            self.optimize_if_due();
        }
    }

    /// Runs engine code on the open shards. After an error or a panic the shards are closed and opened again,
    /// because what the engine holds in memory can no longer be trusted.
    fn engine<T>(&mut self, context: &'static str, run: impl FnOnce(&Shared) -> Result<T>) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let result = caught(context, || run(&shared));
        let Err(Error::Engine { message, is_poisoned: false, .. }) = &result else { return result };
        warn!(context, message, "index failed, opening it again");
        let is_poisoned = !self.reopen();
        Err(Error::Engine { context, message: message.clone(), is_poisoned })
    }

    /// Whether the index is usable again.
    fn reopen(&mut self) -> bool {
        if std::mem::replace(&mut self.was_reopened, true) {
            self.shared.replace(State::Failed("it failed again after it was opened anew".to_owned()));
            return false;
        }
        // Dropping a shard flushes it, which may panic in turn.
        let opened = caught("close the index", || {
            drop(self.shared.replace(State::Failed("it is being opened again".to_owned())));
            Ok(())
        });
        if let Err(failure) = opened {
            warn!(%failure, "index did not close cleanly");
        }
        match Shards::open(&self.shared.dir, &self.shared.model, self.shared.options.optimize_every) {
            Ok(shards) => {
                self.shared.replace(State::Open(Box::new(shards)));
                info!("index is open again");
                true
            }
            Err(failure) => {
                error!(%failure, "index cannot be opened again");
                self.shared.replace(State::Failed(failure.to_string()));
                false
            }
        }
    }

    fn optimize_if_due(&mut self) {
        if self.n_unoptimized < self.shared.options.optimize_every {
            return;
        }
        // An optimisation writes new segments before it removes old ones.
        if let Err(failure) = space::check(&self.shared.dir, &self.shared.options, 2) {
            warn!(%failure, "index is not optimised");
            return;
        }
        self.n_unoptimized = 0;
        if let Err(failure) = self.engine("optimise the index", |shared| shared.with_shards(optimize)) {
            warn!(%failure, "index is not optimised");
        }
    }

    fn close(&self) -> Result<()> {
        let shared = &self.shared;
        caught("close the index", || {
            drop(shared.replace(State::Closed));
            Ok(())
        })
    }
}

/// Writes one group; everything is flushed when it returns.
fn write(shared: &Shared, writes: Vec<PreparedWrite>) -> Result<Vec<WriteAnswer>> {
    let ids: HashSet<Uuid> = writes.iter().map(|write| head_id(&write.head)).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let Plan { answers, upserts, heads, moves, deletes } = shared.with_shards(|shards| {
        let plan = plan(writes, shards.heads(&ids)?);
        Ok(plan)
    })?;
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

fn remove(shared: &Shared, chunks: &[ChunkId]) -> Result<()> {
    shared.with_shards(|shards| {
        delete(&shards.chunks, chunks)?;
        shards.chunks.flush();
        Ok(())
    })
}

fn optimize(shards: &Shards) -> Result<()> {
    let failed = |error| Error::engine("optimise the index", error);
    let has_new_segments = shards.chunks.optimize().map_err(failed)? | shards.pages.optimize().map_err(failed)?;
    if has_new_segments {
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

/// The same failure for each caller of a group.
fn copy_of(failure: &Error) -> Error {
    match failure {
        Error::DiskFull { free_bytes, needed_bytes } => {
            Error::DiskFull { free_bytes: *free_bytes, needed_bytes: *needed_bytes }
        }
        Error::Engine { context, message, is_poisoned } => {
            Error::Engine { context, message: message.clone(), is_poisoned: *is_poisoned }
        }
        Error::Corrupt { what, detail } => Error::Corrupt { what: what.clone(), detail: detail.clone() },
        Error::Closed => Error::Closed,
        other => Error::engine("write a group", other),
    }
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

    #[test]
    fn an_optimised_index_has_payload_indexes_in_old_and_new_segments() {
        let dir = tempfile::tempdir().unwrap();
        let model = IndexModel { id: "m".to_owned(), dimension: 2 };
        let shards = Shards::open(dir.path(), &model, 200).unwrap();
        for round in 0..3 {
            upsert(&shards.chunks, (round * 300..(round + 1) * 300).map(point).collect()).unwrap();
            shards.chunks.flush();
            optimize(&shards).unwrap();
        }
        upsert(&shards.chunks, (900..950).map(point).collect()).unwrap();
        let info = shards.chunks.info();
        assert_eq!(info.points_count, 950);
        assert!(info.segments_count > 1, "nothing was optimised");
        assert_eq!(info.payload_schema.len(), 5);
        for (field, index) in info.payload_schema {
            assert_eq!(index.points, 950, "{field}");
        }
    }
}
