//! One turn of a host: wait for a fetcher's credit, make sure of the robots rules, end what they deny, lease one
//! URL (several where no delay holds), hand them to the fetcher.

use super::domain::DomainMessage;
use super::domain_core::{Cleared, Turn};
use super::holding::Busy;
use super::owner::Frontier;
use super::peers::Handed;
use super::robots::{Known, RobotsCache};
use super::slot::{Health, HostSlot};
use super::window::LeaseWindow;
use crate::event::Event;
use crate::flow::{FetchTask, LeaseGuard, Work};
use crate::job::{JobRuntime, Jobs};
use crate::support::{Permit, Route, now};
use argiope_content::robots::RobotsRules;
use argiope_protocol::messages::FetchOrder;
use argiope_protocol::{
    Candidate, FailReason, Fate, Host, JobId, Lease, Origin, PageKey, ShardId, SkipReason, UrlKind, UrlSource,
};
use argiope_store::frontier::{LeaseAnswer, LeaseRequest, RejectTally};
use governor::DefaultDirectRateLimiter;
use ractor::ActorRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// URLs looked at before a lease, so that what robots deny costs no start.
const PEEKED: usize = 32;
/// URLs that one turn leases at most.
const MAX_URLS_A_TURN: u16 = 16;
/// Leases of one host between fetcher and settling. Requests at once are counted by the domain's core.
const MAX_LEASES_PER_HOST: u16 = 512;

/// Longest that another node may take from an order to the end of its exchange: the wait for the start and a total deadline.
const MAX_LENT: Duration = Duration::from_secs(120);
/// Pause after no node had credit although one seemed to.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// Pause before a URL is leased again whose job is not known here: a node learns of a new job within seconds.
const UNKNOWN_JOB_PAUSE: Duration = Duration::from_secs(2);

/// What turns need. Cheap to clone.
#[derive(Clone)]
pub struct TurnContext {
    /// The frontier.
    pub frontier: Frontier,
    /// The running jobs.
    pub jobs: Jobs,
    /// The way to the fetcher.
    pub fetch: Route<FetchTask>,
    /// Robots rules.
    pub robots: RobotsCache,
    /// Bounds requests per second over all hosts.
    pub rate: Option<Arc<DefaultDirectRateLimiter>>,
    /// The start window.
    pub window: Duration,
    /// How long a lease may be worked on.
    pub visibility: Duration,
    /// Whether this node fetches; else it only hands over.
    pub fetches: bool,
    /// Set when the engine drains: no lease is taken any more.
    pub draining: Arc<AtomicBool>,
    /// Origins whose sitemaps were offered to a job.
    pub offered: Arc<Mutex<BTreeSet<(JobId, Origin)>>>,
}

/// Why a turn ends early.
type Early = Turn;

/// `room` is how many requests the host may take now. `cleared` is what an earlier turn saw of the queue: a URL that
/// came in before those is judged when it is leased; if robots.txt denies it, that costs a start, never a request.
pub(super) async fn take_turn(
    context: &TurnContext,
    domain: &ActorRef<DomainMessage>,
    host: &Host,
    room: u16,
    cleared: Cleared,
) -> Turn {
    let place = context.place().await;
    // Asked after the wait: what drains, or is handed over, takes no lease any more.
    if context.draining.load(Ordering::Relaxed) || context.frontier.is_retiring(host) {
        return Turn::NotBefore(now().after(Duration::from_secs(60)));
    }
    let Some(busy) = context.frontier.enter(host) else { return Turn::Trouble };
    match context.turn((domain, &busy), host, room, cleared, place).await {
        Ok(turn) | Err(TurnError::Early(turn)) => turn,
        Err(TurnError::Store(error)) if context.frontier.is_told(&error) => {
            tracing::debug!(%host, %error, "frontier not available, trying again");
            Turn::Trouble
        }
        Err(TurnError::Store(error)) => {
            tracing::warn!(%host, %error, "frontier not available, trying again");
            Turn::Trouble
        }
    }
}

