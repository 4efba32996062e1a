//! Whether the server is called at all: not while it asked to be left alone, and seldom while it is away.

use std::time::{Duration, Instant};

/// Failures in a row after which the server counts as away.
const MAX_FAILURES: u32 = 5;
/// First pause between two attempts at a server that is away; each failed attempt doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause: a crawl goes on soon after the server is back.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that the server may ask for.
const MAX_REQUESTED: Duration = Duration::from_secs(60);

/// What a caller may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Call.
    Open,
    /// Call after this time: the server asked for it.
    Paused(Duration),
    /// The server is away; the next attempt is after this time.
    Away(Duration),
}

/// Counts failures. Pure: the clock is a parameter.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    n_failures: u32,
    next_attempt: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Breaker {
    /// Asks before a call. While the server is away, the caller that is let through is the only one until `attempt`
    /// has passed.
    pub(super) fn ask(&mut self, now: Instant, attempt: Duration) -> Gate {
        if let Some(wait) = self.paused_until.and_then(|until| left(until, now)) {
            return Gate::Paused(wait);
        }
        if self.n_failures < MAX_FAILURES {
            return Gate::Open;
        }
        if let Some(wait) = self.next_attempt.and_then(|next| left(next, now)) {
            return Gate::Away(wait);
        }
        self.next_attempt = now.checked_add(attempt);
        Gate::Open
    }

    /// The server answered, with whatever.
    pub(super) const fn answered(&mut self) {
        self.n_failures = 0;
        self.next_attempt = None;
    }

    /// It asked for a pause.
    pub(super) fn paused(&mut self, now: Instant, wait: Duration) {
        self.paused_until = now.checked_add(wait.min(MAX_REQUESTED)).max(self.paused_until);
    }

    /// It did not answer.
    pub(super) fn failed(&mut self, now: Instant) {
        self.n_failures = self.n_failures.saturating_add(1);
        let doublings = self.n_failures.saturating_sub(MAX_FAILURES).min(8);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE);
        self.next_attempt = now.checked_add(pause);
    }
}

fn left(until: Instant, now: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_server_that_is_away_is_tried_by_one_caller_at_a_time_and_ever_more_seldom() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..MAX_FAILURES {
            assert_eq!(breaker.ask(now, SECOND), Gate::Open);
            breaker.failed(now);
        }
        assert_eq!(breaker.ask(now, SECOND), Gate::Away(FIRST_PAUSE));
        now += FIRST_PAUSE;
        assert_eq!(breaker.ask(now, SECOND), Gate::Open);
        assert_eq!(breaker.ask(now, SECOND), Gate::Away(SECOND), "somebody tries already");
        breaker.failed(now);
        assert_eq!(breaker.ask(now, SECOND), Gate::Away(FIRST_PAUSE * 2));
        (0..20).for_each(|_| breaker.failed(now));
        assert_eq!(breaker.ask(now, SECOND), Gate::Away(MAX_PAUSE));
        breaker.answered();
        assert_eq!(breaker.ask(now, SECOND), Gate::Open);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_is_kept_and_bounded() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.paused(now, SECOND * 3);
        breaker.paused(now, SECOND);
        assert_eq!(breaker.ask(now, SECOND), Gate::Paused(SECOND * 3));
        assert_eq!(breaker.ask(now + SECOND * 3, SECOND), Gate::Open);
        breaker.paused(now, SECOND * 9_999);
        assert_eq!(breaker.ask(now, SECOND), Gate::Paused(MAX_REQUESTED));
    }
}
