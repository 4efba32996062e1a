//! The handle to the frontier: durable first, then the shard's actor is told.

use super::known::KnownLinks;
use super::shard::ShardMessage;
use super::starts::Starts;
use crate::event::Event;
use crate::metrics::{LeaseLoss, Metrics};
use crate::support::now;
use argiope_protocol::{
    Candidate, Claim, Epoch, Fate, Host, JobId, Lease, NodeName, Origin, PageKey, ShardId, Timestamp,
};
use argiope_store::frontier::{
    AdmitReport, LeaseAnswer, LeaseRequest, RejectTally, RobotsRecord, SettleAnswer, StartAnswer,
};
use argiope_store::{Error, FrontierStore, Result};
use ractor::ActorRef;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Tries to write a fate before the lease is left to its deadline.
const SETTLE_TRIES: u32 = 20;
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// Handle to the frontier. Cheap to clone.
#[derive(Clone)]
pub struct Frontier {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn FrontierStore>,
    owned: RwLock<BTreeMap<ShardId, Owned>>,
    starts: Mutex<Starts>,
    n_windows: AtomicU64,
    known: KnownLinks,
    metrics: Metrics,
    events: broadcast::Sender<Event>,
    runtime: tokio::runtime::Handle,
}

/// A shard that this node owns.
#[derive(Clone)]
struct Owned {
    claim: Claim,
    actor: ActorRef<ShardMessage>,
}

