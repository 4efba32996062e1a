//! Does the exchange and what its verdict asks for.

use super::core::{Answer, Verdict, judge};
use super::prior::usable_prior;
use crate::config::Stores;
use crate::flow::{FetchTask, ParseTask, Work, WriteKind, WriteTask};
use crate::frontier::{Frontier, Health, HostSlot};
use crate::metrics::Metrics;
use crate::support::stage::Stage;
use crate::support::tasks::TaskKind;
use crate::support::{Permit, Route, now};
use argiope_egress::{Accept, FetchError, FetchRequest, FetchResponse, GuardedClient};
use argiope_protocol::{
    Candidate, CanonicalUrl, FailReason, Fate, FetchFacts, PageKey, PageRecord, SkipReason, UrlKind, UrlSource,
};
use argiope_store::frontier::RejectTally;
use governor::DefaultDirectRateLimiter;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a sitemap, decoded (the protocol allows 50 MiB; a bigger one is cut into an index by its site).
const MAX_SITEMAP_BYTES: u64 = 50 * 1024 * 1024;

/// The fetcher.
pub struct Fetcher {
    /// The guarded client.
    pub client: Arc<GuardedClient>,
    /// The frontier.
    pub frontier: Frontier,
    /// Records of earlier crawls.
    pub stores: Stores,
    /// The way to the parser.
    pub parse: Route<ParseTask>,
    /// The way to the writer.
    pub write: Route<WriteTask>,
    /// Bounds body bytes per second over all hosts.
    pub byte_rate: Option<Arc<DefaultDirectRateLimiter>>,
    /// Where it counts.
    pub metrics: Metrics,
}

impl Stage for Fetcher {
    type Task = FetchTask;
    const NAME: &'static str = "fetcher";
    const KIND: TaskKind = TaskKind::Fetch;

    async fn run(self: Arc<Self>, task: FetchTask) {
        let FetchTask { mut work, slot, window, permit } = task;
        let delay = window.delay();
        // A second attempt may meet what the first one stored.
        if work.job.may_know_pages() || work.lease().attempt > 1 {
            work.prior = self.prior(&work).await;
        }
        let candidate = &work.lease().candidate;
        let (accept, max_body_bytes) = match candidate.kind {
            UrlKind::Page => (Accept::Html, work.job.spec.limits.max_body_bytes),
            UrlKind::Sitemap => (Accept::Sitemap, MAX_SITEMAP_BYTES),
        };
        let validators = work.prior.as_ref().map(|record| record.validators.clone()).unwrap_or_default();
        let request = FetchRequest { url: candidate.url.clone(), validators, accept, max_body_bytes, window };
        let began = Instant::now();
        let outcome = self.client.fetch(request).await;
        self.metrics.busy(Self::NAME, began.elapsed());
        self.rest_host(&work, delay).await;
        match outcome {
            Ok(response) => self.answered(work, response, slot, permit).await,
            Err(error) => failed(work, &error, slot).await,
        }
    }
}

impl Fetcher {
    async fn prior(&self, work: &Work) -> Option<PageRecord> {
        match usable_prior(&self.stores, &work.job.spec, &work.page_key()).await {
            Ok(prior) => prior,
            Err(error) => {
                tracing::warn!(url = %work.lease().candidate.url, %error, "earlier record not readable, fetching anew");
                None
            }
        }
    }

    /// The delay counts from the end of a fetch when requests do not overlap.
    async fn rest_host(&self, work: &Work, delay: Duration) {
        if work.job.spec.politeness.per_host == 1 && !delay.is_zero() {
            let host = &work.lease().host;
            if let Err(error) = self.frontier.push_gate(host, now().after(delay)).await
                && !self.frontier.is_told(&error)
            {
                tracing::warn!(%host, %error, "gate not moved to the fetch's end; it stays at the start's");
            }
        }
    }

    async fn answered(&self, work: Work, response: FetchResponse, slot: HostSlot, permit: Permit) {
        let n_bytes = response.body.len() as u64;
        self.metrics.fetched(n_bytes);
        let answer = Answer {
            status: response.status,
            location: response.location.as_deref(),
            retry_after: response.retry_after,
        };
        let (verdict, health) = judge(&answer, work.lease(), &work.job.spec.limits, now());
        slot.free(health);
        self.throttle(n_bytes).await;
        match verdict {
            Verdict::Parse => {
                let parse_permit = self.parse.acquire(n_bytes).await;
                drop(permit);
                // A stopped parser drops the task: the lease goes back.
                let _ = self.parse.send(ParseTask { work, response, permit: parse_permit });
            }
            Verdict::NotModified => self.not_modified(work, &response).await,
            Verdict::Redirect(target, chain) => self.redirected(work, target, chain).await,
            Verdict::Skip(reason) => self.write(work, WriteKind::Remove(reason)).await,
            Verdict::Fail(reason, retry_at) => work.guard.settle(Fate::Failed(reason, retry_at)).await,
        }
    }

