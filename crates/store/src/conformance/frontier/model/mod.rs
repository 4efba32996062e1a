//! A model of the contract in memory, as plain as can be: no counters, no queues, every answer found by looking at
//! all URLs. [`run`] gives a row of operations to a store and to the model and compares every answer.

mod run;

pub use run::run;

use super::{at, host, job_id};
use crate::frontier::{AdmitReport, LeaseAnswer, MAX_LOSSES, SettleAnswer, UrlState};
use argiope_protocol::{
    Candidate, FailReason, Fate, JobCounters, JobId, JobState, LeaseToken, PageKey, SkipReason, Timestamp, UrlSource,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Jobs of a run: two of one tenant, one of another.
pub const N_JOBS: u8 = 3;
/// Hosts of a run.
pub const N_HOSTS: u8 = 2;
/// Small, so that a short row of operations reaches it.
const MAX_PAGES: u64 = 6;
const MAX_ATTEMPTS: u8 = 2;

/// One operation. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Offers URLs: host, path, source, depth.
    Admit(u8, Vec<(u8, u8, UrlSource, u16)>),
    /// Asks for leases: host, leases at once, delay in ms, URLs wanted.
    Lease(u8, u16, u64, u16),
    /// Settles one of the tokens ever given.
    Settle(usize, Fate),
    /// Fails one of the tokens ever given, to be retried after so many ms.
    Retry(usize, u64),
    /// Gives one of the tokens ever given back for so many ms.
    Defer(usize, u64),
    /// Prolongs one of the tokens ever given to so many ms from now.
    Prolong(usize, u64),
    /// Ends queued URLs of a job: host, path.
    Discard(u8, Vec<(u8, u8)>),
    /// Blocks a host for so many ms.
    Block(u8, u64),
    /// Pushes a host's gate by so many ms.
    Push(u8, u64),
    /// Asks for a start without a lease: host, delay in ms.
    Start(u8, u64),
    /// Lets time pass.
    Advance(u64),
    /// Moves a job.
    Move(u8, JobState),
    /// Retries a job's failures.
    RetryFailed(u8),
    /// Looks at a host's queue.
    Peek(u8, usize),
    /// Claims the shard again.
    Reclaim,
    /// The process dies and a new one opens the store.
    Reopen,
}

#[derive(Debug, Clone)]
struct Url {
    candidate: Candidate,
    age: u64,
    attempts: u8,
    losses: u8,
    state: UrlState,
    token: Option<LeaseToken>,
}

impl Url {
    fn rank(&self) -> (u8, u16, u64) {
        (self.candidate.source.band(), self.candidate.depth, self.age)
    }

    fn is_queued(&self) -> bool {
        matches!(self.state, UrlState::Queued { .. })
    }
}

#[derive(Debug)]
struct Job {
    tenant: &'static str,
    state: JobState,
    urls: BTreeMap<PageKey, Url>,
    n_over: u64,
}

#[derive(Debug, Default, Clone)]
struct HostState {
    /// Whether the store ever heard of it: only then an open moves its gate.
    is_known: bool,
    gate: Timestamp,
    block: Timestamp,
    delay: Duration,
    turns: u64,
    last_turns: BTreeMap<u8, u64>,
}

/// The model.
#[derive(Debug)]
struct Model {
    now: Timestamp,
    jobs: Vec<Job>,
    hosts: BTreeMap<u8, HostState>,
    next_age: u64,
}

const FAILED_LOST: UrlState = UrlState::Ended(Fate::Failed(FailReason::LeaseLost, None));
const CANCELLED: UrlState = UrlState::Ended(Fate::Skipped(SkipReason::Cancelled));

impl Model {
    fn new() -> Self {
        let job = |tenant| Job { tenant, state: JobState::Running, urls: BTreeMap::new(), n_over: 0 };
        let jobs = vec![job("a"), job("a"), job("b")];
        let hosts = (0..N_HOSTS).map(|host| (host, HostState::default())).collect();
        Self { now: at(0), jobs, hosts, next_age: 0 }
    }

    fn host(&mut self, number: u8) -> &mut HostState {
        let state = self.hosts.entry(number).or_default();
        state.is_known = true;
        state
    }

    fn counters(&self, job: u8) -> JobCounters {
        let mut counters = JobCounters::default();
        for url in self.jobs[usize::from(job)].urls.values() {
            counters.discovered += 1;
            *match url.state {
                UrlState::Queued { .. } => &mut counters.queued,
                UrlState::Leased { .. } => &mut counters.leased,
                UrlState::Ended(Fate::Stored) => &mut counters.stored,
                UrlState::Ended(Fate::Unchanged) => &mut counters.unchanged,
                UrlState::Ended(Fate::Skipped(_)) => &mut counters.skipped,
                UrlState::Ended(Fate::Failed(..)) => &mut counters.failed,
            } += 1;
        }
        counters
    }

