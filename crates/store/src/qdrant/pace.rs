//! How many bytes one call may carry: additive increase, multiplicative decrease, after what the server shows.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Share of the largest batch by which a full and fast one grows the next.
const STEP: usize = 64;

/// The size of batches. Pure.
#[derive(Debug)]
pub(super) struct Pace {
    bounds: RangeInclusive<usize>,
    slow: Duration,
    batch_bytes: usize,
}

impl Pace {
    pub(super) fn new(bounds: RangeInclusive<usize>, slow: Duration) -> Self {
        let batch_bytes = (bounds.end() / 4).max(*bounds.start());
        Self { bounds, slow, batch_bytes }
    }

    /// Bytes that the next call may carry.
    pub(super) const fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// A batch was written.
    pub(super) fn written(&mut self, n_bytes: usize, took: Duration) {
        if took > self.slow {
            self.refused();
        } else if n_bytes.saturating_mul(2) >= self.batch_bytes {
            // One that was not half full says nothing about a larger one.
            let step = (self.bounds.end() / STEP).max(1);
            self.batch_bytes = self.batch_bytes.saturating_add(step).min(*self.bounds.end());
        }
    }

    /// The server had too much to do, or did not answer in time.
    pub(super) fn refused(&mut self) {
        self.batch_bytes = (self.batch_bytes / 2).max(*self.bounds.start());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(1);

    #[test]
    fn batches_grow_by_steps_and_shrink_by_halves_between_their_bounds() {
        let mut pace = Pace::new(100..=1_600, Duration::from_secs(1));
        assert_eq!(pace.batch_bytes(), 400);
        pace.written(400, FAST);
        assert_eq!(pace.batch_bytes(), 425);
        pace.written(100, FAST);
        assert_eq!(pace.batch_bytes(), 425, "a small batch proves nothing");
        pace.written(10, Duration::from_secs(2));
        assert_eq!(pace.batch_bytes(), 212);
        (0..9).for_each(|_| pace.refused());
        assert_eq!(pace.batch_bytes(), 100);
        for _ in 0..99 {
            pace.written(pace.batch_bytes(), FAST);
        }
        assert_eq!(pace.batch_bytes(), 1_600);
    }
}
