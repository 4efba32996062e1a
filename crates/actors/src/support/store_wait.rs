//! Calls a store until it answers: what was fetched keeps its credit meanwhile, so the crawl waits behind it.

use super::tasks::TaskKind;
use crate::event::Event;
use crate::frontier::Frontier;
use argiope_protocol::ErrorCode;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Pause between tries while a store is not available.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Waits for stores, or for nodes that embed. Cheap to clone; clones know together whether what they wait for is away.
#[derive(Clone)]
pub struct StoreWait {
    frontier: Frontier,
    draining: Arc<AtomicBool>,
    is_held: Arc<AtomicBool>,
}

impl StoreWait {
    /// `draining` is set when the engine drains: nothing is tried again then.
    #[must_use]
    pub fn new(frontier: Frontier, draining: Arc<AtomicBool>) -> Self {
        Self { frontier, draining, is_held: Arc::default() }
    }

    /// Whether the engine drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Calls until the answer is something else than "not now", or the engine drains.
    ///
    /// # Errors
    /// What the store said that does not pass.
    pub async fn insist<T, F, Fut>(&self, who: TaskKind, call: F) -> argiope_store::Result<T>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = argiope_store::Result<T>>,
    {
        loop {
            match call().await {
                Ok(value) => {
                    self.available();
                    return Ok(value);
                }
                Err(error) if error.is_retryable() && !self.is_draining() => {
                    self.pause(who, &error, error.code()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// It answers.
    pub(crate) fn available(&self) {
        if self.is_held.swap(false, Ordering::Relaxed) {
            tracing::info!("available again, the crawl goes on");
            self.frontier.tell(Event::Released);
        }
    }

    /// It does not answer: says so when that is news, and waits a little.
    pub(crate) async fn pause(&self, who: TaskKind, error: &(dyn std::error::Error + Send + Sync), code: ErrorCode) {
        if !self.is_held.swap(true, Ordering::Relaxed) {
            tracing::warn!(code = code.code(), %error, stage = ?who, "not available, the crawl waits");
            self.frontier.tell(Event::Held { why: error.to_string(), code });
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
