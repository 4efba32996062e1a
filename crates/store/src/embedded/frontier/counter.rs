//! The committed-batch counter beside the database: what the database must at least hold.
//!
//! A database that lost its newest commits (an older copy, a disk that lied about a sync) is whole in itself.
//! Only something outside of it can tell. Losing a suffix is allowed, the URLs are fetched again, but it must be
//! noticed, and no epoch may be given twice: page heads are fenced by it.

use super::rows::MetaRow;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

/// Two slots, written in turn, so that a torn write leaves the older one.
const SLOT_BYTES: usize = 64;
/// The counter may lag behind the database, so it need not be synced with each commit: only a power cut can
/// then hide the loss of at most this much.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What the file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Committed groups.
    pub(super) commits: u64,
    /// Highest epoch given.
    pub(super) epoch_high: u64,
}

/// The open file.
pub(super) struct Counter {
    file: File,
    synced_at: Instant,
}

impl Counter {
    /// The file that belongs to a database.
    pub(super) fn path_for(database: &Path) -> PathBuf {
        let mut name = database.file_name().unwrap_or_default().to_owned();
        name.push(".commits");
        database.with_file_name(name)
    }

    /// Opens or makes the file; answers the newest whole mark in it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Mark>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let newest = (0..2_u64).filter_map(|slot| read_slot(&file, slot)).max_by_key(|mark| mark.commits);
        Ok((Self { file, synced_at: Instant::now() }, newest))
    }

    /// Notes a commit.
    pub(super) fn note(&mut self, meta: &MetaRow) -> io::Result<()> {
        let slot = meta.commits % 2;
        let mut bytes = [0_u8; SLOT_BYTES];
        bytes[..8].copy_from_slice(&meta.commits.to_le_bytes());
        bytes[8..16].copy_from_slice(&meta.epoch_high.to_le_bytes());
        let sum = xxh3_64(&bytes[..16]);
        bytes[16..24].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&bytes, slot * SLOT_BYTES as u64)?;
        if self.synced_at.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes the newest mark durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced_at = Instant::now();
        self.file.sync_data()
    }
}

fn read_slot(file: &File, slot: u64) -> Option<Mark> {
    let mut bytes = [0_u8; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64).ok()?;
    let number = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    (number(16)? == xxh3_64(&bytes[..16])).then_some(Mark { commits: number(0)?, epoch_high: number(8)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_leaves_the_older_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = Counter::path_for(&dir.path().join("frontier.redb"));
        let (mut counter, none) = Counter::open(&path).unwrap();
        assert_eq!(none, None);
        for commits in 1..=4 {
            counter.note(&MetaRow { commits, epoch_high: 7, ..MetaRow::default() }).unwrap();
        }
        counter.file.write_all_at(&[1, 2, 3], 0).unwrap();
        let (_, mark) = Counter::open(&path).unwrap();
        assert_eq!(mark, Some(Mark { commits: 3, epoch_high: 7 }));
    }
}
