//! When a failed or stuck stage is started again: a pure decision.
//!
//! Back-off doubles from 100 ms to 10 s. Ten failures within ten minutes use the budget up: then the whole
//! crawl stops, since going on would only hide a defect. A stage that made progress for a minute is healthy
//! again and its back-off starts anew.

use argiope_protocol::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(10);
const BUDGET: usize = 10;
const BUDGET_SPAN: Duration = Duration::from_mins(10);
const HEALTHY_AFTER: Duration = Duration::from_mins(1);

/// What to do about a failed stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this time.
    RestartAfter(Duration),
    /// The budget is used up.
    GiveUp,
}

/// One stage's record of failures.
#[derive(Debug, Default)]
pub struct RestartPolicy {
    failures: VecDeque<Timestamp>,
    in_a_row: u32,
}

impl RestartPolicy {
    /// The stage failed or was found stuck.
    pub fn on_failure(&mut self, now: Timestamp) -> Verdict {
        if self.failures.back().is_some_and(|last| now.since(*last) >= HEALTHY_AFTER) {
            self.in_a_row = 0;
        }
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|first| now.since(*first) > BUDGET_SPAN) {
            self.failures.pop_front();
        }
        if self.failures.len() > BUDGET {
            return Verdict::GiveUp;
        }
        let backoff = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(LAST_BACKOFF);
        self.in_a_row += 1;
        Verdict::RestartAfter(backoff)
    }
}

/// Watches one stage's counter of finished work: alive means "made progress", not "answers".
#[derive(Debug)]
pub struct ProgressWatch {
    last_count: u64,
    since: Timestamp,
}

impl ProgressWatch {
    /// From now on.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { last_count: 0, since: now }
    }

    /// Whether the stage has work and finished none for `patience`.
    pub fn is_stuck(&mut self, finished: u64, has_work: bool, patience: Duration, now: Timestamp) -> bool {
        if finished != self.last_count || !has_work {
            self.last_count = finished;
            self.since = now;
        }
        now.since(self.since) >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_the_budget_ends_it() {
        let mut policy = RestartPolicy::default();
        let verdicts: Vec<_> =
            (0..11).map(|second| policy.on_failure(Timestamp::from_millis(second * 1_000))).collect();
        assert_eq!(verdicts[0], Verdict::RestartAfter(Duration::from_millis(100)));
        assert_eq!(verdicts[3], Verdict::RestartAfter(Duration::from_millis(800)));
        assert_eq!(verdicts[9], Verdict::RestartAfter(LAST_BACKOFF));
        assert_eq!(verdicts[10], Verdict::GiveUp);
    }

    #[test]
    fn a_healthy_minute_forgets_the_backoff() {
        let mut policy = RestartPolicy::default();
        policy.on_failure(Timestamp::ZERO);
        policy.on_failure(Timestamp::from_millis(500));
        assert_eq!(policy.on_failure(Timestamp::from_millis(70_000)), Verdict::RestartAfter(FIRST_BACKOFF));
    }

    #[test]
    fn only_a_stage_with_work_and_no_progress_is_stuck() {
        let patience = Duration::from_secs(60);
        let mut watch = ProgressWatch::new(Timestamp::ZERO);
        assert!(!watch.is_stuck(0, false, patience, Timestamp::from_millis(100_000)));
        assert!(!watch.is_stuck(0, true, patience, Timestamp::from_millis(150_000)));
        assert!(watch.is_stuck(0, true, patience, Timestamp::from_millis(170_000)));
        assert!(!watch.is_stuck(1, true, patience, Timestamp::from_millis(170_001)));
    }
}
