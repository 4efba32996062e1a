//! The one writer: takes calls from a bounded queue, runs a group of them in one durable transaction, answers
//! them after its commit.
//!
//! A call that fails after it wrote something leaves nothing behind: the group is aborted and run again without
//! it, so calls can be run twice. After an error of the engine the whole group fails and the database is opened
//! again before the next one.

use super::counter::Counter;
use super::engine::Engine;
use super::hot::Hot;
use super::rows::MetaRow;
use super::table::{Step, engine_error};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Calls in one transaction: bounds how much an abort repeats.
const MAX_GROUP: usize = 256;
/// How long a group waits for company when the one before had some.
const LINGER: Duration = Duration::from_millis(4);
/// Pause between two attempts to open a poisoned database again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// A queued call.
pub(super) type Call = Box<dyn Operation>;

/// How one run of a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It did what was asked, or refused to.
    Done,
    /// It failed; what it wrote must not stay.
    Failed,
    /// The engine failed.
    Broken,
}

/// One operation with its caller.
pub(super) trait Operation: Send {
    /// Runs it and keeps the answer. May be called again after an abort.
    fn run(&mut self, step: &mut Step<'_>) -> Run;
    /// The error of the last run.
    fn error(&self) -> Option<&Error>;
    /// Sends the answer, or the failure of the group.
    fn answer(self: Box<Self>, failure: Option<Error>);
}

/// An operation that answers a `T`.
pub(super) struct Pending<T, F> {
    operation: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Pending<T, F> {
    /// The call, and where its answer will be.
    pub(super) fn new(operation: F) -> (Self, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { operation, result: None, reply }, answer)
    }
}

impl<T, F> Operation for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Step<'_>) -> Result<T> + Send,
{
    fn run(&mut self, step: &mut Step<'_>) -> Run {
        let result = (self.operation)(step);
        let run = match &result {
            Ok(_) => Run::Done,
            Err(Error::Engine { is_poisoned: true, .. } | Error::DiskFull { .. }) => Run::Broken,
            Err(_) => Run::Failed,
        };
        self.result = Some(result);
        run
    }

    fn error(&self) -> Option<&Error> {
        self.result.as_ref()?.as_ref().err()
    }

    fn answer(self: Box<Self>, failure: Option<Error>) {
        let result = match (failure, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(Error::Closed),
        };
        // A caller that went away does not want to know.
        let _ = self.reply.send(result);
    }
}

/// The writer thread's state.
pub(super) struct Writer {
    engine: Arc<Engine>,
    counter: Counter,
    /// Store-wide numbers of the newest commit.
    known: MetaRow,
    /// Decoded rows of the newest commit.
    hot: Hot,
    /// Why the database must be opened again, and when that was last tried.
    broken: Option<(Error, Option<Instant>)>,
}

impl Writer {
    pub(super) fn new(engine: Arc<Engine>, counter: Counter) -> Self {
        Self { engine, counter, known: MetaRow::default(), hot: Hot::default(), broken: None }
    }

    /// Serves calls until the last sender is gone.
    pub(super) fn serve(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut had_company = false;
        while let Some(first) = calls.blocking_recv() {
            if had_company {
                std::thread::sleep(LINGER);
            }
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(call) = calls.try_recv()
            {
                group.push(call);
            }
            had_company = group.len() > 1;
            self.serve_group(group);
        }
        if let Err(error) = self.counter.sync() {
            tracing::warn!(%error, "frontier commit counter was not synced");
        }
    }

    fn serve_group(&mut self, mut group: Vec<Call>) {
        if let Err(error) = self.repair() {
            return fail(group, &error);
        }
        let ran = catch_unwind(AssertUnwindSafe(|| self.run_group(&mut group)));
        let outcome = ran.unwrap_or_else(|_| {
            let detail = "the engine panicked while it used it".to_owned();
            Err(Error::Corrupt { what: "frontier database".to_owned(), detail })
        });
        match outcome {
            Ok(()) => group.into_iter().for_each(|call| call.answer(None)),
            Err(error) => {
                let error = self.engine.with_free_space(error);
                tracing::warn!(%error, n_calls = group.len(), "frontier group failed, database will be opened again");
                fail(group, &error);
                self.broken = Some((error, None));
            }
        }
    }

    /// Opens a broken database again, not too often.
    fn repair(&mut self) -> Result<()> {
        let Some((error, tried_at)) = &mut self.broken else { return Ok(()) };
        if tried_at.is_some_and(|at| at.elapsed() < REOPEN_PAUSE) {
            return Err(copy_of(error));
        }
        *tried_at = Some(Instant::now());
        let reopened = catch_unwind(AssertUnwindSafe(|| self.engine.reopen(&self.known)));
        match reopened.unwrap_or(Err(Error::Closed)) {
            Ok(()) => {
                self.broken = None;
                tracing::info!("frontier database was opened again");
                Ok(())
            }
            Err(reason) => {
                tracing::debug!(%reason, "frontier database does not open again yet");
                Err(copy_of(error))
            }
        }
    }

    /// Runs a group until it commits. Calls that failed are answered and leave the group.
    fn run_group(&mut self, group: &mut Vec<Call>) -> Result<()> {
        let database = self.engine.database()?;
        loop {
            let transaction = database.begin_write().map_err(|e| engine_error("begin write", e))?;
            let mut step = Step::begin(&transaction, self.engine.session(), std::mem::take(&mut self.hot))?;
            if let Some(failed) = run_calls(group, &mut step)? {
                drop(step);
                transaction.abort().map_err(|e| engine_error("abort", e))?;
                group.remove(failed).answer(None);
                continue;
            }
            if step.n_writes() == 0 {
                self.hot = step.into_hot();
                return transaction.abort().map_err(|e| engine_error("abort", e));
            }
            let (meta, hot) = step.finish()?;
            transaction.commit().map_err(|e| engine_error("commit", e))?;
            if let Err(error) = self.counter.note(&meta) {
                tracing::warn!(%error, "frontier commit counter was not written");
            }
            (self.known, self.hot) = (meta, hot);
            return Ok(());
        }
    }
}

/// Runs the calls in order. Answers the first that failed after it had written.
fn run_calls(group: &mut [Call], step: &mut Step<'_>) -> Result<Option<usize>> {
    for (place, call) in group.iter_mut().enumerate() {
        let n_writes = step.n_writes();
        match call.run(step) {
            Run::Done => {}
            Run::Failed if step.n_writes() == n_writes => {}
            Run::Failed => return Ok(Some(place)),
            Run::Broken => return Err(call.error().map_or(Error::Closed, copy_of)),
        }
    }
    Ok(None)
}

fn fail(group: Vec<Call>, error: &Error) {
    for call in group {
        call.answer(Some(copy_of(error)));
    }
}

/// The same failure for each caller. The store opens itself again, so none of them has to.
fn copy_of(error: &Error) -> Error {
    match error {
        Error::DiskFull { free_bytes, needed_bytes } => {
            Error::DiskFull { free_bytes: *free_bytes, needed_bytes: *needed_bytes }
        }
        Error::Corrupt { what, detail } => Error::Corrupt { what: what.clone(), detail: detail.clone() },
        Error::Engine { context, message, .. } => {
            Error::Engine { context, message: message.clone(), is_poisoned: false }
        }
        other => Error::engine("write frontier", other),
    }
}
