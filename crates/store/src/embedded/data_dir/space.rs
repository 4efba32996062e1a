//! Free space, and how much of it is never used.

use crate::{Error, Result};
use std::path::Path;

/// Room on the file system of a path, in bytes, as an unprivileged process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// What can still be written.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// Asks the file system.
///
/// # Errors
/// [`Error::Engine`] when the path does not exist or cannot be asked.
pub fn free_space(path: &Path) -> Result<FreeSpace> {
    let answer = rustix::fs::statvfs(path).map_err(|e| Error::engine("ask for free disk space", e))?;
    Ok(FreeSpace {
        free: answer.f_bavail.saturating_mul(answer.f_frsize),
        total: answer.f_blocks.saturating_mul(answer.f_frsize),
    })
}

/// How much of the disk stays free. The vector engine's mapped files end the process when the disk is full, so
/// the crawl pauses well before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskReserve {
    /// An amount that is enough on any disk, in bytes.
    pub bytes: u64,
    /// A share of the whole disk, for disks so small that `bytes` would be most of them.
    pub share: f64,
}

impl Default for DiskReserve {
    /// 512 MiB, or 5 % of a disk smaller than 10 GiB.
    fn default() -> Self {
        Self { bytes: 512 * 1024 * 1024, share: 0.05 }
    }
}

impl DiskReserve {
    /// No reserve at all.
    pub const NONE: Self = Self { bytes: 0, share: 0.0 };

    /// Bytes that stay free on a disk of this size: the smaller of amount and share.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a disk need not be exact to the byte"
    )]
    pub fn needed(&self, total: u64) -> u64 {
        let share = total as f64 * self.share.clamp(0.0, 1.0);
        self.bytes.min(share as u64)
    }

    /// Whether `planned` more bytes leave the reserve untouched.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when they do not.
    pub fn check(&self, space: FreeSpace, planned: u64) -> Result<()> {
        let needed = self.needed(space.total).saturating_add(planned);
        if space.free < needed {
            return Err(Error::DiskFull { free_bytes: space.free, needed_bytes: needed });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_smaller_of_amount_and_share_stays_free() {
        let check = |free: u64, total: u64, planned: u64, expected: bool| {
            let answer =
                DiskReserve::default().check(FreeSpace { free: free * MIB, total: total * MIB }, planned * MIB);
            assert_eq!(answer.is_ok(), expected, "{free} of {total} MiB free, {planned} planned");
        };
        check(512, 1_000_000, 0, true);
        check(511, 1_000_000, 0, false);
        check(520, 1_000_000, 9, false);
        check(10, 200, 0, true);
        check(9, 200, 0, false);
        assert!(DiskReserve::NONE.check(FreeSpace { free: 0, total: 0 }, 0).is_ok());
    }

    #[test]
    fn the_disk_of_a_directory_can_be_asked() {
        let directory = tempfile::tempdir().unwrap();
        let space = free_space(directory.path()).unwrap();
        assert!(space.total >= space.free && space.total > 0, "{space:?}");
        assert!(free_space(&directory.path().join("absent")).is_err());
    }
}
