//! Advisory locks of the operating system, for the moment between comparing and renaming.
//!
//! There are 256 of them, and a name always has the same one. They live as long as the open file, so a process that
//! is killed leaves none. Over NFS they are held by the server (not with the mount option `local_lock`).

use super::super::fault::server;
use super::fault::io_error;
use crate::error::ServerFault;
use crate::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

/// Between two attempts; a lock is held for less than this unless the disk is slow.
const RETRY: Duration = Duration::from_millis(2);

/// Where the files of the locks are.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join("locks")
}

/// Takes the lock of a name. It lives as long as the answered file.
pub(super) fn take(root: &Path, name: &str, until: Instant) -> Result<File> {
    let [slot, ..] = xxh3_64(name.as_bytes()).to_be_bytes();
    let path = folder(root).join(format!("{slot:02x}"));
    let file = open(&path)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => std::thread::sleep(RETRY),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                return Err(server("lock an object", ServerFault::Timeout, "another process holds it all the time"));
            }
            Err(error) => return Err(io_error("lock an object", &path, 0, &error.into())),
        }
    }
}

/// Whether the file system has locks at all: a second one on the same file must be refused.
pub(super) fn check(root: &Path) -> Result<()> {
    let path = folder(root).join(format!("check-{}", uuid::Uuid::new_v4()));
    let (first, second) = (open(&path)?, open(&path)?);
    let outcome = flock(&first, FlockOperation::NonBlockingLockExclusive)
        .map(|()| flock(&second, FlockOperation::NonBlockingLockExclusive));
    // Nobody else knows the name.
    let _ = std::fs::remove_file(&path);
    match outcome {
        Ok(Err(Errno::WOULDBLOCK)) => Ok(()),
        Ok(Err(error)) | Err(error) => Err(unusable(root, &error.to_string())),
        Ok(Ok(())) => Err(unusable(root, "two processes may hold one lock")),
    }
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(|error| io_error("open a lock", path, 0, &error))
}

fn unusable(root: &Path, why: &str) -> Error {
    Error::NotDurable { detail: format!("the file system of {} has no working locks ({why})", root.display()) }
}
