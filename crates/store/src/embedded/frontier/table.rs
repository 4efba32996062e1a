//! The engine's side: one table of sealed values, seen through a write step or a read snapshot.

use super::hot::Hot;
use super::keys;
use super::record::{seal, unseal};
use super::rows::MetaRow;
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::ops::ControlFlow;

type Bytes = &'static [u8];

/// Everything but robots.txt bodies.
const ROWS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("rows");
/// Kept apart, since a body of 500 KiB would be copied with each change of a neighbour.
const ROBOTS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("robots");
/// The format number; its layout never changes, so that older programs can refuse newer data.
const FORMAT: TableDefinition<'static, &'static str, u32> = TableDefinition::new("format");
const FORMAT_KEY: &str = "frontier";
/// The format that this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;

/// What is the same during one open of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// Which open it is; 0 before the first commit.
    pub(super) open: u64,
    /// When it began.
    pub(super) opened_at: Timestamp,
}

/// Called for each row of a scan; `Break` ends it.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>;

/// Rows that can be read.
pub(super) trait View {
    /// The row under `key`, decoded.
    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>>;
    /// A row that nearly every call uses, decoded; kept decoded where that pays. Written by [`Step::put_hot`] only.
    fn hot<T: DeserializeOwned + Clone + Send + 'static>(&self, key: &[u8]) -> Result<Option<T>>;
    /// The same row, met in a scan.
    fn hot_in_scan<T: DeserializeOwned + Clone + Send + 'static>(&self, key: &[u8], bytes: &[u8]) -> Result<T>;
    /// Rows from `from` up to and without `to`, in key order.
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()>;
    /// A kept robots.txt.
    fn robots<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>>;
    /// All kept robots.txt files.
    fn scan_robots(&self, visit: Visit<'_>) -> Result<()>;
    /// This open.
    fn session(&self) -> Session;

    /// The rows whose key begins with `prefix`.
    fn scan_prefix(&self, prefix: &[u8], visit: Visit<'_>) -> Result<()> {
        self.scan(prefix, &keys::end_of(prefix), visit)
    }

    /// Whether there is a row.
    fn has(&self, key: &[u8]) -> Result<bool>;
}

/// One group of operations: a write transaction with its table open.
pub(super) struct Step<'t> {
    rows: Table<'t, Bytes, Bytes>,
    robots: Table<'t, Bytes, Bytes>,
    session: Session,
    /// Store-wide numbers, written at the end of the group.
    pub(super) meta: MetaRow,
    hot: RefCell<Hot>,
    n_writes: u64,
}

impl<'t> Step<'t> {
    /// Opens the tables. `hot` is what the last group that committed left.
    pub(super) fn begin(transaction: &'t WriteTransaction, session: Session, hot: Hot) -> Result<Self> {
        let rows = transaction.open_table(ROWS).map_err(|e| engine_error("open table", e))?;
        let robots = transaction.open_table(ROBOTS).map_err(|e| engine_error("open table", e))?;
        let hot = RefCell::new(hot);
        let mut step = Self { rows, robots, session, meta: MetaRow::default(), hot, n_writes: 0 };
        step.meta = step.get(&keys::meta())?.unwrap_or_default();
        Ok(step)
    }

    /// Writes so far: an operation that fails without a write leaves nothing behind.
    pub(super) const fn n_writes(&self) -> u64 {
        self.n_writes
    }

    /// Writes a row.
    pub(super) fn put<T: Serialize>(&mut self, key: &[u8], value: &T) -> Result<()> {
        let bytes = seal(key, value)?;
        self.n_writes += 1;
        self.rows.insert(key, bytes.as_slice()).map_err(|e| engine_error("write row", e))?;
        Ok(())
    }

    /// Writes a row that nearly every call uses, at the latest with the group.
    pub(super) fn put_hot<T: Serialize + Clone + Send + 'static>(&mut self, key: &[u8], value: &T) -> Result<()> {
        if self.hot.get_mut().change(key, value) {
            self.n_writes += 1;
            return Ok(());
        }
        self.put(key, value)?;
        self.hot.get_mut().keep(key, value.clone());
        Ok(())
    }

    /// Removes a row; answers whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool> {
        self.n_writes += 1;
        self.hot.get_mut().forget(key);
        Ok(self.rows.remove(key).map_err(|e| engine_error("remove row", e))?.is_some())
    }

    /// Keeps a robots.txt.
    pub(super) fn put_robots<T: Serialize>(&mut self, key: &[u8], value: &T) -> Result<()> {
        let bytes = seal(key, value)?;
        self.n_writes += 1;
        self.robots.insert(key, bytes.as_slice()).map_err(|e| engine_error("write robots.txt", e))?;
        Ok(())
    }

    /// The kept row, else what `read` finds, which is kept.
    fn decoded<T: Clone + Send + 'static>(
        &self,
        key: &[u8],
        read: impl FnOnce(&Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if let Some(row) = self.hot.borrow().get(key) {
            return Ok(Some(row));
        }
        let found: Option<T> = read(self)?;
        if let Some(row) = &found {
            self.hot.borrow_mut().keep(key, row.clone());
        }
        Ok(found)
    }

    /// Ends a group that wrote nothing.
    pub(super) fn into_hot(self) -> Hot {
        self.hot.into_inner()
    }

    /// Ends the group: writes the hot rows that changed, counts the group and writes the store-wide numbers.
    pub(super) fn finish(mut self) -> Result<(MetaRow, Hot)> {
        for (key, bytes) in self.hot.get_mut().take_changed()? {
            self.rows.insert(key.as_slice(), bytes.as_slice()).map_err(|e| engine_error("write row", e))?;
        }
        self.meta.commits += 1;
        let meta = self.meta.clone();
        self.put(&keys::meta(), &meta)?;
        Ok((meta, self.hot.into_inner()))
    }
}