    fn admit(&mut self, job: u8, offer: &[Candidate]) -> AdmitReport {
        let mut report = AdmitReport::default();
        let index = usize::from(job);
        if matches!(self.jobs[index].state, JobState::Finished | JobState::Cancelled) {
            return report;
        }
        for candidate in offer {
            let page = PageKey::of(&candidate.url);
            let at_host = candidate.url.host();
            for (number, state) in &mut self.hosts {
                state.is_known |= host(*number) == at_host;
            }
            if self.jobs[index].urls.contains_key(&page) {
                report.n_seen += 1;
            } else if self.counters(job).pages_in_budget() >= MAX_PAGES {
                report.n_over_budget += 1;
                self.jobs[index].n_over += 1;
            } else {
                let (age, state) = (self.next_age, UrlState::Queued { not_before: self.now });
                self.next_age += 1;
                let url = Url { candidate: candidate.clone(), age, attempts: 0, losses: 0, state, token: None };
                self.jobs[index].urls.insert(page, url);
                for (number, state) in &mut self.hosts {
                    if host(*number) == at_host {
                        state.last_turns.entry(job).or_default();
                    }
                }
                *report.queued.entry(at_host).or_default() += 1;
            }
        }
        report
    }

    /// Open URLs of a host.
    fn at_host(&self, number: u8, job: u8) -> impl Iterator<Item = (&PageKey, &Url)> {
        let host = host(number);
        let urls = self.jobs[usize::from(job)].urls.iter();
        urls.filter(move |(_, url)| url.candidate.url.host() == host && !matches!(url.state, UrlState::Ended(_)))
    }

    fn take_back(&mut self, is_taken: impl Fn(&Url, Timestamp) -> bool) {
        let now = self.now;
        for job in &mut self.jobs {
            for url in job.urls.values_mut().filter(|url| url.token.is_some() && is_taken(url, now)) {
                url.token = None;
                url.attempts -= 1;
                url.losses += 1;
                url.state = match job.state {
                    _ if url.losses >= MAX_LOSSES => FAILED_LOST,
                    JobState::Cancelled => CANCELLED,
                    _ => UrlState::Queued { not_before: now },
                };
            }
        }
    }

    /// Running jobs with something queued at the host, the next to be served first.
    fn turns(&self, number: u8, last_turns: &BTreeMap<u8, u64>) -> Vec<u8> {
        let tenant_last = |tenant: &str| {
            let of_tenant = last_turns.iter().filter(|(job, _)| self.jobs[usize::from(**job)].tenant == tenant);
            of_tenant.map(|(_, turn)| *turn).max()
        };
        let mut jobs: Vec<u8> = last_turns.keys().copied().collect();
        jobs.retain(|job| self.jobs[usize::from(*job)].state == JobState::Running);
        jobs.retain(|job| self.at_host(number, *job).any(|(_, url)| url.is_queued()));
        let tenant = |job: &u8| self.jobs[usize::from(*job)].tenant;
        jobs.sort_by_key(|job| (tenant_last(tenant(job)), tenant(job), last_turns.get(job).copied(), *job));
        jobs
    }

    fn best(&self, number: u8, job: u8, without: &BTreeSet<(u8, PageKey)>) -> Option<PageKey> {
        let is_due = |url: &Url| matches!(url.state, UrlState::Queued { not_before } if not_before <= self.now);
        let due = self.at_host(number, job).filter(|(page, url)| is_due(url) && !without.contains(&(job, **page)));
        due.min_by_key(|(_, url)| url.rank()).map(|(page, _)| *page)
    }

    /// The expected answer; of a granted lease only job, page and attempt.
    fn lease(&mut self, number: u8, max_in_flight: u16, delay: Duration) -> Result<(u8, PageKey, u8), LeaseAnswer> {
        let name = host(number);
        let is_due = |url: &Url, now| {
            url.candidate.url.host() == name && matches!(url.state, UrlState::Leased { deadline } if deadline <= now)
        };
        self.take_back(is_due);
        let state = self.hosts[&number].clone();
        let not_before = state.gate.max(state.block);
        if not_before > self.now {
            return Err(LeaseAnswer::NotBefore(not_before));
        }
        let jobs = 0..N_JOBS;
        let n_out =
            jobs.map(|job| self.at_host(number, job).filter(|(_, url)| url.token.is_some()).count()).sum::<usize>();
        if n_out >= usize::from(max_in_flight) {
            return Err(LeaseAnswer::Busy);
        }
        let is_dead = |model: &Self, job: u8| {
            let state = model.jobs[usize::from(job)].state;
            matches!(state, JobState::Finished | JobState::Cancelled) && model.at_host(number, job).next().is_none()
        };
        let dead: Vec<u8> = (0..N_JOBS).filter(|job| is_dead(self, *job)).collect();
        let mut last_turns = self.hosts[&number].last_turns.clone();
        last_turns.retain(|job, _| !dead.contains(job));
        if state.is_known {
            self.host(number).last_turns.clone_from(&last_turns);
        }
        let turns = self.turns(number, &last_turns);
        for job in &turns {
            if let Some(page) = self.best(number, *job, &BTreeSet::new()) {
                let gate = self.now.after(delay);
                let state = self.host(number);
                state.turns += 1;
                state.last_turns.insert(*job, state.turns);
                (state.gate, state.delay) = (state.gate.max(gate), delay);
                let attempt = self.jobs[usize::from(*job)].urls[&page].attempts + 1;
                return Ok((*job, page, attempt));
            }
        }
        let queued = turns.iter().flat_map(|job| self.at_host(number, *job).map(|(_, url)| &url.state));
        let times = queued.filter_map(|state| match state {
            UrlState::Queued { not_before } => Some(*not_before),
            UrlState::Leased { .. } | UrlState::Ended(_) => None,
        });
        Err(times.min().map_or(LeaseAnswer::Empty, LeaseAnswer::NotBefore))
    }

