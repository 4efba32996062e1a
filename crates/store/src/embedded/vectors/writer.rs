//! The thread that owns every update, flush and optimisation: the engine's flush panics when another thread
//! holds one of its locks. Callers send it commands over a bounded queue and wait for the answer.
//!
//! Commands are answered when what they did is flushed (`group`).

use super::activity::Counts;
use super::group::PreparedPoints;
use super::meta::DirLock;
use super::shards::{Shards, caught};
use super::{Shared, State, group, space};
use crate::vectors::WriteAnswer;
use crate::{Error, Result};
use argiope_protocol::ChunkId;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, info, warn};

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
    pub(super) writes: Vec<PreparedPoints>,
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
    /// How long the last group took to commit.
    last_commit: Duration,
    /// Freed when the thread ends, after everything is flushed.
    _lock: DirLock,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, commands: Receiver<Command>, lock: DirLock) -> Self {
        // The growing segment of an index that existed may be nearly full already.
        let n_unoptimized = shared.options.optimize_every;
        Self { shared, commands, n_unoptimized, was_reopened: false, last_commit: Duration::ZERO, _lock: lock }
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
                    let result = self.engine("remove strays", |shared| group::remove(shared, &chunks));
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

    /// Waits for more writes until the group is large or old enough: as long as writes keep coming, four times as
    /// long as the last commit took, so that commits take a fifth of the time at most and the first page waits for
    /// nothing. Answers what ended it early, if anything.
    fn gather(&self, first: QueuedWrites) -> (Vec<QueuedWrites>, Option<Command>) {
        let options = &self.shared.options;
        let wait = (self.last_commit * 4).min(options.max_group_wait).max(options.group_wait);
        let deadline = Instant::now() + wait;
        let mut n_chunks = first.n_chunks();
        let mut group = vec![first];
        while n_chunks < options.group_chunks {
            let wait = options.group_wait.min(deadline.saturating_duration_since(Instant::now()));
            match self.commands.recv_timeout(wait) {
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
        let began = Instant::now();
        let shared = Arc::clone(&self.shared);
        let result = space::check(&shared.dir, &shared.options, 1)
            .and_then(|()| self.engine("write a group", |shared| group::write(shared, writes)));
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
            Counts::add(&shared.counts.groups);
            self.last_commit = began.elapsed();
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
        let optimize = |shared: &Shared| {
            shared.with_shards(|shards| group::optimize(shards, shared.options.optimize_every, &shared.counts))
        };
        if let Err(failure) = self.engine("optimise the index", optimize) {
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