/// Where a URL is fetched.
enum Place {
    /// By this node's fetcher.
    Here(Permit),
    /// By another node.
    Elsewhere,
}

enum TurnError {
    Early(Early),
    Store(argiope_store::Error),
}

impl From<argiope_store::Error> for TurnError {
    fn from(error: argiope_store::Error) -> Self {
        Self::Store(error)
    }
}

impl TurnContext {
    async fn turn(
        &self,
        (domain, busy): (&ActorRef<DomainMessage>, &Busy),
        host: &Host,
        room: u16,
        cleared: Cleared,
        place: Place,
    ) -> Result<Turn, TurnError> {
        let mut cleared = cleared;
        if cleared.n_urls == 0 {
            match self.look(host).await? {
                Some(found) => cleared = found,
                None => return Ok(Turn::Again),
            }
        }
        cleared.delay = cleared.delay.max(self.jobs.manners().delay);
        match place {
            Place::Here(permit) => {
                let permits = self.permits(permit, if cleared.delay.is_zero() { room } else { 1 });
                self.lease((domain, busy), host, cleared, permits).await
            }
            Place::Elsewhere => self.lend((domain, busy), host, cleared).await,
        }
    }

    /// Where the next URL is fetched: here when there is credit, else where there is some first.
    async fn place(&self) -> Place {
        let Some(peers) = self.frontier.peers() else { return Place::Here(self.fetch.acquire(0).await) };
        if !self.fetches {
            peers.has_credit().await;
            return Place::Elsewhere;
        }
        if let Some(permit) = self.fetch.try_acquire(0) {
            return Place::Here(permit);
        }
        tokio::select! {
            permit = self.fetch.acquire(0) => Place::Here(permit),
            () = peers.has_credit() => Place::Elsewhere,
        }
    }

    /// Looks at the head of the host's queue: makes sure of the robots rules, ends what they deny. `None` when
    /// something was ended.
    async fn look(&self, host: &Host) -> Result<Option<Cleared>, TurnError> {
        let peeked = self.frontier.peek(host, PEEKED).await?;
        let mut delay = self.jobs.manners().delay;
        let mut denied: BTreeMap<(JobId, &'static str), (Fate, Vec<PageKey>)> = BTreeMap::new();
        for (job_id, candidate) in &peeked {
            let Some(job) = self.jobs.get(*job_id).filter(|job| job.spec.politeness.robots) else { continue };
            let origin = candidate.url.origin();
            let fate = match self.rules(&job, &origin, delay).await? {
                Ok(rules) => {
                    self.offer_sitemaps(&job, &origin, &rules).await?;
                    delay = delay.max(rules.crawl_delay().unwrap_or_default());
                    (!rules.allows(&candidate.url)).then_some(Fate::Skipped(SkipReason::RobotsDenied))
                }
                Err(reason) => Some(Fate::Failed(reason, None)),
            };
            if let Some(fate) = fate {
                let code = match fate {
                    Fate::Failed(reason, _) => reason.code(),
                    _ => SkipReason::RobotsDenied.code(),
                };
                denied.entry((*job_id, code)).or_insert_with(|| (fate, Vec::new())).1.push(PageKey::of(&candidate.url));
            }
        }
        if !denied.is_empty() {
            for ((job, _), (fate, pages)) in denied {
                self.frontier.discard(host, job, pages, fate).await?;
            }
            return Ok(None);
        }
        Ok(Some(Cleared { n_urls: peeked.len(), delay }))
    }

    /// The rules of an origin, or why its URLs fail. Ends the turn when they have to be waited for.
    async fn rules(
        &self,
        job: &Arc<JobRuntime>,
        origin: &Origin,
        delay: Duration,
    ) -> Result<Result<Arc<RobotsRules>, FailReason>, TurnError> {
        let known = match self.robots.get(origin) {
            Some(known) => known,
            None => {
                let (known, health) = self.robots.find(&self.frontier, job, origin, delay).await?;
                if let Health::Overloaded(Some(pause)) = health {
                    self.frontier.block_host(&origin.host, now().after(pause)).await?;
                }
                if let Known::Rules(rules) = &known
                    && rules.crawl_delay_capped()
                {
                    self.frontier.tell(Event::CrawlDelayCapped { host: origin.host.to_string() });
                }
                known
            }
        };
        match known {
            Known::Rules(rules) => Ok(Ok(rules)),
            Known::Unreachable(reason) => Ok(Err(reason)),
            Known::RetryAt(at) | Known::NotBefore(at) => Err(TurnError::Early(Turn::NotBefore(at))),
        }
    }

    /// Sitemaps of an origin are offered to each job once in an engine's life; the frontier knows repeats.
    async fn offer_sitemaps(&self, job: &JobRuntime, origin: &Origin, rules: &RobotsRules) -> Result<(), TurnError> {
        let entry = (job.id, origin.clone());
        if !job.spec.sitemaps
            || rules.sitemaps().is_empty()
            || self.offered.lock().unwrap_or_else(PoisonError::into_inner).contains(&entry)
        {
            return Ok(());
        }
        let candidates = rules.sitemaps().iter().map(|url| Candidate {
            url: url.clone(),
            kind: UrlKind::Sitemap,
            source: UrlSource::Sitemap,
            depth: 0,
            redirect_chain: Vec::new(),
        });
        self.frontier.admit(job.id, &origin.host, candidates.collect(), RejectTally::default()).await?;
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).insert(entry);
        Ok(())
    }