    async fn write(&self, work: Work, kind: WriteKind) {
        let permit = self.write.acquire(0).await;
        let _ = self.write.send(WriteTask { work, kind, permit });
    }

    async fn not_modified(&self, mut work: Work, response: &FetchResponse) {
        let Some(record) = work.prior.take() else {
            // 304 to a request without validators.
            return work.guard.settle(Fate::Failed(FailReason::Protocol, None)).await;
        };
        let lease = work.lease();
        let links = crate::parser::recorded_links(&work.job, self.frontier.known_links(), lease, &record.outlinks);
        if let Err(error) = self.frontier.admit(lease.job, &lease.host, links.offered, links.rejects).await {
            tracing::warn!(url = %lease.candidate.url, %error, "known links not offered, the page is tried again");
            return work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
        }
        let touched = confirmed(record, &work, response);
        self.write(work, WriteKind::Touch(Box::new(touched))).await;
    }

    async fn redirected(&self, work: Work, target: CanonicalUrl, chain: Vec<PageKey>) {
        let lease = work.lease();
        let candidate = &lease.candidate;
        let is_of_seed = candidate.depth == 0 && candidate.source != UrlSource::Sitemap;
        if is_of_seed
            && work.job.add_anchor(&target)
            && let Err(error) = self.frontier.add_anchor(lease.job, &target).await
        {
            tracing::warn!(%target, %error, "scope not widened durably");
        }
        let mut rejects = RejectTally::default();
        let mut offered = Vec::new();
        match work.job.check(&target, candidate.depth, UrlSource::Redirect) {
            Ok(()) => offered.push(Candidate {
                url: target,
                kind: candidate.kind,
                source: UrlSource::Redirect,
                depth: candidate.depth,
                redirect_chain: chain,
            }),
            Err(reason) => rejects.add(reason, target.as_str()),
        }
        match self.frontier.admit(lease.job, &lease.host, offered, rejects).await {
            Ok(_) => self.write(work, WriteKind::Remove(SkipReason::Redirected)).await,
            Err(error) => {
                tracing::warn!(url = %candidate.url, %error, "redirect's target not offered, trying again");
                work.guard.settle(Fate::Failed(FailReason::Store, None)).await;
            }
        }
    }

    async fn throttle(&self, n_bytes: u64) {
        let Some(rate) = &self.byte_rate else { return };
        let mut rest = n_bytes;
        while let Some(part) = NonZeroU32::new(u32::try_from(rest.min(BYTES_A_STEP)).unwrap_or_default()) {
            if rate.until_n_ready(part).await.is_err() {
                return;
            }
            rest -= u64::from(part.get());
        }
    }
}

/// Bytes asked of the limiter at once; its burst is at least this.
pub(crate) const BYTES_A_STEP: u64 = 16 * 1024;

/// The record of a page that an answer confirmed.
pub(crate) fn confirmed(record: PageRecord, work: &Work, response: &FetchResponse) -> PageRecord {
    let lease = work.lease();
    let validators =
        if response.validators.is_empty() { record.validators.clone() } else { response.validators.clone() };
    PageRecord {
        seq: lease.token.fence(),
        validators,
        fetch: FetchFacts {
            fetched_at: now(),
            remote: response.remote,
            wire_bytes: response.wire_bytes,
            elapsed_ms: u32::try_from(response.elapsed.as_millis()).unwrap_or(u32::MAX),
            ..record.fetch.clone()
        },
        ..record
    }
}

async fn failed(work: Work, error: &FetchError, slot: HostSlot) {
    let reason = error.reason();
    let url = &work.lease().candidate.url;
    if error.gives_lease_back() {
        slot.free(Health::Unknown);
        let pause = error.retry_after().unwrap_or(Duration::from_millis(500));
        return work.guard.defer(now().after(pause)).await;
    }
    tracing::debug!(%url, %error, "fetch failed");
    let is_host = matches!(
        reason,
        FailReason::Dns
            | FailReason::Connect
            | FailReason::ConnectTimeout
            | FailReason::Timeout
            | FailReason::TooSlow
            | FailReason::Tls
    );
    slot.free(if is_host { Health::Trouble } else { Health::Unknown });
    work.guard.settle(Fate::Failed(reason, None)).await;
}
