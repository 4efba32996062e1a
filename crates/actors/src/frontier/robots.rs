//! Which rules hold for an origin: in memory, in the frontier, or fetched (RFC 9309).
//!
//! Every request for a robots.txt, its redirects included, starts by the right of its host's gate like any other.

use super::owner::Frontier;
use super::slot::Health;
use super::window::{LeaseWindow, wait_for_start};
use crate::job::JobRuntime;
use crate::support::now;
use argiope_content::robots::{MAX_ROBOTS_BYTES, RobotsRules, StatusMeaning, status_meaning};
use argiope_egress::{Accept, FetchError, FetchRequest, FetchResponse, GuardedClient};
use argiope_protocol::{CanonicalUrl, FailReason, Origin, Timestamp, Validators};
use argiope_store::frontier::{RobotsOutcome, RobotsRecord, StartAnswer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// RFC 9309 §2.4: a cached copy should not be used for more than 24 hours.
const MAX_AGE: Duration = Duration::from_hours(24);
/// RFC 9309 §2.3.1.2: at least five redirects.
const MAX_REDIRECTS: usize = 5;
/// Tries before the URLs of an origin whose robots.txt cannot be read are given up.
const MAX_TRIES: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Pause after a request that lost its right to start, when nothing says how long.
const NOT_SENT_PAUSE: Duration = Duration::from_millis(500);
/// Origins kept in memory; the oldest fetch goes first.
const MAX_ORIGINS: usize = 10_000;

/// What is known of an origin.
#[derive(Clone)]
pub(super) enum Known {
    /// These rules hold.
    Rules(Arc<RobotsRules>),
    /// The file could not be read; try again then.
    RetryAt(Timestamp),
    /// The file could not be read several times: its URLs fail for this reason.
    Unreachable(FailReason),
    /// The host's gate opens then.
    NotBefore(Timestamp),
}

struct Entry {
    known: Known,
    fetched_at: Timestamp,
    n_tries: u32,
}

/// Rules of the origins of this node. Cheap to clone.
#[derive(Clone)]
pub struct RobotsCache {
    client: Arc<GuardedClient>,
    token: Arc<str>,
    window: Duration,
    entries: Arc<Mutex<BTreeMap<Origin, Entry>>>,
}

/// How one fetch ended.
struct Fetched {
    outcome: RobotsOutcome,
    failure: Option<FailReason>,
    health: Health,
    /// Nothing was sent: try again then, which is no try at the origin.
    not_sent: Option<Duration>,
}

impl RobotsCache {
    /// An empty cache that fetches through `client` and reads the rules for `token`.
    #[must_use]
    pub fn new(client: Arc<GuardedClient>, token: &str, window: Duration) -> Self {
        Self { client, token: token.into(), window, entries: Arc::default() }
    }

    /// What is known without asking the network or the store; `None` when nothing is, or it is too old.
    pub(super) fn get(&self, origin: &Origin) -> Option<Known> {
        let entries = self.lock();
        let entry = entries.get(origin)?;
        let is_fresh = match &entry.known {
            Known::Rules(_) => now().since(entry.fetched_at) < MAX_AGE,
            Known::RetryAt(at) | Known::NotBefore(at) => now() < *at,
            Known::Unreachable(_) => now().since(entry.fetched_at) < FIRST_RETRY * 30,
        };
        is_fresh.then(|| entry.known.clone())
    }

    /// Finds the rules of an origin, by a fetch for the job when nobody knows them.
    pub(super) async fn find(
        &self,
        frontier: &Frontier,
        job: &Arc<JobRuntime>,
        origin: &Origin,
        delay: Duration,
    ) -> argiope_store::Result<(Known, Health)> {
        if let Some(record) = frontier.robots(origin).await?
            && now().since(record.fetched_at) < MAX_AGE
            && let Some(rules) = self.rules_of(&record.outcome, origin)
        {
            return Ok((self.keep(origin, Known::Rules(rules), record.fetched_at, 0), Health::Unknown));
        }
        let opened = Instant::now();
        if let StartAnswer::NotBefore(at) = frontier.start(&origin.host, self.window, delay).await? {
            return Ok((Known::NotBefore(at), Health::Unknown));
        }
        let fetched = self.fetch((frontier, job), origin, delay, opened).await;
        frontier.push_gate(&origin.host, now().after(delay)).await?;
        let fetched_at = now();
        if let Some(rules) = self.rules_of(&fetched.outcome, origin) {
            frontier.put_robots(origin, &RobotsRecord { fetched_at, outcome: fetched.outcome }).await?;
            return Ok((self.keep(origin, Known::Rules(rules), fetched_at, 0), fetched.health));
        }
        let n_tries = self.lock().get(origin).map_or(0, |entry| entry.n_tries);
        if let Some(pause) = fetched.not_sent {
            let known = Known::RetryAt(fetched_at.after(pause));
            return Ok((self.keep(origin, known, fetched_at, n_tries), fetched.health));
        }
        let n_tries = n_tries + 1;
        let reason = fetched.failure.unwrap_or(FailReason::RobotsUnreachable);
        let is_final = n_tries >= MAX_TRIES || !reason.is_worth_retrying();
        let known = if is_final {
            Known::Unreachable(reason)
        } else {
            Known::RetryAt(fetched_at.after(FIRST_RETRY * 2_u32.pow(n_tries)))
        };
        Ok((self.keep(origin, known, fetched_at, n_tries), fetched.health))
    }

    fn rules_of(&self, outcome: &RobotsOutcome, origin: &Origin) -> Option<Arc<RobotsRules>> {
        match outcome {
            RobotsOutcome::Rules(body) => Some(Arc::new(RobotsRules::parse(body, origin, &self.token))),
            RobotsOutcome::AllowAll => Some(Arc::new(RobotsRules::allow_all())),
            RobotsOutcome::DisallowAll { .. } => None,
        }
    }

    fn keep(&self, origin: &Origin, known: Known, fetched_at: Timestamp, n_tries: u32) -> Known {
        let mut entries = self.lock();
        if entries.len() >= MAX_ORIGINS
            && let Some(oldest) =
                entries.iter().min_by_key(|(_, entry)| entry.fetched_at).map(|(origin, _)| origin.clone())
        {
            entries.remove(&oldest);
        }
        entries.insert(origin.clone(), Entry { known: known.clone(), fetched_at, n_tries });
        known
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Origin, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(
        &self,
        (frontier, job): (&Frontier, &Arc<JobRuntime>),
        origin: &Origin,
        delay: Duration,
        opened: Instant,
    ) -> Fetched {
        let Ok(mut url) = CanonicalUrl::parse(&format!("{}/robots.txt", origin.to_url_prefix())) else {
            return Fetched::disallow("invalid origin", None, Health::Unknown);
        };
        let mut opened = opened;
        for _ in 0..=MAX_REDIRECTS {
            let host = url.host();
            let window = LeaseWindow::new(frontier.clone(), host, (self.window, delay), Arc::clone(job), Some(opened));
            let request = FetchRequest {
                url: url.clone(),
                validators: Validators::default(),
                accept: Accept::Robots,
                max_body_bytes: MAX_ROBOTS_BYTES as u64,
                window: Arc::new(window),
            };
            let response = match self.client.fetch(request).await {
                Ok(response) => response,
                Err(error) => return Fetched::from_error(&error),
            };
            match response.location.as_deref().filter(|_| status_meaning(response.status) == StatusMeaning::Redirect) {
                None => return Fetched::from_answer(response),
                Some(location) => match self.follow(frontier, &url, location, delay).await {
                    Some((next, at)) => (url, opened) = (next, at),
                    // RFC 9309 §2.3.1.2: too many redirects, or none that can be followed, count as unavailable.
                    None => return Fetched::allow_all(),
                },
            }
        }
        Fetched::allow_all()
    }

    /// The next hop, after its host's gate gave the right to start.
    async fn follow(
        &self,
        frontier: &Frontier,
        from: &CanonicalUrl,
        location: &str,
        delay: Duration,
    ) -> Option<(CanonicalUrl, Instant)> {
        let next = CanonicalUrl::join(from.as_url(), location).ok()?;
        if next.host() == from.host() {
            frontier.push_gate(&next.host(), now().after(delay)).await.ok()?;
        }
        let opened = wait_for_start(frontier, &next.host(), self.window, delay).await?;
        Some((next, opened))
    }
}

impl Fetched {
    fn disallow(why: &str, failure: Option<FailReason>, health: Health) -> Self {
        Self { outcome: RobotsOutcome::DisallowAll { why: why.to_owned() }, failure, health, not_sent: None }
    }

    const fn allow_all() -> Self {
        Self { outcome: RobotsOutcome::AllowAll, failure: None, health: Health::Fine, not_sent: None }
    }

    fn from_error(error: &FetchError) -> Self {
        if error.gives_lease_back() {
            let pause = error.retry_after().unwrap_or(NOT_SENT_PAUSE);
            return Self { not_sent: Some(pause), ..Self::disallow(error.reason().code(), None, Health::Unknown) };
        }
        let is_of_the_file = matches!(
            error.reason(),
            FailReason::BodyTooLarge
                | FailReason::ContentEncoding
                | FailReason::DecompressionBomb
                | FailReason::HeadersTooLarge
        );
        let failure = if is_of_the_file { FailReason::RobotsUnreachable } else { error.reason() };
        Self::disallow(failure.code(), Some(failure), Health::Trouble)
    }

    fn from_answer(response: FetchResponse) -> Self {
        match status_meaning(response.status) {
            StatusMeaning::Rules => Self { outcome: RobotsOutcome::Rules(response.body.to_vec()), ..Self::allow_all() },
            // A redirect without a target is as good as none.
            StatusMeaning::AllowAll | StatusMeaning::Redirect => Self::allow_all(),
            StatusMeaning::DisallowAll => {
                let health = if response.retry_after.is_some() {
                    Health::Overloaded(response.retry_after)
                } else {
                    Health::Trouble
                };
                Self::disallow(&format!("status {}", response.status), None, health)
            }
        }
    }
}