/// The store as of one commit.
pub(super) struct Snapshot {
    rows: ReadOnlyTable<Bytes, Bytes>,
    robots: ReadOnlyTable<Bytes, Bytes>,
    session: Session,
}

impl Snapshot {
    /// Opens the tables.
    pub(super) fn begin(transaction: &ReadTransaction, session: Session) -> Result<Self> {
        let rows = transaction.open_table(ROWS).map_err(|e| engine_error("open table", e))?;
        let robots = transaction.open_table(ROBOTS).map_err(|e| engine_error("open table", e))?;
        Ok(Self { rows, robots, session })
    }

    /// A snapshot keeps nothing decoded.
    fn decoded<T>(&self, _: &[u8], read: impl FnOnce(&Self) -> Result<Option<T>>) -> Result<Option<T>> {
        read(self)
    }
}

fn get_in<T: DeserializeOwned>(table: &impl ReadableTable<Bytes, Bytes>, key: &[u8]) -> Result<Option<T>> {
    let Some(value) = table.get(key).map_err(|e| engine_error("read row", e))? else { return Ok(None) };
    unseal(key, value.value()).map(Some)
}

fn scan_in(table: &impl ReadableTable<Bytes, Bytes>, from: &[u8], to: Option<&[u8]>, visit: Visit<'_>) -> Result<()> {
    let range = match to {
        Some(to) => table.range::<&[u8]>(from..to),
        None => table.range::<&[u8]>(from..),
    };
    for row in range.map_err(|e| engine_error("scan rows", e))? {
        let (key, value) = row.map_err(|e| engine_error("scan rows", e))?;
        if visit(key.value(), value.value())?.is_break() {
            break;
        }
    }
    Ok(())
}

macro_rules! view {
    ($($type:ty),+) => {$(
        impl View for $type {
            fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
                get_in(&self.rows, key)
            }
            fn hot<T: DeserializeOwned + Clone + Send + 'static>(&self, key: &[u8]) -> Result<Option<T>> {
                self.decoded(key, |view| view.get(key))
            }
            fn hot_in_scan<T: DeserializeOwned + Clone + Send + 'static>(&self, key: &[u8], bytes: &[u8]) -> Result<T> {
                let found = self.decoded(key, |_| unseal(key, bytes).map(Some))?;
                found.map_or_else(|| unseal(key, bytes), Ok)
            }
            fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
                scan_in(&self.rows, from, Some(to), visit)
            }
            fn robots<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
                get_in(&self.robots, key)
            }
            fn scan_robots(&self, visit: Visit<'_>) -> Result<()> {
                scan_in(&self.robots, &[], None, visit)
            }
            fn session(&self) -> Session {
                self.session
            }
            fn has(&self, key: &[u8]) -> Result<bool> {
                Ok(self.rows.get(key).map_err(|e| engine_error("read row", e))?.is_some())
            }
        }
    )+};
}
view!(Step<'_>, Snapshot);

/// Checks the format number, writes it where there is none.
pub(super) fn check_format(transaction: &WriteTransaction) -> Result<()> {
    let mut table = transaction.open_table(FORMAT).map_err(|e| engine_error("open format table", e))?;
    let found = table.get(FORMAT_KEY).map_err(|e| engine_error("read format", e))?.map(|value| value.value());
    match found {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) if found > FORMAT_VERSION => {
            Err(Error::Newer { what: "the frontier", found, known: FORMAT_VERSION })
        }
        Some(found) => {
            Err(Error::Corrupt { what: "frontier format".to_owned(), detail: format!("there is no format {found}") })
        }
        None => {
            table.insert(FORMAT_KEY, FORMAT_VERSION).map_err(|e| engine_error("write format", e))?;
            Ok(())
        }
    }
}

/// An error of the engine in this crate's words.
pub(super) fn engine_error(context: &'static str, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(error) if is_disk_full(&error) => Error::DiskFull { free_bytes: 0, needed_bytes: 0 },
        redb::Error::DatabaseAlreadyOpen => Error::Locked { holder: "another process".to_owned() },
        redb::Error::Corrupted(detail) => Error::Corrupt { what: "frontier database".to_owned(), detail },
        error => Error::Engine { context, message: error.to_string(), is_poisoned: true },
    }
}

fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