    /// One permit for each URL of this turn: where no delay spaces a host's starts, a turn takes several at once, as
    /// long as they are free and no rate counts them one by one.
    fn permits(&self, first: Permit, room: u16) -> Vec<Permit> {
        let mut permits = vec![first];
        while self.rate.is_none() && permits.len() < usize::from(room.min(MAX_URLS_A_TURN)) {
            let Some(permit) = self.fetch.try_acquire(0) else { break };
            permits.push(permit);
        }
        permits
    }

    async fn lease(
        &self,
        (domain, busy): (&ActorRef<DomainMessage>, &Busy),
        host: &Host,
        cleared: Cleared,
        permits: Vec<Permit>,
    ) -> Result<Turn, TurnError> {
        let delay = cleared.delay;
        if let Some(rate) = &self.rate {
            rate.until_ready().await;
        }
        let request = LeaseRequest {
            host: host.clone(),
            visibility: self.visibility,
            delay,
            window: self.window,
            max_in_flight: MAX_LEASES_PER_HOST,
            max_urls: u16::try_from(permits.len()).unwrap_or(1),
        };
        let opened = Instant::now();
        let leases = match self.frontier.lease(&request).await? {
            LeaseAnswer::Granted(leases) => leases,
            LeaseAnswer::NotBefore(at) => return Ok(Turn::NotBefore(at)),
            LeaseAnswer::Busy => return Ok(Turn::Busy),
            LeaseAnswer::Empty => return Ok(Turn::Empty),
        };
        let rest = Cleared { n_urls: cleared.n_urls.saturating_sub(leases.len()), delay };
        // Each is guarded before the first is waited for.
        let guards: Vec<LeaseGuard> =
            leases.into_iter().map(|lease| LeaseGuard::new(lease, self.frontier.clone())).collect();
        let mut turn = Turn::Dispatched(rest);
        for (guard, permit) in guards.into_iter().zip(permits) {
            if let Some(early) = self.dispatch((domain, busy), guard, (delay, opened), permit).await {
                turn = early;
            }
        }
        Ok(turn)
    }

