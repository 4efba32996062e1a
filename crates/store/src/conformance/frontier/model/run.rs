//! Gives operations to a store and to the model, and compares.

use super::{MAX_ATTEMPTS, MAX_PAGES, Model, N_HOSTS, N_JOBS, Operation, Url};
use crate::FrontierStore;
use crate::conformance::frontier::{FrontierFactory, at, claim, host, job_id, request, spec, url};
use crate::frontier::{LeaseAnswer, LeaseRequest, RejectTally, StartAnswer, UrlEntry, UrlFilter, UrlState};
use argiope_protocol::{
    Candidate, Claim, FailReason, Fate, JobState, Lease, LeaseToken, PageKey, RejectReason, SkipReason, Timestamp,
    UrlKind, UrlSource,
};
use std::sync::Arc;
use std::time::Duration;

/// A store and the model beside it.
struct Run<'f> {
    factory: &'f dyn FrontierFactory,
    store: Arc<dyn FrontierStore>,
    claim: Claim,
    model: Model,
    tokens: Vec<LeaseToken>,
}

/// Gives the operations to the store and the model; panics where they differ.
pub async fn run(factory: &dyn FrontierFactory, operations: &[Operation]) {
    let store = factory.open(at(0)).await;
    let model = Model::new();
    for (number, job) in (0..).zip(&model.jobs) {
        let mut spec = spec(job.tenant, MAX_PAGES);
        spec.limits.max_attempts = MAX_ATTEMPTS;
        store.create_job(job_id(number), &spec, at(0)).await.expect("made");
    }
    let claim = claim(&*store, at(0)).await;
    let mut run = Run { factory, store, claim, model, tokens: Vec::new() };
    for operation in operations {
        run = run.step(operation).await;
        run.compare().await;
    }
    assert_eq!(run.store.verify().await.expect("verified"), Vec::<String>::new());
}

