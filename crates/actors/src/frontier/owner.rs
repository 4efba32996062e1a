//! The handle to the frontier: whoever owns the shard makes it durable first, then tells the shard's actor.
//!
//! A shard of this node is asked in its store; another one's owner is asked over the link. While a shard changes hands
//! nobody answers for it: what must not be lost is asked again until somebody does.

use super::held::Held;
use super::holding::{Busy, Holding, Owned};
use super::known::KnownLinks;
use super::lent::Lent;
use super::peers::Peers;
use super::room::{News, Room};
use super::shard::ShardMessage;
use super::starts::Starts;
use crate::event::Event;
use crate::metrics::{LeaseLoss, Metrics};
use crate::support::now;
use argiope_protocol::messages::{ShardCall, ShardReply, batches};
use argiope_protocol::{Candidate, Claim, Fate, Host, JobId, Lease, Origin, PageKey, ShardId, Timestamp};
use argiope_store::frontier::{
    AdmitReport, HostSummary, LeaseAnswer, LeaseRequest, RejectTally, RobotsRecord, SettleAnswer, StartAnswer,
};
use argiope_store::{Error, FrontierStore, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use ractor::ActorRef;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// How long this node asks its own store again before a lease is left to its deadline.
const PATIENCE_ALONE: Duration = Duration::from_secs(10);
/// How long links are offered again while their shard changes hands or its store is away: longer than any takeover, and
/// than the outages that a crawl should live through without losing what it fetched.
const PATIENCE_OF_LINKS: Duration = Duration::from_mins(3);

/// Owners of whom one page's links are asked at once: a page that links to forty sites does not wait for forty answers in a row.
const OFFERS_AT_ONCE: usize = 8;

/// Handle to the frontier. Cheap to clone.
#[derive(Clone)]
pub struct Frontier {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn FrontierStore>,
    holding: Holding,
    held: Held,
    lent: Lent,
    peers: OnceLock<Arc<dyn Peers>>,
    starts: Mutex<Starts>,
    n_windows: AtomicU64,
    known: KnownLinks,
    room: Room,
    metrics: Metrics,
    events: broadcast::Sender<Event>,
    runtime: tokio::runtime::Handle,
}

impl Frontier {
    /// A handle that owns nothing yet. Must be made inside the runtime.
    #[must_use]
    pub fn new(store: Arc<dyn FrontierStore>, metrics: Metrics, events: broadcast::Sender<Event>) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let inner = Inner {
            store,
            holding: Holding::default(),
            held: Held::default(),
            lent: Lent::default(),
            peers: OnceLock::new(),
            known: KnownLinks::default(),
            room: Room::default(),
            starts: Mutex::default(),
            n_windows: AtomicU64::new(0),
            metrics,
            events,
            runtime,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The other nodes; without them this node owns everything. Set once.
    pub(crate) fn join(&self, peers: Arc<dyn Peers>) {
        if self.inner.peers.set(peers).is_err() {
            tracing::error!("a node joined its cluster twice");
        }
    }

    pub(crate) fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.inner.peers.get()
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

    /// Whether others tell of such an error, once: the list of nodes is in the same store and asked every second.
    pub(crate) fn is_told(&self, error: &Error) -> bool {
        self.peers().is_some() && error.is_retryable()
    }

    /// A shard's store took new URLs, or did not.
    pub(super) fn admitted(&self, shard: ShardId, error: Option<&Error>) {
        match (self.inner.room.admitted(shard, error, Instant::now()), error) {
            (Some(News::Full), Some(error)) => {
                tracing::warn!(code = %error.code(), %error, "the frontier takes no new URLs, pages wait with their links");
                self.tell(Event::Held { why: error.to_string(), code: error.code() });
            }
            (Some(News::Room), _) => {
                tracing::info!("the frontier takes new URLs again");
                self.tell(Event::Released);
            }
            _ => {}
        }
    }

    /// The shard is ours under this claim, as long as it counts.
    pub(crate) fn own(&self, claim: Claim, good_until: Option<Instant>) {
        self.inner.holding.take(claim, good_until);
        // What was admitted under an earlier claim may be lost with the end of the store's history.
        self.inner.known.forget();
    }

    pub(super) fn prolong(&self, claim: &Claim, good_until: Option<Instant>) {
        self.inner.holding.prolong(claim, good_until);
    }

    pub(super) fn attach(&self, shard: ShardId, actor: ActorRef<ShardMessage>) -> bool {
        self.inner.holding.attach(shard, actor)
    }

    pub(super) fn retire(&self, shard: ShardId) {
        self.inner.holding.retire(shard);
    }

    pub(super) fn is_busy(&self, shard: ShardId) -> bool {
        self.inner.holding.is_busy(shard)
    }

    pub(super) fn is_retiring(&self, host: &Host) -> bool {
        self.inner.holding.is_retiring(ShardId::of_host(host))
    }

    /// The right to start requests of the host's shard, which is not handed over while it is held.
    pub(super) fn enter(&self, host: &Host) -> Option<Busy> {
        self.inner.holding.enter(ShardId::of_host(host))
    }

    /// Forgets the shard. Answers the claim that was held.
    pub(super) fn give_up(&self, shard: ShardId) -> Option<Claim> {
        self.inner.known.forget();
        self.inner.holding.give_up(shard)
    }

    /// The claims held now, also those that do not count for the moment.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.inner.holding.claims()
    }

    /// Whether a shard is held under just this claim.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        self.inner.holding.holds(claim)
    }

    pub(super) fn n_shards(&self) -> usize {
        self.inner.holding.n_shards()
    }

    /// Links that need no offer.
    pub(crate) fn known_links(&self) -> &KnownLinks {
        &self.inner.known
    }

    pub(super) fn holding(&self) -> &Holding {
        &self.inner.holding
    }

    pub(super) fn held(&self) -> &Held {
        &self.inner.held
    }

    /// Somebody here works on the lease, until [`Frontier::let_go`].
    pub(crate) fn hold(&self, lease: &Lease) {
        self.inner.held.add(lease);
    }

    /// Nobody here works on the lease any more.
    pub(crate) fn let_go(&self, lease: &Lease) {
        self.inner.held.remove(lease);
    }

    pub(super) fn lent(&self) -> &Lent {
        &self.inner.lent
    }

    /// The store may have lost the end of its history.
    pub(super) fn forget_known(&self) {
        self.inner.known.forget();
    }

    fn owned_by_host(&self, host: &Host) -> Result<Owned> {
        self.inner.holding.get(ShardId::of_host(host))
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
        let home = ShardId::of_host(from);
        let mut by_shard: BTreeMap<ShardId, Vec<Candidate>> = BTreeMap::new();
        if !rejects.counts.is_empty() {
            by_shard.insert(home, Vec::new());
        }
        for candidate in candidates {
            by_shard.entry(ShardId::of_host(&candidate.url.host())).or_default().push(candidate);
        }
        let mut rejects = Some(rejects);
        let parts = by_shard
            .into_iter()
            .flat_map(|(shard, offered)| batches(offered).into_iter().map(move |part| (shard, part)));
        let offers = parts.map(|(shard, part)| {
            let tally = if shard == home { rejects.take().unwrap_or_default() } else { RejectTally::default() };
            self.admit_part(shard, job, part, tally)
        });
        let reports = stream::iter(offers).buffer_unordered(OFFERS_AT_ONCE);
        let add = |mut total: AdmitReport, report: AdmitReport| async move {
            for (host, n_urls) in report.queued {
                *total.queued.entry(host).or_default() += n_urls;
            }
            total.n_seen += report.n_seen;
            total.n_over_budget += report.n_over_budget;
            Ok(total)
        };
        reports.try_fold(AdmitReport::default(), add).await
    }

    async fn admit_part(
        &self,
        shard: ShardId,
        job: JobId,
        candidates: Vec<Candidate>,
        rejects: RejectTally,
    ) -> Result<AdmitReport> {
        let seen = self.inner.known.n_forgotten();
        let pages: Vec<PageKey> = candidates.iter().map(|candidate| PageKey::of(&candidate.url)).collect();
        let call = ShardCall::Admit { job, candidates, rejects };
        let ShardReply::Admitted(report) = self.insist(shard, call, PATIENCE_OF_LINKS).await? else {
            return Err(odd("admit"));
        };
        // A URL over the page limit is not remembered by the store; which of them it was is not told.
        if report.n_over_budget == 0 {
            self.inner.known.add(seen, job, pages.into_iter());
        }
        Ok(report)
    }

    /// Ends a lease; tries for a while when the store is not available, then leaves the lease to its deadline.
    pub(crate) async fn settle(&self, lease: &Lease, fate: Fate) {
        self.inner.metrics.ended(&fate);
        let call = ShardCall::Settle { token: lease.token, host: lease.host.clone(), fate };
        if self.end(lease, call).await == Some(SettleAnswer::Ended) {
            self.tell(Event::UrlEnded { job: lease.job, url: lease.candidate.url.clone(), fate });
        }
    }

    /// Gives a lease back unused.
    pub(crate) async fn defer(&self, lease: &Lease, not_before: Timestamp) {
        self.end(lease, ShardCall::Defer { token: lease.token, host: lease.host.clone(), not_before }).await;
    }

    async fn end(&self, lease: &Lease, call: ShardCall) -> Option<SettleAnswer> {
        // As long as the lease holds nobody else has the URL.
        let patience = match self.peers() {
            Some(_) => self.inner.held.deadline(lease).since(now()).max(PATIENCE_OF_LINKS),
            None => PATIENCE_ALONE,
        };
        match self.insist(ShardId::of_host(&lease.host), call, patience).await {
            Ok(ShardReply::Settled(answer)) => {
                if answer == SettleAnswer::Stale {
                    self.inner.metrics.lease_lost(LeaseLoss::Expired);
                    tracing::debug!(host = %lease.host, "a lease was settled twice or too late");
                }
                Some(answer)
            }
            Ok(_) => None,
            Err(error) => {
                if matches!(error, Error::Fenced(_)) {
                    self.inner.metrics.lease_lost(LeaseLoss::Fenced);
                }
                tracing::error!(host = %lease.host, %error, "fate not written; the lease runs out by itself");
                None
            }
        }
    }

    /// Tells the shard's actor that a host may have something to do; another node's owner finds out by itself.
    pub(crate) fn ready(&self, host: &Host) {
        if let Ok(owned) = self.owned_by_host(host) {
            owned.tell(ShardMessage::Ready(vec![host.clone()]));
        }
    }

    /// Hosts of a shard of this node with something open.
    pub(super) async fn hosts(&self, shard: ShardId) -> Result<Vec<HostSummary>> {
        self.inner.store.hosts(&self.inner.holding.get(shard)?.claim, now()).await
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
        match self.ask(ShardId::of_host(host), ShardCall::Start { host: host.clone(), window, delay }).await? {
            ShardReply::Started(answer) => Ok(answer),
            _ => Err(odd("start")),
        }
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
        let held: std::collections::BTreeSet<ShardId> = self.claims().iter().map(|claim| claim.shard).collect();
        for shard in ShardId::all() {
            let n_queued = match held.contains(&shard) {
                true => self.hosts(shard).await?.iter().map(|host| host.n_queued).sum(),
                false => 0,
            };
            self.inner.metrics.queued(shard, n_queued);
        }
        Ok(())
    }

    pub(crate) async fn push_gate(&self, host: &Host, until: Timestamp) -> Result<()> {
        self.ask(ShardId::of_host(host), ShardCall::PushGate { host: host.clone(), until }).await.map(drop)
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

    /// The store, for claims and jobs.
    pub(crate) fn store(&self) -> &Arc<dyn FrontierStore> {
        &self.inner.store
    }
}

fn odd(what: &'static str) -> Error {
    Error::engine(what, "the shard's owner answered something else")
}
