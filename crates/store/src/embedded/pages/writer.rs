//! The one thread that writes: it gathers commands into groups, and answers each when its group is durable.

use super::PageOptions;
use super::compact::Compaction;
use super::group::Group;
use super::index::{self, SEGMENTS, StoredSegment, Tables, View, segment_number};
use super::read::Shared;
use super::segment::Appender;
use crate::embedded::data_dir::free_space;
use crate::pages::NewPage;
use crate::{Error, Result};
use argiope_protocol::{PageKey, PageRecord, TenantId};
use redb::Database;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A group is committed when it holds so many bytes: enough that the sync's cost is spread, little enough that
/// memory stays flat.
const MAX_GROUP_BYTES: u64 = 8 * 1024 * 1024;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Change {
    Put(Arc<NewPage>),
    Touch(Box<PageRecord>),
    Delete(TenantId, PageKey),
}

/// A change under way, its answer's address, and the room in the queue that it takes.
pub(super) struct Command {
    pub(super) change: Change,
    pub(super) bytes: u64,
    pub(super) reply: oneshot::Sender<Result<()>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// What travels to the writer.
pub(super) enum Message {
    Change(Command),
    Compact(oneshot::Sender<Result<Compaction>>),
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: PageOptions,
    /// `None` after a failure, until the store was opened again.
    pub(super) appender: Option<Appender>,
}

impl Writer {
    /// Runs until the last sender is gone and the queue is empty.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Compact(reply) => self.answer_compact(reply),
                Message::Change(first) => {
                    let (group, then_compact) = self.gather(first, queue);
                    self.write_group(group);
                    if let Some(reply) = then_compact {
                        self.answer_compact(reply);
                    }
                }
            }
        }
    }

    fn gather(
        &self,
        first: Command,
        queue: &Receiver<Message>,
    ) -> (Vec<Command>, Option<oneshot::Sender<Result<Compaction>>>) {
        // Not woken by each change: that would cost more than the wait.
        std::thread::sleep(self.options.group_wait);
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while bytes < MAX_GROUP_BYTES {
            match queue.try_recv() {
                Ok(Message::Change(command)) => {
                    bytes = bytes.saturating_add(command.bytes);
                    group.push(command);
                }
                Ok(Message::Compact(reply)) => return (group, Some(reply)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn write_group(&mut self, group: Vec<Command>) {
        let planned: u64 = group.iter().map(|command| command.bytes).sum();
        let outcome = self.try_write(&group, planned);
        if let Err(error) = &outcome {
            tracing::warn!(%error, n_changes = group.len(), "group of pages was not written");
        }
        let (outcome, mut damaged) = match outcome {
            Ok(damaged) => (Ok(()), damaged),
            Err(error) => (Err(error), BTreeMap::new()),
        };
        for (place, command) in group.into_iter().enumerate() {
            let answer = match (&outcome, damaged.remove(&place)) {
                (Ok(()), None) => Ok(()),
                (Ok(()), Some(error)) => Err(error),
                (Err(error), _) => Err(same_again(error)),
            };
            // A caller that went away needs no answer.
            let _ = command.reply.send(answer);
        }
    }

    /// Answers the changes that met a damaged record, by their place in the group: they changed nothing, and must
    /// not fail the others.
    fn try_write(&mut self, group: &[Command], planned: u64) -> Result<BTreeMap<usize, Error>> {
        let adds_bytes = group.iter().any(|command| !matches!(command.change, Change::Delete(..)));
        if adds_bytes {
            self.options.reserve.check(free_space(&self.shared.directory)?, planned)?;
        }
        let mut damaged = BTreeMap::new();
        let written = self.write(|changes| {
            for (place, command) in group.iter().enumerate() {
                let changed = match &command.change {
                    Change::Put(page) => changes.put(page),
                    Change::Touch(record) => changes.touch(record),
                    Change::Delete(tenant, key) => changes.delete(tenant, key),
                };
                match changed {
                    Err(error @ Error::Corrupt { .. }) => drop(damaged.insert(place, error)),
                    other => other?,
                }
            }
            Ok(())
        });
        // The engine does not say that a full disk was the cause.
        written.or_else(|error| {
            self.options.reserve.check(free_space(&self.shared.directory)?, planned)?;
            Err(error)
        })?;
        Ok(damaged)
    }

    /// One durable step. After a failure the store is opened again, as a full disk leaves the engine unusable.
    pub(super) fn write(&mut self, change: impl FnOnce(&mut Group<'_>) -> Result<()>) -> Result<()> {
        let mut appender = match self.appender.take() {
            Some(appender) => appender,
            None => self.reopen()?,
        };
        let segments = self.shared.segments();
        let outcome = self.shared.with_database(|database| {
            let transaction = index::begin_write(database)?;
            let mut group = Group::begin(Tables::open(&transaction)?, &mut appender, &segments)?;
            change(&mut group)?;
            group.finish()?;
            index::commit(transaction)
        });
        self.appender = match outcome {
            Ok(()) => Some(appender),
            Err(_) => self.reopen().ok(),
        };
        outcome
    }

    fn reopen(&self) -> Result<Appender> {
        self.shared.reopen(self.options.cache_bytes)?;
        self.shared.with_database(|database| open_appender(&self.shared, database, self.options.segment_bytes))
    }

    fn answer_compact(&mut self, reply: oneshot::Sender<Result<Compaction>>) {
        let outcome = self.compact();
        let _ = reply.send(outcome);
    }
}

/// The appender at the place that the index knows.
pub(super) fn open_appender(shared: &Shared, database: &Database, segment_bytes: u64) -> Result<Appender> {
    Appender::open(&shared.segments(), segment_bytes, &stored_segments(database)?)
}

/// All segments that the index knows.
pub(super) fn stored_segments(database: &Database) -> Result<BTreeMap<u32, StoredSegment>> {
    let view = View::begin(database)?;
    let rows = view.rows::<StoredSegment>(SEGMENTS, "segments", &[])?;
    rows.map(|row| row.and_then(|(key, segment)| Ok((segment_number(&key)?, segment)))).collect()
}

/// One failure answers every change of its group.
fn same_again(error: &Error) -> Error {
    match error {
        Error::DiskFull { free_bytes, needed_bytes } => {
            Error::DiskFull { free_bytes: *free_bytes, needed_bytes: *needed_bytes }
        }
        Error::Corrupt { what, detail } => Error::Corrupt { what: what.clone(), detail: detail.clone() },
        Error::Newer { what, found, known } => Error::Newer { what, found: *found, known: *known },
        Error::Closed => Error::Closed,
        other => Error::engine("write a group of pages", other),
    }
}
