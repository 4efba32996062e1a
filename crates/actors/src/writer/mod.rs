//! Makes a page durable, then settles its lease: the last step of a URL's life.
//!
//! Order: body and record, then the index (new chunks, head, stale chunks; see `argiope_store::vectors`), then
//! the fate. The stores group what comes in at the same time into one commit. A store that is full or away is
//! tried again until it answers: the work keeps its credit, so the crawl waits behind it.

use crate::config::Stores;
use crate::event::Event;
use crate::flow::{Work, WriteKind, WriteTask};
use crate::frontier::Frontier;
use crate::metrics::Metrics;
use crate::support::now;
use crate::support::stage::Stage;
use crate::support::tasks::TaskKind;
use argiope_protocol::{FailReason, Fate, PageRecord};
use argiope_store::pages::NewPage;
use argiope_store::vectors::{PageHead, PageWrite, WriteAnswer};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pause between tries while a store is not available.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The writer.
pub struct Writer {
    /// The stores.
    pub stores: Stores,
    /// The frontier.
    pub frontier: Frontier,
    /// Where it counts.
    pub metrics: Metrics,
    /// Set while a store is not available.
    pub is_held: AtomicBool,
    /// Set when the engine drains: nothing is tried again.
    pub draining: Arc<AtomicBool>,
}

impl Stage for Writer {
    type Task = WriteTask;
    const NAME: &'static str = "writer";
    const KIND: TaskKind = TaskKind::Write;

    async fn run(self: Arc<Self>, task: WriteTask) {
        let WriteTask { work, kind, permit } = task;
        let began = Instant::now();
        let outcome = self.write(&work, kind).await;
        self.metrics.busy(Self::NAME, began.elapsed());
        match outcome {
            Ok(fate) => work.guard.settle(fate).await,
            Err(error) if self.draining.load(Ordering::Relaxed) => {
                tracing::warn!(url = %work.lease().candidate.url, %error, "page not stored before the stop, it is fetched again");
                work.guard.defer(now()).await;
            }
            Err(error) => {
                tracing::error!(url = %work.lease().candidate.url, %error, "page not stored, it is tried again");
                work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
            }
        }
        drop(permit);
    }
}

impl Writer {
    async fn write(&self, work: &Work, kind: WriteKind) -> argiope_store::Result<Fate> {
        match kind {
            WriteKind::Page { page, index, fate } => {
                self.put(*page).await?;
                if let Some(index) = index {
                    self.apply(index).await?;
                }
                Ok(fate)
            }
            WriteKind::Touch(record) => {
                // Stored by this very job, whose settling was lost with the process: the job found nothing unchanged.
                let is_own = record.job == work.lease().job;
                self.touch(*record).await?;
                Ok(if is_own { Fate::Stored } else { Fate::Unchanged })
            }
            WriteKind::Remove(reason) => {
                self.remove(work).await?;
                Ok(Fate::Skipped(reason))
            }
        }
    }

    async fn put(&self, page: NewPage) -> argiope_store::Result<()> {
        let n_bytes = (page.body.len() + page.markdown.len()) as u64;
        self.insist(|| self.metrics.timed("pages", "put", self.stores.pages.put(page.clone()))).await?;
        self.metrics.stored_bytes(n_bytes);
        Ok(())
    }

    async fn touch(&self, record: PageRecord) -> argiope_store::Result<()> {
        self.insist(|| self.stores.pages.touch(record.clone())).await
    }

    async fn apply(&self, index: PageWrite) -> argiope_store::Result<()> {
        let n_chunks = index.new_chunks.len() as u64;
        let apply = || self.metrics.timed("vectors", "apply", self.stores.vectors.apply(vec![index.clone()]));
        let answers = self.insist(apply).await?;
        if let Some(WriteAnswer::Fenced { seq }) = answers.first() {
            tracing::debug!(seq, "a newer version of the page is visible; this one changed nothing");
        } else {
            self.metrics.stored_chunks(n_chunks);
        }
        Ok(())
    }

    /// Hides and forgets a page that an earlier crawl stored. Nothing is written for a page nobody knew.
    async fn remove(&self, work: &Work) -> argiope_store::Result<()> {
        let (lease, key) = (work.lease(), work.page_key());
        let heads = self.insist(|| self.stores.vectors.heads(&lease.tenant, std::slice::from_ref(&key))).await?;
        if let Some(Some(head)) = heads.into_iter().next()
            && !head.chunks.is_empty()
        {
            let hidden = PageHead { seq: lease.token.fence(), chunks: Vec::new(), ..head };
            self.apply(PageWrite { head: hidden, new_chunks: Vec::new(), moved: Vec::new(), stale: Vec::new() })
                .await?;
        }
        if self.stores.pages.record(&lease.tenant, &key).await?.is_some() {
            self.insist(|| self.stores.pages.delete(&lease.tenant, &key)).await?;
        }
        Ok(())
    }

    /// Calls a store until it answers with something else than "not now", or the engine drains.
    async fn insist<T, F, Fut>(&self, call: F) -> argiope_store::Result<T>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = argiope_store::Result<T>>,
    {
        loop {
            match call().await {
                Ok(value) => {
                    if self.is_held.swap(false, Ordering::Relaxed) {
                        tracing::info!("store available again, the crawl goes on");
                        self.frontier.tell(Event::Released);
                    }
                    return Ok(value);
                }
                Err(error) if error.is_retryable() && !self.draining.load(Ordering::Relaxed) => {
                    if !self.is_held.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "store not available, the crawl waits");
                        self.frontier.tell(Event::Held { why: error.to_string(), code: error.code() });
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
