//! Keeps the file system from filling up: the engine writes through mapped files, and a full disk ends the
//! process with SIGBUS instead of an error.

use super::VectorOptions;
use crate::{Error, Result};
use std::path::Path;

/// Smallest reserve: a group commit may open a new log segment (4 MiB, twice) and grow several mapped files, each
/// by up to 32 MiB.
const LEAST_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Fails with [`Error::DiskFull`] when less is free than the options ask for, `factor` times over.
pub(super) fn check(dir: &Path, options: &VectorOptions, factor: u64) -> Result<()> {
    let stat = rustix::fs::statvfs(dir).map_err(|error| Error::engine("read the free space", error))?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
    let needed_bytes = reserve(total_bytes, options).saturating_mul(factor);
    if free_bytes < needed_bytes {
        return Err(Error::DiskFull { free_bytes, needed_bytes });
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a disk's size; the cast saturates"
)]
fn reserve(total_bytes: u64, options: &VectorOptions) -> u64 {
    let share = (total_bytes as f64 * options.min_free_fraction.max(0.0)) as u64;
    options.min_free_bytes.min(share).max(LEAST_RESERVE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_need_counts_above_a_floor() {
        const GIB: u64 = 1024 * 1024 * 1024;
        let options = VectorOptions::default();
        assert_eq!(reserve(1000 * GIB, &options), 512 * 1024 * 1024);
        assert_eq!(reserve(2 * GIB, &options), 2 * GIB / 20);
        assert_eq!(reserve(GIB / 8, &options), LEAST_RESERVE_BYTES);
    }
}
