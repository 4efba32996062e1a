//! When segments are merged, and up to which size.
//!
//! Each optimisation leaves a segment of about `optimize_every` chunks. A search and a flush cost time in proportion
//! to the number of segments; a merge writes its chunks once more. So segments are merged in levels, each [`FAN`]
//! times larger than the one below: a chunk is written once more for each level, where one large segment that takes
//! in each new one would write it `n_chunks / optimize_every / 2` times more. The highest level is bounded, since
//! nothing is written while segments are merged.

/// Segments of one level that make one of the next.
const FAN: usize = 8;

/// Levels above what an optimisation leaves: 256,000 chunks with the defaults, merged in half a minute.
pub(super) const LEVELS: u32 = 2;

/// Segments that an index may have, the growing one included.
pub(super) const fn max_segments(n_chunks: usize, optimize_every: usize) -> usize {
    let n_largest = n_chunks / segment_chunks(LEVELS, optimize_every);
    if n_chunks > segment_chunks(1, optimize_every) { 2 * FAN + n_largest } else { FAN }
}

/// Chunks in a segment of this level.
pub(super) const fn segment_chunks(level: u32, optimize_every: usize) -> usize {
    let every = if optimize_every == 0 { 1 } else { optimize_every };
    every.saturating_mul(FAN.saturating_pow(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the engine does: neighbours in size become one while they are below the limit together.
    fn merge(sizes: &mut Vec<usize>, limit: usize, n_rewritten: &mut usize) {
        sizes.sort_unstable();
        let mut merged = Vec::new();
        while !sizes.is_empty() {
            let sums = sizes.iter().scan(0, |sum, size| {
                *sum += size;
                Some(*sum)
            });
            let n = sums.take_while(|sum| *sum < limit).count().max(1);
            let sum = sizes.drain(..n).sum();
            *n_rewritten += if n > 1 { sum } else { 0 };
            merged.push(sum);
        }
        *sizes = merged;
    }

    #[test]
    fn few_segments_and_few_rewrites_at_any_size() {
        const EVERY: usize = 4_000;
        for n_chunks in [20_000, 34_000, 150_000, 1_000_000, 10_000_000] {
            let (mut sizes, mut n_rewritten) = (Vec::new(), 0);
            for n_written in (EVERY..=n_chunks).step_by(EVERY) {
                sizes.push(EVERY);
                for level in 1..=LEVELS {
                    if sizes.len() > max_segments(n_written, EVERY) {
                        merge(&mut sizes, segment_chunks(level, EVERY), &mut n_rewritten);
                    }
                }
                assert!(sizes.len() <= max_segments(n_written, EVERY) + 1, "{n_written}: {} segments", sizes.len());
            }
            let share = n_rewritten as f64 / n_chunks as f64;
            assert!(share <= 3.0, "{n_chunks}: each written {share} times more");
        }
    }
}
