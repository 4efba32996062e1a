//! One turn of a host: wait for a fetcher's credit, make sure of the robots rules, end what they deny, lease one
//! URL (several where no delay holds), hand them to the fetcher.

use super::domain::DomainMessage;
use super::domain_core::{Cleared, Turn};
use super::owner::Frontier;
use super::robots::{Known, RobotsCache};
use super::slot::{Health, HostSlot};
use super::window::LeaseWindow;
use crate::event::Event;
use crate::flow::{FetchTask, LeaseGuard, Work};
use crate::job::{JobRuntime, Jobs};
use crate::support::{Permit, Route, now};
use argiope_content::robots::RobotsRules;
use argiope_protocol::{
    Candidate, FailReason, Fate, Host, JobId, Lease, Origin, PageKey, SkipReason, UrlKind, UrlSource,
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
    let permit = context.fetch.acquire(0).await;
    // Asked after the wait: what drains takes no lease any more.
    if context.draining.load(Ordering::Relaxed) {
        return Turn::NotBefore(now().after(Duration::from_secs(60)));
    }
    match context.turn(domain, host, room, cleared, permit).await {
        Ok(turn) | Err(TurnError::Early(turn)) => turn,
        Err(TurnError::Store(error)) => {
            tracing::warn!(%host, %error, "frontier not available, trying again");
            Turn::Trouble
        }
    }
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
        domain: &ActorRef<DomainMessage>,
        host: &Host,
        room: u16,
        cleared: Cleared,
        permit: Permit,
    ) -> Result<Turn, TurnError> {
        let mut cleared = cleared;
        if cleared.n_urls == 0 {
            match self.look(host).await? {
                Some(found) => cleared = found,
                None => return Ok(Turn::Again),
            }
        }
        cleared.delay = cleared.delay.max(self.jobs.manners().delay);
        let permits = self.permits(permit, if cleared.delay.is_zero() { room } else { 1 });
        self.lease(domain, host, cleared, permits).await
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
            let fate = match self.rules(&origin, delay).await? {
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
    async fn rules(&self, origin: &Origin, delay: Duration) -> Result<Result<Arc<RobotsRules>, FailReason>, TurnError> {
        let known = match self.robots.get(origin) {
            Some(known) => known,
            None => {
                let (known, health) = self.robots.find(&self.frontier, origin, delay).await?;
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
        domain: &ActorRef<DomainMessage>,
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
            let window = LeaseWindow::new(self.frontier.clone(), host.clone(), self.window, delay, opened);
            if let Some(early) = self.dispatch(domain, guard, window, permit).await {
                turn = early;
            }
        }
        Ok(turn)
    }

    /// Hands a lease to the fetcher; answers how the turn ends when it could not.
    async fn dispatch(
        &self,
        domain: &ActorRef<DomainMessage>,
        guard: LeaseGuard,
        window: LeaseWindow,
        permit: Permit,
    ) -> Option<Turn> {
        let lease = guard.lease();
        let Some(job) = self.jobs.get(lease.job) else {
            guard.defer(now().after(Duration::from_secs(60))).await;
            return Some(Turn::Again);
        };
        match self.judge_late(&job, lease) {
            Late::Allowed => {}
            Late::Denied => {
                guard.settle(Fate::Skipped(SkipReason::RobotsDenied)).await;
                return Some(Turn::Again);
            }
            Late::Unknown => {
                guard.defer(now()).await;
                return Some(Turn::Again);
            }
        }
        let slot = HostSlot::take(lease.host.clone(), domain.clone());
        let work = Work { guard, job, prior: None };
        let sent = self.fetch.send(FetchTask { work, slot, window: Arc::new(window), permit });
        sent.is_err().then_some(Turn::Trouble)
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
