//! Makes a page durable, then settles its lease: the last step of a URL's life.
//!
//! Order: body and record, then the index (new chunks, head, stale chunks; see `argiope_store::vectors`), then
//! the fate. The stores group what comes in at the same time into one commit. A store that is full or away is
//! tried again until it answers: the work keeps its credit, so the crawl waits behind it.

use crate::config::Stores;
use crate::flow::{Work, WriteKind, WriteTask};
use crate::metrics::Metrics;
use crate::support::stage::Stage;
use crate::support::tasks::TaskKind;
use crate::support::{StoreWait, now};
use argiope_protocol::{FailReason, Fate, PageRecord};
use argiope_store::pages::NewPage;
use argiope_store::vectors::{PageHead, PageWrite, WriteAnswer};
use std::sync::Arc;
use std::time::Instant;

/// The writer.
pub struct Writer {
    /// The stores.
    pub stores: Stores,
    /// Where it counts.
    pub metrics: Metrics,
    /// Waits for a store that is away.
    pub wait: StoreWait,
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
            Err(error) if self.wait.is_draining() => {
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
        let page = Arc::new(page);
        let put = || self.metrics.timed("pages", "put", self.stores.pages.put_shared(Arc::clone(&page)));
        self.wait.insist(Self::KIND, put).await?;
        self.metrics.stored_bytes(n_bytes);
        Ok(())
    }

    async fn touch(&self, record: PageRecord) -> argiope_store::Result<()> {
        self.wait.insist(Self::KIND, || self.stores.pages.touch(record.clone())).await
    }

    async fn apply(&self, index: PageWrite) -> argiope_store::Result<()> {
        let n_chunks = index.new_chunks.len() as u64;
        let index = Arc::new(index);
        let apply =
            || self.metrics.timed("vectors", "apply", self.stores.vectors.apply_shared(vec![Arc::clone(&index)]));
        let answers = self.wait.insist(Self::KIND, apply).await?;
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
        let heads = self
            .wait
            .insist(Self::KIND, || self.stores.vectors.heads(&lease.tenant, std::slice::from_ref(&key)))
            .await?;
        if let Some(Some(head)) = heads.into_iter().next()
            && !head.chunks.is_empty()
        {
            let hidden = PageHead { seq: lease.token.fence(), chunks: Vec::new(), ..head };
            self.apply(PageWrite { head: hidden, new_chunks: Vec::new(), moved: Vec::new(), stale: Vec::new() })
                .await?;
        }
        let record = || self.stores.pages.record(&lease.tenant, &key);
        if self.wait.insist(Self::KIND, record).await?.is_some() {
            self.wait.insist(Self::KIND, || self.stores.pages.delete(&lease.tenant, &key)).await?;
        }
        Ok(())
    }
}