    /// Hands a lease to the fetcher; answers how the turn ends when it could not.
    async fn dispatch(
        &self,
        (domain, busy): (&ActorRef<DomainMessage>, &Busy),
        guard: LeaseGuard,
        (delay, opened): (Duration, Instant),
        permit: Permit,
    ) -> Option<Turn> {
        let Some((guard, job)) = self.clear(guard).await else { return Some(Turn::Again) };
        let host = guard.lease().host.clone();
        let slot = HostSlot::take(host.clone(), domain.clone(), busy.clone());
        let times = (self.window, delay);
        let window = LeaseWindow::new(self.frontier.clone(), host, times, Arc::clone(&job), Some(opened));
        let work = Work { guard, job, prior: None };
        let sent = self.fetch.send(FetchTask { work, slot, window: Arc::new(window), permit });
        sent.is_err().then_some(Turn::Trouble)
    }

    /// Leases a URL for another node and hands it over. The lease moves no gate: the other node asks for the start at the
    /// moment of the start, and only that moves it.
    async fn lend(
        &self,
        (domain, busy): (&ActorRef<DomainMessage>, &Busy),
        host: &Host,
        cleared: Cleared,
    ) -> Result<Turn, TurnError> {
        let Some(peers) = self.frontier.peers() else { return Ok(Turn::Again) };
        let request = LeaseRequest {
            host: host.clone(),
            visibility: self.visibility,
            delay: Duration::ZERO,
            window: Duration::ZERO,
            max_in_flight: MAX_LEASES_PER_HOST,
            max_urls: 1,
        };
        let lease = match self.frontier.lease(&request).await? {
            LeaseAnswer::Granted(leases) => leases.into_iter().next(),
            LeaseAnswer::NotBefore(at) => return Ok(Turn::NotBefore(at)),
            LeaseAnswer::Busy => return Ok(Turn::Busy),
            LeaseAnswer::Empty => None,
        };
        let Some(lease) = lease else { return Ok(Turn::Empty) };
        let guard = LeaseGuard::new(lease, self.frontier.clone());
        let Some((guard, _)) = self.clear(guard).await else { return Ok(Turn::Again) };
        let lease = guard.lease().clone();
        let (token, shard) = (lease.token, ShardId::of_host(host));
        let slot = HostSlot::take(host.clone(), domain.clone(), busy.clone());
        // Kept before the order is on its way: the word that it is over may overtake the answer.
        self.frontier.lent().keep(shard, token, slot, Instant::now() + MAX_LENT);
        match peers.fetch(FetchOrder { lease, delay: cleared.delay }).await {
            Handed::Taken | Handed::Unknown => {
                guard.hand_over();
                Ok(Turn::Dispatched(Cleared { n_urls: cleared.n_urls.saturating_sub(1), ..cleared }))
            }
            Handed::Full => {
                self.frontier.lent().end(shard, token, Health::Unknown);
                guard.defer(now()).await;
                Ok(Turn::NotBefore(now().after(FULL_PAUSE)))
            }
        }
    }

    /// The lease's job, unless the URL must not be fetched; then the lease is ended or given back.
    async fn clear(&self, guard: LeaseGuard) -> Option<(LeaseGuard, Arc<JobRuntime>)> {
        let Some(job) = self.jobs.get(guard.lease().job) else {
            guard.defer(now().after(UNKNOWN_JOB_PAUSE)).await;
            return None;
        };
        match self.judge_late(&job, guard.lease()) {
            Late::Allowed => return Some((guard, job)),
            Late::Denied => guard.settle(Fate::Skipped(SkipReason::RobotsDenied)).await,
            Late::Unknown => guard.defer(now()).await,
        }
        None
    }

    /// A URL that came in after the look at the queue's head is judged by the rules that are known now.
    fn judge_late(&self, job: &JobRuntime, lease: &Lease) -> Late {
        if !job.spec.politeness.robots {
            return Late::Allowed;
        }
        match self.robots.get(&lease.candidate.url.origin()) {
            Some(Known::Rules(rules)) if rules.allows(&lease.candidate.url) => Late::Allowed,
            Some(Known::Rules(_)) => Late::Denied,
            _ => Late::Unknown,
        }
    }
}

/// What robots rules say of a URL that is leased already.
enum Late {
    Allowed,
    Denied,
    Unknown,
}
