//! Who asked for what, and when: the only witness that politeness is judged by.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Entries kept in memory; later ones are only written to the file and counted.
const MAX_ENTRIES: usize = 2_000_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The `Host` field, lower case, without its port.
    pub host: String,
    /// Path and query as sent.
    pub path: String,
    /// When the request head had been read: microseconds on a monotonic clock since the log was opened.
    pub start_micros: u64,
    /// When the last byte of the answer had been handed to the system, or the peer was seen to be gone.
    pub end_micros: u64,
    /// The status sent; 0 when none was.
    pub status: u16,
    /// Number of the connection, from 1.
    pub connection: u64,
    /// The `User-Agent` field, empty when there was none.
    pub user_agent: String,
}

/// The log of one origin.
#[derive(Debug, Clone)]
pub struct AccessLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opened: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<LogEntry>,
    n_requests: u64,
    n_running: u64,
    file: Option<File>,
}

impl AccessLog {
    /// A log in memory, and as JSON lines in `file` when one is named; each line is written when its request ends.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        let inner = Inner { file: file.map(File::create).transpose()?, ..Inner::default() };
        Ok(Self { shared: Arc::new(Shared { opened: Instant::now(), inner: Mutex::new(inner) }) })
    }

    /// The finished requests, in the order in which they ended.
    #[must_use]
    pub fn entries(&self) -> Vec<LogEntry> {
        self.with(|inner| inner.entries.clone())
    }

    /// Requests that ended.
    #[must_use]
    pub fn n_requests(&self) -> u64 {
        self.with(|inner| inner.n_requests)
    }

    /// Requests being answered now.
    #[must_use]
    pub fn n_running(&self) -> u64 {
        self.with(|inner| inner.n_running)
    }

    /// This moment on the log's clock.
    #[must_use]
    pub fn now_micros(&self) -> u64 {
        self.now()
    }

    /// Forgets what is kept in memory.
    pub fn clear(&self) {
        self.with(|inner| inner.entries.clear());
    }

    /// A request whose head has just been read.
    pub(crate) fn begin(&self, host: String, path: String, user_agent: String, connection: u64) -> Running {
        self.with(|inner| inner.n_running += 1);
        let start_micros = self.now();
        let entry = LogEntry { host, path, start_micros, end_micros: 0, status: 0, connection, user_agent };
        Running { log: self.clone(), entry }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.shared.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Inner) -> T) -> T {
        ask(&mut self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request under way. It is logged when dropped, so that one that is broken off is logged too.
#[derive(Debug)]
pub(crate) struct Running {
    log: AccessLog,
    entry: LogEntry,
}

impl Running {
    pub(crate) fn set_status(&mut self, status: u16) {
        self.entry.status = status;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.entry.end_micros = self.log.now();
        let entry = self.entry.clone();
        self.log.with(|inner| {
            inner.n_running -= 1;
            inner.n_requests += 1;
            if let (Some(file), Ok(mut line)) = (&mut inner.file, serde_json::to_string(&entry)) {
                line.push('\n');
                if let Err(error) = file.write_all(line.as_bytes()) {
                    eprintln!("access log was not written: {error}");
                }
            }
            if inner.entries.len() < MAX_ENTRIES {
                inner.entries.push(entry);
            }
        });
    }
}

/// Reads a log of JSON lines.
///
/// # Errors
/// When a line cannot be read or is no entry; the message names it.
pub fn read_log(lines: impl BufRead) -> io::Result<Vec<LogEntry>> {
    let entry = |(at, line): (usize, io::Result<String>)| {
        serde_json::from_str(&line?).map_err(|e| io::Error::other(format!("line {}: {e}", at + 1)))
    };
    lines.lines().enumerate().map(entry).collect()
}