    fn peek(&self, number: u8, limit: usize) -> Vec<(JobId, PageKey)> {
        let mut last_turns = self.hosts[&number].last_turns.clone();
        last_turns.retain(|job, _| {
            let is_final = matches!(self.jobs[usize::from(*job)].state, JobState::Finished | JobState::Cancelled);
            !is_final || self.at_host(number, *job).next().is_some()
        });
        let mut clock = last_turns.values().copied().max().unwrap_or_default();
        let (mut turns, mut taken, mut list) = (self.turns(number, &last_turns), BTreeSet::new(), Vec::new());
        while list.len() < limit {
            let Some((job, page)) = turns.iter().find_map(|job| Some((*job, self.best(number, *job, &taken)?))) else {
                break;
            };
            taken.insert((job, page));
            list.push((job_id(job), page));
            clock += 1;
            last_turns.insert(job, clock);
            turns = self.turns(number, &last_turns);
        }
        list
    }

    fn leased(&mut self, token: LeaseToken) -> Option<(JobState, &mut Url)> {
        self.jobs.iter_mut().find_map(|job| {
            let state = job.state;
            job.urls.values_mut().find(|url| url.token == Some(token)).map(|url| (state, url))
        })
    }

    fn settle(&mut self, token: LeaseToken, fate: Fate) -> SettleAnswer {
        let now = self.now;
        let Some((_, url)) = self.leased(token) else { return SettleAnswer::Stale };
        if let Fate::Failed(reason, retry_at) = fate
            && reason.is_worth_retrying()
            && url.attempts < MAX_ATTEMPTS
        {
            let seconds = 5 * (1 << url.attempts);
            return self.requeue(token, retry_at.unwrap_or_else(|| now.after(Duration::from_secs(seconds))));
        }
        (url.token, url.state) = (None, UrlState::Ended(fate));
        SettleAnswer::Ended
    }

    fn prolong(&mut self, token: LeaseToken, to: Timestamp) -> u32 {
        let Some((_, url)) = self.leased(token) else { return 0 };
        if let UrlState::Leased { deadline } = &mut url.state {
            *deadline = to.max(*deadline);
        }
        1
    }

    fn requeue(&mut self, token: LeaseToken, not_before: Timestamp) -> SettleAnswer {
        let Some((job, url)) = self.leased(token) else { return SettleAnswer::Stale };
        url.token = None;
        url.state = if job == JobState::Cancelled { CANCELLED } else { UrlState::Queued { not_before } };
        if job == JobState::Cancelled { SettleAnswer::Ended } else { SettleAnswer::Requeued { not_before } }
    }

    fn move_job(&mut self, job: u8, to: JobState) {
        let is_done = self.counters(job).is_finished();
        let job = &mut self.jobs[usize::from(job)];
        let is_final = matches!(job.state, JobState::Finished | JobState::Cancelled);
        if is_final || (to == JobState::Finished && !is_done) {
            return;
        }
        job.state = to;
        if to == JobState::Cancelled {
            job.urls.values_mut().filter(|url| url.is_queued()).for_each(|url| url.state = CANCELLED);
        }
    }

    fn retry_failed(&mut self, number: u8) -> u64 {
        let job = &mut self.jobs[usize::from(number)];
        let failed = job.urls.values_mut().filter(|url| matches!(url.state, UrlState::Ended(Fate::Failed(..))));
        if job.state == JobState::Cancelled {
            return 0;
        }
        let mut n_retried = 0;
        for url in failed {
            n_retried += 1;
            (url.attempts, url.losses) = (0, 0);
            url.state = UrlState::Queued { not_before: self.now };
            for (at, state) in &mut self.hosts {
                if host(*at) == url.candidate.url.host() {
                    state.last_turns.entry(number).or_default();
                }
            }
        }
        if n_retried > 0 {
            job.state = JobState::Running;
        }
        n_retried
    }
}
