//! How far behind the earliest allowed moment each request started: the crawl's own check of its politeness, made
//! apart from the gate that it checks. Pure.

use argiope_protocol::Host;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Hosts remembered. When there are more, those whose delay has passed are forgotten: they bound nothing.
const MAX_HOSTS: usize = 16_384;

/// A start, and the time that the next one has to leave after it.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    delay: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    window: u64,
    start: Start,
    before: Option<Start>,
}

/// The last start at each host.
#[derive(Debug, Default)]
pub(super) struct Starts {
    hosts: BTreeMap<Host, Last>,
}

impl Starts {
    /// A request whose start window is `window` starts now. Answers its margin in seconds: start minus earliest allowed,
    /// below zero when it comes too soon; nothing when no start before it bounds it. A window that is asked twice, since
    /// a kept connection turned out closed, is one start, at the later time.
    pub(super) fn observe(&mut self, host: &Host, window: u64, delay: Duration, at: Instant) -> Option<f64> {
        let start = Start { at, delay };
        let before = match self.hosts.get_mut(host) {
            Some(last) => {
                let before = if last.window == window { last.before } else { Some(last.start) };
                *last = Last { window, start, before };
                before
            }
            None => {
                self.make_room(at);
                if self.hosts.len() < MAX_HOSTS {
                    self.hosts.insert(host.clone(), Last { window, start, before: None });
                }
                None
            }
        };
        before.filter(|before| !before.delay.is_zero()).map(|before| {
            let earliest = before.at + before.delay;
            at.saturating_duration_since(earliest).as_secs_f64() - earliest.saturating_duration_since(at).as_secs_f64()
        })
    }

    fn make_room(&mut self, now: Instant) {
        if self.hosts.len() >= MAX_HOSTS {
            self.hosts.retain(|_, last| now < last.start.at + last.start.delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::testing::host;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn margins_are_measured_from_the_start_before() {
        let (zero, a) = (Instant::now(), host("a.example"));
        let at = |millis| zero + Duration::from_millis(millis);
        let mut starts = Starts::default();
        let mut check = |window, delay, millis, expected: Option<f64>| {
            let seen = starts.observe(&a, window, delay, at(millis)).map(|margin| (margin * 1_000.0).round());
            assert_eq!(seen, expected, "window {window} at {millis}");
        };
        check(1, SECOND, 0, None);
        check(2, SECOND, 1_250, Some(250.0));
        // Asked again for the same request: measured from the start before it.
        check(2, SECOND, 1_300, Some(300.0));
        check(3, SECOND * 5, 2_200, Some(-100.0));
        // The delay that was in force is that of the start before.
        check(4, SECOND, 7_200, Some(0.0));
        check(5, Duration::ZERO, 8_200, Some(0.0));
        check(6, SECOND, 8_201, None);
    }

    #[test]
    fn hosts_that_bound_nothing_make_room() {
        let zero = Instant::now();
        let mut starts = Starts::default();
        for n in 0..=MAX_HOSTS {
            starts.observe(&host(&format!("h{n}.example")), 1, SECOND, zero);
        }
        assert_eq!(starts.hosts.len(), MAX_HOSTS);
        starts.observe(&host("late.example"), 1, SECOND, zero + SECOND);
        assert_eq!(starts.hosts.len(), 1);
    }
}
