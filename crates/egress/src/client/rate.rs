//! The minimum rate of a body. A timeout between reads never fires on a byte a second; a sliding window does.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Long enough for a lost packet or two, short beside the total timeout.
const WINDOW: Duration = Duration::from_secs(10);
/// How often the caller looks.
pub(super) const STEP: Duration = Duration::from_secs(1);

pub(super) struct Rate {
    min_bytes_per_sec: u64,
    /// Bytes so far, as seen at each of the last steps.
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub(super) fn new(min_bytes_per_sec: u64, now: Instant) -> Self {
        Self { min_bytes_per_sec, seen: VecDeque::from([(now, 0)]) }
    }

    /// Whether the last whole window brought enough; `total` is all bytes until `now`.
    pub(super) fn is_enough(&mut self, total: u64, now: Instant) -> bool {
        self.seen.push_back((now, total));
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
        let Some((since, before)) = self.seen.front().copied() else { return true };
        let elapsed = now.duration_since(since);
        elapsed < WINDOW || total.saturating_sub(before) >= self.min_bytes_per_sec.saturating_mul(elapsed.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes_each_second: &[u64], expected_failure_at: Option<usize>) {
        let start = Instant::now();
        let mut rate = Rate::new(100, start);
        let mut total = 0;
        let failed = bytes_each_second.iter().enumerate().find_map(|(second, bytes)| {
            total += bytes;
            let now = start + STEP * u32::try_from(second + 1).expect("few steps");
            (!rate.is_enough(total, now)).then_some(second)
        });
        assert_eq!(failed, expected_failure_at, "{bytes_each_second:?}");
    }

    #[test]
    fn a_drip_fails_after_one_window_and_a_pause_does_not() {
        check(&[1; 30], Some(9));
        check(&[100; 30], None);
        check(&[0, 0, 0, 0, 0, 0, 0, 0, 1_000, 100, 100, 100], None);
        check(&[&[10_000_u64; 5][..], &[1; 12]].concat(), Some(14));
    }
}
