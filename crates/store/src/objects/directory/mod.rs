//! Objects as files of a directory that several processes use, of one machine or of many over a network file system.
//!
//! A file is written beside (`tmp/`), synced, and renamed to its name; then the folder is synced. So it is seen whole or
//! not at all, and what was answered survives a power cut. The `object_store` crate's own adapter knows no conditional
//! update and lists in no order, hence this one: a conditional write compares and renames under an advisory lock of the
//! system (`lock`), which dies with its process. All of it runs on threads for blocking work, a bounded number of them,
//! so that a file system that hangs takes no more than these.

mod fault;
mod lock;
mod walk;

use super::fault::{server, timeout};
use super::layout::FORMAT;
use super::options::ObjectOptions;
use super::place::{Object, Place, Tag, When};
use crate::embedded::data_dir::{DiskReserve, free_space};
use crate::error::ServerFault;
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use fault::io_error;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::Semaphore;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// Files that are being written.
const BESIDE: &str = "tmp";
/// Folders known to be durable; forgotten all at once when they are more. Two days of bodies and 100 tenants are fewer.
const MAX_FOLDERS: usize = 32_768;

/// A directory that holds objects.
#[derive(Debug)]
pub(super) struct Directory {
    files: Arc<Files>,
    threads: Arc<Semaphore>,
}

/// What threads do.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    reserve: DiskReserve,
    call_timeout: Duration,
    folders: Mutex<HashSet<PathBuf>>,
}

impl Directory {
    pub(super) async fn open(root: PathBuf, options: &ObjectOptions, until: Instant) -> Result<Self> {
        let (reserve, call_timeout) = (options.reserve, options.call_timeout);
        let files = Arc::new(Files { root, reserve, call_timeout, folders: Mutex::default() });
        let threads = Arc::new(Semaphore::new(options.max_requests.max(1)));
        let directory = Self { files, threads };
        directory.run("open the page directory", until, |files, _| files.open()).await?;
        Ok(directory)
    }

    /// Runs on a thread for blocking work, until a deadline that the work gets too.
    async fn run<T: Send + 'static>(
        &self,
        context: &'static str,
        until: Instant,
        work: impl FnOnce(&Files, Instant) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let begin = Instant::now();
        let until = until.min(begin + self.files.call_timeout);
        let late = || timeout(context, begin.elapsed());
        let permit = tokio::time::timeout_at(until.into(), Arc::clone(&self.threads).acquire_owned()).await;
        let permit = permit.map_err(|_| late())?.map_err(|_| Error::Closed)?;
        let files = Arc::clone(&self.files);
        let task = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by who waits for it: a thread that hangs counts until it ends.
            let _permit = permit;
            work(&files, until)
        });
        match tokio::time::timeout_at(until.into(), task).await {
            Ok(done) => done.unwrap_or_else(|error| Err(Error::engine(context, error))),
            Err(_) => Err(late()),
        }
    }
}

#[async_trait]
impl Place for Directory {
    async fn get(&self, name: &str, until: Instant) -> Result<Option<Object>> {
        let name = name.to_owned();
        self.run("read an object", until, move |files, _| files.get(&name)).await
    }

    async fn put(&self, name: &str, bytes: Bytes, when: When, until: Instant) -> Result<bool> {
        let name = name.to_owned();
        self.run("write an object", until, move |files, until| files.put(&name, &bytes, &when, until)).await
    }

    async fn delete(&self, name: &str, until: Instant) -> Result<()> {
        let name = name.to_owned();
        self.run("remove an object", until, move |files, _| files.delete(&name)).await
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize, until: Instant) -> Result<Vec<String>> {
        let (folder, after) = (folder.to_owned(), after.map(str::to_owned));
        let list = move |files: &Files, _| {
            let names = walk::list(&files.root, &folder, after.as_deref(), limit);
            let names = names.map_err(|error| io_error("list objects", &files.root, 0, &error))?;
            if names.is_empty() { files.check_mounted().map(|()| names) } else { Ok(names) }
        };
        self.run("list objects", until, list).await
    }

    async fn written_at(&self, name: &str, until: Instant) -> Result<Option<Timestamp>> {
        let name = name.to_owned();
        self.run("look at an object", until, move |files, _| files.written_at(&files.root.join(name))).await
    }

    async fn tidy(&self, before: Timestamp, until: Instant) -> Result<u64> {
        self.run("remove what crashed writers left", until, move |files, _| files.tidy(before)).await
    }
}

impl Files {
    /// A store that is there can be read even where nothing can be written.
    fn open(&self) -> Result<()> {
        match self.make() {
            Err(
                Error::DiskFull { .. } | Error::Server { fault: ServerFault::ReadOnly | ServerFault::AccessDenied, .. },
            ) if self.root.join(FORMAT).exists() => {
                tracing::warn!(directory = %self.root.display(), "pages can be read, but not written");
                Ok(())
            }
            made => made,
        }
    }

    fn make(&self) -> Result<()> {
        let fail = |error: io::Error| io_error("open the page directory", &self.root, 0, &error);
        match std::fs::create_dir(&self.root) {
            Ok(()) => self.root.parent().map_or(Ok(()), sync_folder).map_err(fail)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A read-only file system may answer so for a directory that is there.
            Err(_) if self.root.is_dir() => {}
            Err(error) => return Err(fail(error)),
        }
        self.settle_folder(&self.root.join(BESIDE))?;
        self.settle_folder(&lock::folder(&self.root))?;
        lock::check(&self.root)
    }

