//! Runs the CPU part, offers the links, passes the page on.

use super::links::Sorted;
use super::process::{Input, Processed, process};
use crate::embedder::Embedder;
use crate::event::Event;
use crate::flow::{EmbedTask, ParseTask, Work, WriteKind, WriteTask};
use crate::frontier::Frontier;
use crate::metrics::Metrics;
use crate::support::stage::Stage;
use crate::support::tasks::TaskKind;
use crate::support::{CpuPool, Permit, Route, now};
use argiope_content::chunk::Chunk;
use argiope_egress::FetchResponse;
use argiope_protocol::{FailReason, Fate, PageRecord, ProcessMode, RejectReason, SkipReason};
use argiope_store::pages::NewPage;
use std::sync::Arc;
use std::time::Instant;

/// Bodies whose links are found in place: streaming reads 64 KiB in less than the half millisecond from which on
/// work leaves the async threads, and the way to another thread and back costs a tenth of that.
const MAX_INLINE_BYTES: usize = 64 * 1024;
/// Links that a first page must have before its refusals are worth a warning.
const WARN_FROM_LINKS: u64 = 5;

/// The parser.
pub struct Parser {
    /// The threads.
    pub pool: CpuPool,
    /// The frontier.
    pub frontier: Frontier,
    /// Whose tokenizer sizes the chunks.
    pub embedder: Arc<dyn Embedder>,
    /// The product token of meta robots.
    pub robots_token: Arc<str>,
    /// The way to the embedder.
    pub embed: Route<EmbedTask>,
    /// The way to the writer.
    pub write: Route<WriteTask>,
    /// Where it counts.
    pub metrics: Metrics,
}

impl Stage for Parser {
    type Task = ParseTask;
    const NAME: &'static str = "parser";
    const KIND: TaskKind = TaskKind::Parse;

    async fn run(self: Arc<Self>, task: ParseTask) {
        let ParseTask { work, response, permit } = task;
        if work.job.spec.process == ProcessMode::Links && response.body.len() <= MAX_INLINE_BYTES {
            let began = Instant::now();
            let processed = self.process(&work, &response);
            self.metrics.busy(Self::NAME, began.elapsed());
            return self.dispatch(work, &response, processed, permit).await;
        }
        let (stage, began) = (Arc::clone(&self), Instant::now());
        let outcome = self.pool.run(move || {
            let processed = stage.process(&work, &response);
            stage.metrics.busy(Self::NAME, began.elapsed());
            (work, response, processed)
        });
        match outcome.await {
            Ok((work, response, processed)) => self.dispatch(work, &response, processed, permit).await,
            // The guard went down with the computation: the lease is given back as failed.
            Err(error) => tracing::error!(%error, "page not parsed"),
        }
    }
}

impl Parser {
    fn process(&self, work: &Work, response: &FetchResponse) -> Processed {
        process(&Input {
            job: &work.job,
            known: self.frontier.known_links(),
            lease: work.lease(),
            prior_hash: work.prior.as_ref().map(|record| record.body_hash),
            response,
            robots_token: &self.robots_token,
            embedder: self.embedder.as_ref(),
            now: now(),
        })
    }

    async fn dispatch(&self, mut work: Work, response: &FetchResponse, processed: Processed, permit: Permit) {
        match processed {
            Processed::TooMuch => work.guard.settle(Fate::Failed(FailReason::ParseBounds, None)).await,
            Processed::Same => match work.prior.take() {
                Some(record) => self.unchanged(work, record, response).await,
                None => work.guard.settle(Fate::Failed(FailReason::Internal, None)).await,
            },
            Processed::Skip { reason, links, bytes } => {
                if self.offer(&work, links).await {
                    self.skip(work, reason, bytes).await;
                } else {
                    work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
                }
            }
            Processed::Page { page, chunks, links } => {
                self.judge_first_page(&work, page.record.outlinks.len(), &links);
                if self.offer(&work, links).await {
                    self.pass_on(work, *page, chunks).await;
                } else {
                    work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
                }
            }
        }
        drop(permit);
    }

    /// Offers links durably; `false` when the frontier did not take them.
    async fn offer(&self, work: &Work, links: Sorted) -> bool {
        let lease = work.lease();
        match self.frontier.admit(lease.job, &lease.host, links.offered, links.rejects).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(url = %lease.candidate.url, %error, "links not offered, the page is tried again");
                false
            }
        }
    }

    async fn pass_on(&self, work: Work, page: NewPage, chunks: Vec<Chunk>) {
        let n_bytes = (page.body.len() + page.markdown.len()) as u64;
        if work.job.spec.process == ProcessMode::Vectors {
            let permit = self.embed.acquire(n_bytes).await;
            let _ = self.embed.send(EmbedTask { work, page, chunks, permit });
        } else {
            self.write(work, n_bytes, WriteKind::Page { page: Box::new(page), index: None, fate: Fate::Stored }).await;
        }
    }

    async fn skip(&self, work: Work, reason: SkipReason, bytes: Option<Box<NewPage>>) {
        match bytes {
            Some(page) => {
                let n_bytes = page.body.len() as u64;
                self.write(work, n_bytes, WriteKind::Page { page, index: None, fate: Fate::Skipped(reason) }).await;
            }
            None => self.write(work, 0, WriteKind::Remove(reason)).await,
        }
    }

    async fn unchanged(&self, work: Work, record: PageRecord, response: &FetchResponse) {
        let record = crate::fetcher::confirmed(record, &work, response);
        let links = super::links::of_record(&work.job, self.frontier.known_links(), work.lease(), &record.outlinks);
        if self.offer(&work, links).await {
            self.write(work, 0, WriteKind::Touch(Box::new(record))).await;
        } else {
            work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
        }
    }

    async fn write(&self, work: Work, n_bytes: u64, kind: WriteKind) {
        let permit = self.write.acquire(n_bytes).await;
        let _ = self.write.send(WriteTask { work, kind, permit });
    }

    /// A first page whose links are nearly all outside the scope is worth a word.
    fn judge_first_page(&self, work: &Work, n_followed: usize, links: &Sorted) {
        if !work.job.is_first_page() {
            return;
        }
        let scope = [RejectReason::OutOfScope, RejectReason::Filtered, RejectReason::TooDeep];
        let counts = scope.map(|reason| (links.rejects.counts.get(&reason).copied().unwrap_or_default(), reason));
        let n_rejected: u64 = counts.iter().map(|(n, _)| n).sum();
        let n_links = n_rejected + n_followed as u64;
        if n_links >= WARN_FROM_LINKS && n_rejected * 10 >= n_links * 9 {
            let (_, reason) = counts.into_iter().max_by_key(|(n, _)| *n).unwrap_or((0, RejectReason::OutOfScope));
            let lease = work.lease();
            self.frontier.tell(Event::ScopeWarning {
                job: lease.job,
                url: lease.candidate.url.clone(),
                reason,
                n_rejected,
                n_links,
            });
        }
    }
}
