//! Opening the database, and opening it again when it is poisoned.

use super::counter::{Counter, Mark};
use super::hot::Hot;
use super::rows::MetaRow;
use super::table::{Session, Snapshot, Step, check_format, engine_error};
use super::{OpenOptions, OpenReport};
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use redb::Database;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How far epochs jump when nothing says how many were given: more claims than a process makes between two
/// commits that both got lost.
const EPOCH_JUMP: u64 = 1_024;
/// How long a re-open waits for reads that still use the old database.
const READERS_WAIT: Duration = Duration::from_secs(5);

/// The database as writer and readers share it.
pub(super) struct Engine {
    path: PathBuf,
    cache_bytes: usize,
    session: Session,
    /// `None` while it is being opened again.
    database: RwLock<Option<Arc<Database>>>,
}

impl Engine {
    /// Opens or makes the database and begins a session.
    pub(super) fn open(path: &Path, options: &OpenOptions, now: Timestamp) -> Result<(Self, Counter, OpenReport)> {
        let (database, was_repaired) = open_database(path, options.cache_bytes)?;
        let (counter, mark) = Counter::open(&Counter::path_for(path))
            .map_err(|e| engine_error("open commit counter", redb::Error::Io(e)))?;
        let mut engine = Self {
            path: path.to_owned(),
            cache_bytes: options.cache_bytes,
            session: Session { open: 0, opened_at: now },
            database: RwLock::new(Some(Arc::new(database))),
        };
        let mut report = engine.begin_session(mark)?;
        report.was_repaired = was_repaired;
        engine.session.open = report.opens;
        Ok((engine, counter, report))
    }

    /// Counts the open, compares the database with the counter, raises the epochs where history was lost.
    fn begin_session(&self, mark: Option<Mark>) -> Result<OpenReport> {
        let database = self.database()?;
        let transaction = database.begin_write().map_err(|e| engine_error("begin write", e))?;
        check_format(&transaction)?;
        let mut step = Step::begin(&transaction, self.session, Hot::default())?;
        let meta = &mut step.meta;
        let is_counter_missing = mark.is_none() && meta.commits > 1;
        let mark = mark.unwrap_or_default();
        let lost_commits = mark.commits.saturating_sub(meta.commits);
        if lost_commits > 0 {
            meta.epoch_floor = meta.epoch_high.max(mark.epoch_high) + 1;
            meta.commits = mark.commits;
        } else if is_counter_missing {
            meta.epoch_floor = meta.epoch_high + EPOCH_JUMP;
        }
        meta.opens += 1;
        let opens = meta.opens;
        step.finish()?;
        transaction.commit().map_err(|e| engine_error("commit", e))?;
        Ok(OpenReport { opens, lost_commits, is_counter_missing, was_repaired: false })
    }

    /// This open.
    pub(super) const fn session(&self) -> Session {
        self.session
    }

    /// The open database.
    pub(super) fn database(&self) -> Result<Arc<Database>> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let reopening = || Error::Engine {
            context: "use frontier database",
            message: "it is being opened again after an error".to_owned(),
            is_poisoned: false,
        };
        database.clone().ok_or_else(reopening)
    }

    /// Reads one commit's state.
    pub(super) fn read<T>(&self, operation: impl FnOnce(&Snapshot) -> Result<T>) -> Result<T> {
        use redb::ReadableDatabase;
        let database = self.database()?;
        let transaction = database.begin_read().map_err(|e| engine_error("begin read", e))?;
        operation(&Snapshot::begin(&transaction, self.session)?)
    }

    /// Closes a poisoned database and opens it again. `known` is the newest commit that was answered.
    pub(super) fn reopen(&self, known: &MetaRow) -> Result<()> {
        let old = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            close(old);
        }
        let (database, _) = open_database(&self.path, self.cache_bytes)?;
        let database = Arc::new(database);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database.clone());
        let transaction = database.begin_write().map_err(|e| engine_error("begin write", e))?;
        let commits = Step::begin(&transaction, self.session, Hot::default())?.meta.commits;
        transaction.abort().map_err(|e| engine_error("abort", e))?;
        if commits < known.commits {
            let detail = format!("it holds {commits} commits, {} were answered", known.commits);
            return Err(Error::Corrupt { what: "frontier database".to_owned(), detail });
        }
        Ok(())
    }

    /// Closes the database after the last reader.
    pub(super) fn close(&self) {
        let old = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            close(old);
        }
    }

    /// The free space of the disk, put into an error that says it is full.
    pub(super) fn with_free_space(&self, error: Error) -> Error {
        match error {
            Error::DiskFull { .. } => {
                let free_bytes = rustix::fs::statvfs(self.path.parent().unwrap_or(&self.path))
                    .map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
                Error::DiskFull { free_bytes, needed_bytes: 0 }
            }
            error => error,
        }
    }
}

/// Drops a database as soon as no read uses it.
fn close(database: Arc<Database>) {
    let began = Instant::now();
    while Arc::strong_count(&database) > 1 && began.elapsed() < READERS_WAIT {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn open_database(path: &Path, cache_bytes: usize) -> Result<(Database, bool)> {
    let was_repaired = Arc::new(AtomicBool::new(false));
    let noted = was_repaired.clone();
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder.set_repair_callback(move |_| noted.store(true, Ordering::Relaxed));
    let database = builder.create(path).map_err(|e| engine_error("open frontier database", e))?;
    Ok((database, was_repaired.load(Ordering::Relaxed)))
}