    fn get(&self, name: &str) -> Result<Option<Object>> {
        let path = self.root.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Object { tag: tag(&bytes), bytes: bytes.into() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.check_mounted_but(name).map(|()| None),
            Err(error) => Err(io_error("read an object", &path, 0, &error)),
        }
    }

    fn put(&self, name: &str, bytes: &[u8], when: &When, until: Instant) -> Result<bool> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        let fail = |error: io::Error| io_error("write an object", &path, bytes.len(), &error);
        if *when == When::Absent && path.exists() {
            // Whoever wrote it may not have come that far yet.
            sync_folder(folder).map_err(fail)?;
            return Ok(false);
        }
        self.reserve.check(free_space(&self.root)?, bytes.len() as u64)?;
        let beside = Beside::write(&self.root.join(BESIDE), bytes).map_err(fail)?;
        self.settle_folder(folder)?;
        let _lock = if *when == When::Always { None } else { Some(lock::take(&self.root, name, until)?) };
        let is_placed = beside.place(&path, when).map_err(|error| self.forget_folder(folder, fail(error)))?;
        sync_folder(folder).map_err(fail)?;
        Ok(is_placed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let removed = match std::fs::remove_file(&path) {
            Ok(()) => path.parent().map_or(Ok(()), sync_folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.check_mounted(),
            Err(error) => Err(error),
        };
        removed.map_err(|error| io_error("remove an object", &path, 0, &error))
    }

    fn written_at(&self, path: &Path) -> Result<Option<Timestamp>> {
        match path.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) => {
                let millis = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                Ok(Some(Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("look at an object", path, 0, &error)),
        }
    }

    fn tidy(&self, before: Timestamp) -> Result<u64> {
        let folder = self.root.join(BESIDE);
        let entries = std::fs::read_dir(&folder).map_err(|error| io_error("list objects", &folder, 0, &error))?;
        let mut n_removed = 0;
        for path in entries.flatten().map(|entry| entry.path()) {
            if self.written_at(&path)?.is_some_and(|written_at| written_at < before) {
                n_removed += u64::from(std::fs::remove_file(&path).is_ok());
            }
        }
        Ok(n_removed)
    }

    /// Makes a folder, and its name and those above it durable.
    fn settle_folder(&self, folder: &Path) -> Result<()> {
        if self.folders().contains(folder) {
            return Ok(());
        }
        let below: Vec<&Path> = folder.ancestors().take_while(|path| **path != *self.root).collect();
        for path in below.into_iter().rev() {
            let made = match std::fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(_) if path.is_dir() => Ok(()),
                made => made,
            };
            // Also when another process made it, which may not have synced it yet.
            let synced = made.and_then(|()| path.parent().map_or(Ok(()), sync_folder));
            synced.map_err(|error| io_error("make a folder", path, 0, &error))?;
        }
        let mut folders = self.folders();
        if folders.len() >= MAX_FOLDERS {
            folders.clear();
        }
        folders.insert(folder.to_owned());
        Ok(())
    }

    /// Somebody may have removed it.
    fn forget_folder(&self, folder: &Path, error: Error) -> Error {
        self.folders().remove(folder);
        error
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is there: that is no answer when the file system is not mounted.
    fn check_mounted(&self) -> Result<()> {
        self.check_mounted_but("")
    }

    fn check_mounted_but(&self, name: &str) -> Result<()> {
        if name == FORMAT || self.root.join(FORMAT).exists() {
            return Ok(());
        }
        let message = format!("{} no longer holds pages: is it mounted?", self.root.display());
        Err(server("read the page directory", ServerFault::Unavailable, message))
    }
}

fn tag_at(path: &Path) -> io::Result<Option<Tag>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(tag(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tag(bytes: &[u8]) -> Tag {
    Tag(format!("{:032x}", xxh3_128(bytes)))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A synced file that has no name of its own yet; removed unless it is placed.
struct Beside {
    path: PathBuf,
    is_placed: bool,
}

impl Beside {
    fn write(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        let path = folder.join(Uuid::new_v4().to_string());
        let mut file = File::create_new(&path)?;
        let beside = Self { path, is_placed: false };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(beside)
    }

    /// Gives it its name, when it is the time. The caller holds the lock of the name, unless it is always.
    fn place(mut self, path: &Path, when: &When) -> io::Result<bool> {
        let is_time = match when {
            When::Always => true,
            When::Unchanged(tag) => tag_at(path)?.as_ref() == Some(tag),
            // A link asks the file server itself; a client of NFS may remember for seconds that a name was free.
            When::Absent => match std::fs::hard_link(&self.path, path) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                // Some file systems have no links.
                Err(error) if has_no_links(&error) => !path.exists(),
                Err(error) => return Err(error),
            },
        };
        if is_time {
            std::fs::rename(&self.path, path)?;
            self.is_placed = true;
        }
        Ok(is_time)
    }
}

fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_placed {
            // Left to `tidy` when it fails.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
