//! Was a crawl polite? Judged from the origin's access log alone (P-polite).

use crate::access_log::LogEntry;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What was promised to every host.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Time between two starts at one host.
    pub delay: Duration,
    /// Requests at once to one host.
    pub per_host: usize,
    /// How much earlier than allowed a request may seem to start: the time between the crawler's writing of a
    /// request and the origin's reading of it differs from one request to the next.
    pub tolerance: Duration,
}

impl Rules {
    /// Rules with a tolerance of 5 ms, which covers loopback on a busy machine.
    #[must_use]
    pub const fn new(delay: Duration, per_host: usize) -> Self {
        Self { delay, per_host, tolerance: Duration::from_millis(5) }
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The host.
    pub host: String,
    /// The request that should have waited.
    pub path: String,
    /// When it started, in the log's microseconds.
    pub start_micros: u64,
    /// What was wrong.
    pub kind: Kind,
}

/// What can be wrong about a request's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It came too soon after the one before.
    TooSoon {
        /// Time since the start before it.
        gap_micros: u64,
        /// Time there should have been.
        wanted_micros: u64,
    },
    /// Too many requests were under way.
    TooMany {
        /// This one included.
        at_once: usize,
        /// Allowed.
        allowed: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Duration::from_micros(self.start_micros);
        write!(f, "{} at {:.6} s {}: ", self.host, at.as_secs_f64(), self.path)?;
        match self.kind {
            Kind::TooSoon { gap_micros, wanted_micros } => {
                write!(f, "started {gap_micros} µs after the one before, {wanted_micros} µs were promised")
            }
            Kind::TooMany { at_once, allowed } => write!(f, "{at_once} requests at once, {allowed} were promised"),
        }
    }
}

/// All violations, by host and time. The log may be in any order.
#[must_use]
pub fn check(log: &[LogEntry], rules: &Rules) -> Vec<Violation> {
    let mut hosts: BTreeMap<&str, Vec<&LogEntry>> = BTreeMap::new();
    for entry in log {
        hosts.entry(&entry.host).or_default().push(entry);
    }
    hosts.into_values().flat_map(|entries| check_host(entries, rules)).collect()
}

fn check_host(mut entries: Vec<&LogEntry>, rules: &Rules) -> Vec<Violation> {
    entries.sort_by_key(|entry| entry.start_micros);
    let wanted_micros = micros(rules.delay);
    let tolerance = micros(rules.tolerance);
    let mut violations = Vec::new();
    let mut previous: Option<u64> = None;
    let mut running_until: Vec<u64> = Vec::new();
    for entry in entries {
        let violation = |kind| Violation {
            host: entry.host.clone(),
            path: entry.path.clone(),
            start_micros: entry.start_micros,
            kind,
        };
        if let Some(gap_micros) = previous.map(|previous| entry.start_micros - previous)
            && gap_micros.saturating_add(tolerance) < wanted_micros
        {
            violations.push(violation(Kind::TooSoon { gap_micros, wanted_micros }));
        }
        previous = Some(entry.start_micros);
        // An end that is at most the tolerance later than this start is taken for the same instant.
        running_until.retain(|end| *end > entry.start_micros.saturating_add(tolerance));
        running_until.push(entry.end_micros);
        let (at_once, allowed) = (running_until.len(), rules.per_host);
        if at_once > allowed {
            violations.push(violation(Kind::TooMany { at_once, allowed }));
        }
    }
    violations
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    /// `requests`: host, start and end in ms. `expected`: start in ms and whether it was too soon, else too many.
    fn check_log(delay_ms: u64, per_host: usize, requests: &[(&str, u64, u64)], expected: &[(u64, bool)]) {
        let entry = |(host, start, end): &(&str, u64, u64)| LogEntry {
            host: (*host).to_owned(),
            path: "/".to_owned(),
            start_micros: start * MS,
            end_micros: end * MS,
            status: 200,
            connection: 1,
            user_agent: String::new(),
        };
        let log: Vec<LogEntry> = requests.iter().map(entry).collect();
        let found: Vec<(u64, bool)> = check(&log, &Rules::new(Duration::from_millis(delay_ms), per_host))
            .iter()
            .map(|v| (v.start_micros / MS, matches!(v.kind, Kind::TooSoon { .. })))
            .collect();
        assert_eq!(found, expected, "{requests:?}");
    }

    #[test]
    fn a_polite_log_is_found_polite() {
        check_log(1000, 1, &[], &[]);
        check_log(1000, 1, &[("a", 0, 10), ("a", 1000, 1010), ("b", 5, 2000), ("a", 2000, 2001)], &[]);
        check_log(1000, 1, &[("a", 0, 10), ("a", 996, 1010)], &[]);
        check_log(0, 2, &[("a", 0, 10), ("a", 1, 20), ("a", 10, 30), ("a", 21, 30)], &[]);
        check_log(0, 1, &[("a", 0, 10), ("a", 10, 30)], &[]);
    }

    #[test]
    fn a_start_that_comes_too_soon_is_found() {
        check_log(1000, 1, &[("a", 0, 10), ("a", 994, 1010)], &[(994, true)]);
        check_log(1000, 1, &[("a", 994, 1010), ("a", 0, 10)], &[(994, true)]);
        check_log(1000, 9, &[("a", 0, 1), ("a", 0, 2), ("a", 1000, 1001)], &[(0, true)]);
        check_log(
            1000,
            1,
            &[("a", 0, 1), ("a", 500, 501), ("a", 1500, 1501), ("a", 1600, 1601)],
            &[(500, true), (1600, true)],
        );
    }

    #[test]
    fn too_many_at_once_are_found() {
        check_log(0, 1, &[("a", 0, 100), ("a", 50, 60)], &[(50, false)]);
        check_log(0, 2, &[("a", 0, 100), ("a", 10, 100), ("a", 20, 30), ("a", 40, 50)], &[(20, false), (40, false)]);
        check_log(100, 1, &[("a", 0, 500), ("a", 50, 60)], &[(50, true), (50, false)]);
    }
}