impl Frontier {
    /// A handle that owns nothing yet. Must be made inside the runtime.
    #[must_use]
    pub fn new(store: Arc<dyn FrontierStore>, metrics: Metrics, events: broadcast::Sender<Event>) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let inner = Inner {
            store,
            owned: RwLock::default(),
            known: KnownLinks::default(),
            starts: Mutex::default(),
            n_windows: AtomicU64::new(0),
            metrics,
            events,
            runtime,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The runtime, for drops outside of it.
    pub(crate) fn runtime(&self) -> tokio::runtime::Handle {
        self.inner.runtime.clone()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.inner.events.send(event);
    }

    /// Claims a shard for this node.
    ///
    /// # Errors
    /// `Fenced` when another node holds it; else as the store.
    pub(crate) async fn claim(&self, shard: ShardId, node: &NodeName, ttl: Duration) -> Result<Claim> {
        let claim = self.inner.store.claim(shard, node, ttl, Epoch::default(), now()).await?;
        claim.ok_or(Error::Fenced(shard))
    }

    /// Tells all shards to look into the store: every one has an owner now, so that links find theirs.
    pub(crate) fn reload_all(&self) {
        for owned in self.inner.owned.read().unwrap_or_else(PoisonError::into_inner).values() {
            drop(owned.actor.send_message(ShardMessage::Reload));
        }
    }

    /// The shard is ours under this claim.
    pub(crate) fn own(&self, claim: Claim, actor: ActorRef<ShardMessage>) {
        let epoch = claim.epoch;
        let mut owned = self.inner.owned.write().unwrap_or_else(PoisonError::into_inner);
        if owned.insert(claim.shard, Owned { claim, actor }).is_some_and(|old| old.claim.epoch != epoch) {
            self.inner.known.forget();
        }
    }

    /// Links that need no offer.
    pub(crate) fn known_links(&self) -> &KnownLinks {
        &self.inner.known
    }

    fn owned(&self, shard: ShardId) -> Result<Owned> {
        self.inner.owned.read().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned().ok_or(Error::Fenced(shard))
    }

    fn owned_by_host(&self, host: &Host) -> Result<Owned> {
        self.owned(ShardId::of(&host.domain()))
    }

    /// Offers URLs to a job, each at its shard's owner. Returns when they are durable. `rejects` are counted with
    /// the shard of `from`.
    ///
    /// # Errors
    /// As the store.
    pub async fn admit(
        &self,
        job: JobId,
        from: &Host,
        candidates: Vec<Candidate>,
        rejects: RejectTally,
    ) -> Result<AdmitReport> {
        let home = ShardId::of(&from.domain());
        let mut by_shard: BTreeMap<ShardId, Vec<Candidate>> = BTreeMap::new();
        if !rejects.counts.is_empty() {
            by_shard.insert(home, Vec::new());
        }
        for candidate in candidates {
            by_shard.entry(ShardId::of(&candidate.url.host().domain())).or_default().push(candidate);
        }
        let mut rejects = Some(rejects);
        let mut total = AdmitReport::default();
        for (shard, offered) in by_shard {
            let owned = self.owned(shard)?;
            let pages: Vec<PageKey> = offered.iter().map(|candidate| PageKey::of(&candidate.url)).collect();
            let tally = if shard == home { rejects.take().unwrap_or_default() } else { RejectTally::default() };
            let admit = self.inner.store.admit(&owned.claim, job, offered, tally, now());
            let report = self.inner.metrics.timed("frontier", "admit", admit).await?;
            // A URL over the page limit is not remembered by the store; which of them it was is not told.
            if report.n_over_budget == 0 {
                self.inner.known.add(job, pages.into_iter());
            }
            if !report.queued.is_empty() {
                let hosts = report.queued.keys().cloned().collect();
                drop(owned.actor.send_message(ShardMessage::Ready(hosts)));
            }
            total.queued.extend(report.queued);
            total.n_seen += report.n_seen;
            total.n_over_budget += report.n_over_budget;
        }
        Ok(total)
    }

    /// Ends a lease; tries for a while when the store is not available, then leaves the lease to its deadline.
    pub(crate) async fn settle(&self, lease: &Lease, fate: Fate) {
        self.inner.metrics.ended(&fate);
        let answer = self.insist(lease, |owned| {
            let (store, token) = (Arc::clone(&self.inner.store), lease.token);
            let metrics = &self.inner.metrics;
            async move { metrics.timed("frontier", "settle", store.settle(&owned.claim, token, fate, now())).await }
        });
        match answer.await {
            Some(SettleAnswer::Ended) => {
                self.tell(Event::UrlEnded { job: lease.job, url: lease.candidate.url.clone(), fate });
            }
            Some(SettleAnswer::Requeued { .. }) => self.ready(&lease.host),
            Some(SettleAnswer::Stale) => tracing::debug!(host = %lease.host, "a lease was settled twice or too late"),
            None => {}
        }
    }

    /// Gives a lease back unused.
    pub(crate) async fn defer(&self, lease: &Lease, not_before: Timestamp) {
        let answer = self.insist(lease, |owned| {
            let (store, token) = (Arc::clone(&self.inner.store), lease.token);
            async move { store.defer(&owned.claim, token, not_before, now()).await }
        });
        if answer.await.is_some() {
            self.ready(&lease.host);
        }
    }

    async fn insist<F, Fut>(&self, lease: &Lease, call: F) -> Option<SettleAnswer>
    where
        F: Fn(Owned) -> Fut,
        Fut: Future<Output = Result<SettleAnswer>>,
    {
        for attempt in 0..SETTLE_TRIES {
            let outcome = match self.owned_by_host(&lease.host) {
                Ok(owned) => call(owned).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => {
                    if answer == SettleAnswer::Stale {
                        self.inner.metrics.lease_lost(LeaseLoss::Expired);
                    }
                    return Some(answer);
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(host = %lease.host, attempt, %error, "fate not written yet, trying again");
                    tokio::time::sleep(SETTLE_PAUSE).await;
                }
                Err(error) => {
                    if matches!(error, Error::Fenced(_)) {
                        self.inner.metrics.lease_lost(LeaseLoss::Fenced);
                    }
                    tracing::error!(host = %lease.host, %error, "fate not written; the lease runs out by itself");
                    return None;
                }
            }
        }
        tracing::error!(host = %lease.host, "fate not written after many tries; the lease runs out by itself");
        None
    }

    /// Tells the shard's actor that a host may have something to do.
    pub(crate) fn ready(&self, host: &Host) {
        if let Ok(owned) = self.owned_by_host(host) {
            drop(owned.actor.send_message(ShardMessage::Ready(vec![host.clone()])));
        }
    }

    pub(crate) async fn peek(&self, host: &Host, limit: usize) -> Result<Vec<(JobId, Candidate)>> {
        self.inner.store.peek(&self.owned_by_host(host)?.claim, host, limit, now()).await
    }

    pub(crate) async fn discard(&self, host: &Host, job: JobId, pages: Vec<PageKey>, fate: Fate) -> Result<u32> {
        let n_ended = self.inner.store.discard(&self.owned_by_host(host)?.claim, job, pages, fate, now()).await?;
        (0..n_ended).for_each(|_| self.inner.metrics.ended(&fate));
        Ok(n_ended)
    }

    pub(crate) async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer> {
        let claim = self.owned_by_host(&request.host)?.claim;
        self.inner.metrics.timed("frontier", "lease", self.inner.store.lease(&claim, request, now())).await
    }

    pub(crate) async fn start(&self, host: &Host, window: Duration, delay: Duration) -> Result<StartAnswer> {
        self.inner.store.start(&self.owned_by_host(host)?.claim, host, window, delay, now()).await
    }

    /// A number for a start window.
    pub(super) fn next_window(&self) -> u64 {
        self.inner.n_windows.fetch_add(1, Ordering::Relaxed)
    }

    /// The request with this start window starts now; how politely is measured.
    pub(super) fn started(&self, host: &Host, window: u64, delay: Duration) {
        let mut starts = self.inner.starts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(margin) = starts.observe(host, window, delay, Instant::now()) {
            self.inner.metrics.margin(margin);
        }
    }

    /// Counts the queued URLs of each owned shard anew: a look into the store, for gauges.
    ///
    /// # Errors
    /// As the store.
    pub(crate) async fn measure_queues(&self) -> Result<()> {
        let owned: Vec<Owned> =
            self.inner.owned.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for Owned { claim, .. } in owned {
            let hosts = self.inner.store.hosts(&claim, now()).await?;
            self.inner.metrics.queued(claim.shard, hosts.iter().map(|host| host.n_queued).sum());
        }
        Ok(())
    }

    pub(crate) async fn push_gate(&self, host: &Host, until: Timestamp) -> Result<()> {
        self.inner.store.push_gate(&self.owned_by_host(host)?.claim, host, until).await
    }

    pub(crate) async fn block_host(&self, host: &Host, until: Timestamp) -> Result<()> {
        self.inner.store.block_host(&self.owned_by_host(host)?.claim, host, until).await
    }

    pub(crate) async fn put_robots(&self, origin: &Origin, record: &RobotsRecord) -> Result<()> {
        self.inner.store.put_robots(&self.owned_by_host(&origin.host)?.claim, origin, record).await
    }

    pub(crate) async fn robots(&self, origin: &Origin) -> Result<Option<RobotsRecord>> {
        self.inner.store.robots(origin).await
    }

    /// Widens a job's scope durably.
    pub(crate) async fn add_anchor(&self, job: JobId, anchor: &argiope_protocol::CanonicalUrl) -> Result<()> {
        self.inner.store.add_anchor(job, anchor).await
    }

    /// The store, for claims and hosts at a shard's start.
    pub(crate) fn store(&self) -> &Arc<dyn FrontierStore> {
        &self.inner.store
    }
}