impl Run<'_> {
    async fn step(mut self, operation: &Operation) -> Self {
        let now = self.model.now;
        let after = |millis: u64| now.after(Duration::from_millis(millis));
        match operation {
            Operation::Admit(job, urls) => self.admit(*job % N_JOBS, urls).await,
            Operation::Lease(at, max, delay, n) => {
                self.lease(*at % N_HOSTS, *max, Duration::from_millis(*delay), *n).await;
            }
            Operation::Settle(token, fate) => self.settle(*token, *fate).await,
            Operation::Retry(token, wait) => {
                self.settle(*token, Fate::Failed(FailReason::Timeout, Some(after(*wait)))).await;
            }
            Operation::Prolong(token, wait) => self.prolong(*token, after(*wait)).await,
            Operation::Defer(token, wait) => self.defer(*token, after(*wait)).await,
            Operation::Discard(job, urls) => self.discard(*job % N_JOBS, urls).await,
            Operation::Block(at, wait) => {
                let at = *at % N_HOSTS;
                self.store.block_host(&self.claim, &host(at), after(*wait)).await.expect("blocked");
                let state = self.model.host(at);
                state.block = state.block.max(after(*wait));
            }
            Operation::Push(at, wait) => {
                let at = *at % N_HOSTS;
                self.store.push_gate(&self.claim, &host(at), after(*wait)).await.expect("pushed");
                let state = self.model.host(at);
                state.gate = state.gate.max(after(*wait));
            }
            Operation::Start(at, delay) => self.start(*at % N_HOSTS, Duration::from_millis(*delay)).await,
            Operation::Advance(millis) => self.model.now = after(*millis),
            Operation::Move(job, state) => {
                let job = *job % N_JOBS;
                self.store.set_job_state(job_id(job), *state, now).await.expect("moved");
                self.model.move_job(job, *state);
            }
            Operation::RetryFailed(job) => {
                let job = *job % N_JOBS;
                let answer = self.store.retry_failed(job_id(job), now).await.expect("retried");
                assert_eq!(answer, self.model.retry_failed(job));
            }
            Operation::Peek(at, limit) => self.peek(*at % N_HOSTS, *limit).await,
            Operation::Reclaim => self.claim = claim(&*self.store, now).await,
            Operation::Reopen => return self.reopen().await,
        }
        self
    }

    async fn admit(&mut self, job: u8, urls: &[(u8, u8, UrlSource, u16)]) {
        let candidate = |(at, path, source, depth): &(u8, u8, UrlSource, u16)| Candidate {
            url: url(*at % N_HOSTS, *path),
            kind: UrlKind::Page,
            source: *source,
            depth: *depth,
            redirect_chain: Vec::new(),
        };
        let offer: Vec<Candidate> = urls.iter().map(candidate).collect();
        let expected = self.model.admit(job, &offer);
        let answer = self.store.admit(&self.claim, job_id(job), offer, RejectTally::default(), self.model.now).await;
        assert_eq!(answer.expect("admitted"), expected);
    }

    async fn lease(&mut self, at: u8, max_in_flight: u16, delay: Duration, max_urls: u16) {
        let wanted = LeaseRequest { delay, max_urls, ..request(at, max_in_flight) };
        let answer = self.store.lease(&self.claim, &wanted, self.model.now).await.expect("answered");
        let LeaseAnswer::Granted(leases) = answer else {
            let expected = self.model.lease(at, max_in_flight, delay).expect_err("the model grants a lease");
            return assert_eq!(answer, expected);
        };
        let n_granted = leases.len();
        for lease in leases {
            self.granted(at, max_in_flight, &wanted, &lease);
        }
        let n_most = if delay.is_zero() { usize::from(max_urls) } else { 1 };
        assert!((1..=n_most).contains(&n_granted), "{n_granted} leases");
        if n_granted < n_most {
            self.model.lease(at, max_in_flight, delay).expect_err("the model grants one more lease");
        }
    }

    fn granted(&mut self, at: u8, max_in_flight: u16, wanted: &LeaseRequest, lease: &Lease) {
        let expected = self.model.lease(at, max_in_flight, wanted.delay);
        let (job, page, attempt) = expected.expect("the store granted a lease");
        assert_eq!((lease.job, PageKey::of(&lease.candidate.url), lease.attempt), (job_id(job), page, attempt));
        assert!(self.tokens.iter().all(|token| *token < lease.token), "tokens grow");
        self.tokens.push(lease.token);
        let now = self.model.now;
        if let Some(url) = self.model.jobs[usize::from(job)].urls.get_mut(&page) {
            let deadline = now.after(wanted.visibility);
            (url.attempts, url.token, url.state) = (attempt, Some(lease.token), UrlState::Leased { deadline });
            assert_eq!((lease.deadline, &lease.candidate), (deadline, &url.candidate));
        }
    }

    /// One of the tokens ever given, newer ones more often.
    fn token(&self, number: usize) -> Option<LeaseToken> {
        let n_recent = self.tokens.len().min(4);
        (n_recent > 0).then(|| self.tokens[self.tokens.len() - 1 - number % n_recent])
    }

    async fn settle(&mut self, token: usize, fate: Fate) {
        let Some(token) = self.token(token) else { return };
        let answer = self.store.settle(&self.claim, token, fate, self.model.now).await.expect("settled");
        assert_eq!(answer, self.model.settle(token, fate));
    }

    async fn prolong(&mut self, token: usize, to: Timestamp) {
        let Some(token) = self.token(token) else { return };
        let answer = self.store.prolong(&self.claim, vec![token], to).await.expect("prolonged");
        assert_eq!(answer, self.model.prolong(token, to));
    }

    async fn defer(&mut self, token: usize, not_before: Timestamp) {
        let Some(token) = self.token(token) else { return };
        let answer = self.store.defer(&self.claim, token, not_before, self.model.now).await.expect("deferred");
        if let Some((_, url)) = self.model.leased(token) {
            url.attempts -= 1;
        }
        assert_eq!(answer, self.model.requeue(token, not_before));
    }

    async fn discard(&mut self, job: u8, urls: &[(u8, u8)]) {
        let fate = Fate::Skipped(SkipReason::RobotsDenied);
        let pages: Vec<PageKey> = urls.iter().map(|(at, path)| PageKey::of(&url(*at % N_HOSTS, *path))).collect();
        let answer = self.store.discard(&self.claim, job_id(job), pages.clone(), fate, self.model.now).await;
        let mut n_ended = 0;
        for page in pages {
            let url = self.model.jobs[usize::from(job)].urls.get_mut(&page);
            if let Some(url) = url.filter(|url| url.is_queued()) {
                url.state = UrlState::Ended(fate);
                n_ended += 1;
            }
        }
        assert_eq!(answer.expect("discarded"), n_ended);
    }

    async fn start(&mut self, at: u8, delay: Duration) {
        let now = self.model.now;
        let answer = self.store.start(&self.claim, &host(at), Duration::ZERO, delay, now).await.expect("answered");
        let state = self.model.host(at);
        let not_before = state.gate.max(state.block);
        if not_before > now {
            return assert_eq!(answer, StartAnswer::NotBefore(not_before));
        }
        assert_eq!(answer, StartAnswer::Granted);
        (state.gate, state.delay) = (state.gate.max(now.after(delay)), delay);
    }

    async fn peek(&self, at: u8, limit: usize) {
        let answer = self.store.peek(&self.claim, &host(at), limit, self.model.now).await.expect("peeked");
        let pages: Vec<_> = answer.iter().map(|(job, candidate)| (*job, PageKey::of(&candidate.url))).collect();
        assert_eq!(pages, self.model.peek(at, limit));
    }

    async fn reopen(mut self) -> Self {
        drop(self.store);
        self.store = self.factory.open(self.model.now).await;
        let now = self.model.now;
        let old = std::mem::replace(&mut self.claim, claim(&*self.store, now).await);
        assert!(self.claim.epoch > old.epoch, "the epoch grows at every open");
        if self.factory.dies_with_its_process() {
            self.model.take_back(|_, _| true);
        }
        for state in self.model.hosts.values_mut().filter(|state| state.is_known) {
            state.gate = state.gate.max(now.after(state.delay));
        }
        self
    }

    /// Ledgers, URLs and hosts.
    async fn compare(&self) {
        for (number, job) in (0..).zip(&self.model.jobs) {
            let record = self.store.job(job_id(number)).await.expect("there");
            assert!(record.counters.is_balanced());
            assert_eq!((record.counters, record.state), (self.model.counters(number), job.state));
            assert_eq!(record.rejected.get(&RejectReason::OverBudget).copied().unwrap_or_default(), job.n_over);
            let listed = self.store.list_urls(job_id(number), UrlFilter::All, None, 1_000).await.expect("listed");
            let entry = |url: &Url| UrlEntry {
                candidate: url.candidate.clone(),
                attempts: url.attempts,
                state: url.state.clone(),
            };
            let expected: Vec<_> = job.urls.iter().map(|(page, url)| (*page, entry(url))).collect();
            assert_eq!(listed, expected);
        }
        let summaries = self.store.hosts(&self.claim, self.model.now).await.expect("listed");
        let found: Vec<_> = summaries.into_iter().map(|s| (s.host, s.n_queued, s.n_leased, s.not_before)).collect();
        let mut expected = Vec::new();
        for (number, state) in &self.model.hosts {
            let urls = || (0..N_JOBS).flat_map(|job| self.model.at_host(*number, job).map(move |(_, url)| (job, url)));
            let is_running = |job: u8| self.model.jobs[usize::from(job)].state == JobState::Running;
            let n_queued = urls().filter(|(job, url)| url.is_queued() && is_running(*job)).count() as u64;
            let n_leased = u32::try_from(urls().filter(|(_, url)| url.token.is_some()).count()).unwrap_or(u32::MAX);
            if urls().next().is_some() {
                expected.push((host(*number), n_queued, n_leased, state.gate.max(state.block)));
            }
        }
        assert_eq!(found, expected);
    }
}
