//! Spawning with a name: every task says what it is, and a panic in it is logged where it happens to nobody else.

use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// What a task is for. None of them may end the process: a lease that its task drops goes back to the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// A domain actor's turn: credit, robots, lease.
    Turn,
    /// One fetch.
    Fetch,
    /// One page's parsing and offering of links.
    Parse,
    /// One page's embedding.
    Embed,
    /// One group of writes.
    Write,
    /// Giving a dropped lease back.
    Abandon,
    /// Telling another node that an exchange is over.
    Release,
    /// Taking, keeping and handing over shards.
    Own,
    /// Offering a job's seeds and starting who watches it.
    Watch,
}

/// Runs a future as a task. Its panic is logged with the kind.
pub fn spawn(kind: TaskKind, future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(guarded(kind, future)));
}

/// As [`spawn`], from a thread outside the runtime.
pub fn spawn_on(runtime: &tokio::runtime::Handle, kind: TaskKind, future: impl Future<Output = ()> + Send + 'static) {
    drop(runtime.spawn(guarded(kind, future)));
}

async fn guarded(kind: TaskKind, future: impl Future<Output = ()> + Send) {
    if AssertUnwindSafe(future).catch_unwind().await.is_err() {
        tracing::error!(task = ?kind, "a task panicked; its lease goes back to the frontier");
    }
}
