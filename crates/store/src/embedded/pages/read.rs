//! What readers and the writer share: the database, which the writer may have to open again, and the questions
//! that are asked of it.

use super::index::{self, PAGES, StoredPage, View, page_key};
use super::segment::{FrameRef, OpenFrame, read_frame};
use super::{PageStats, writer};
use crate::pages::{HeaderFields, holds};
use crate::{Error, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, PageRecord, TenantId};
use bytes::Bytes;
use redb::Database;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

pub(super) struct Shared {
    pub(super) directory: PathBuf,
    /// `None` only while, or after, opening it again failed.
    database: RwLock<Option<Database>>,
}

impl Shared {
    pub(super) fn open(directory: PathBuf, cache_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(&directory).map_err(|e| Error::engine("make the page directory", e))?;
        let database = index::open(&directory.join("index.redb"), cache_bytes)?;
        Ok(Self { directory, database: RwLock::new(Some(database)) })
    }

    pub(super) fn segments(&self) -> PathBuf {
        self.directory.join("segments")
    }

    pub(super) fn with_database<T>(&self, ask: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        ask(guard.as_ref().ok_or(Error::Closed)?)
    }

    /// Closes the database and opens it again.
    pub(super) fn reopen(&self, cache_bytes: usize) -> Result<()> {
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *guard = None;
        *guard = Some(index::open(&self.directory.join("index.redb"), cache_bytes)?);
        Ok(())
    }

    pub(super) fn record(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<PageRecord>> {
        self.with_database(|database| Ok(View::begin(database)?.page(tenant, key)?.map(|page| page.record)))
    }

    pub(super) fn record_with(&self, tenant: &TenantId, key: &PageKey, retain: Retain) -> Result<Option<PageRecord>> {
        let page = self.with_database(|database| View::begin(database)?.page(tenant, key))?;
        let holds = |page: &StoredPage| holds(&page.record, page.body.is_some(), page.markdown.is_some(), retain);
        Ok(page.filter(holds).map(|page| page.record))
    }

    pub(super) fn body(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>> {
        let find = |view: &View| {
            let Some(hash) = view.page(tenant, key)?.and_then(|page| page.body) else { return Ok(None) };
            Ok(Some((body_frame(view, &hash)?, hash)))
        };
        let Some((frame, hash)) = self.frame(find)? else { return Ok(None) };
        if *blake3::hash(frame.payload()).as_bytes() != hash {
            let detail = "it does not match its hash".to_owned();
            return Err(Error::Corrupt { what: format!("the body of page {key}"), detail });
        }
        Ok(Some(Bytes::copy_from_slice(frame.payload())))
    }

    pub(super) fn headers(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<HeaderFields>> {
        let find = |view: &View| {
            let Some(page) = view.page(tenant, key)? else { return Ok(None) };
            match (page.revisit, page.body) {
                (Some(frame), _) => Ok(Some((frame, ()))),
                (None, Some(hash)) => Ok(Some((body_frame(view, &hash)?, ()))),
                (None, None) => Ok(None),
            }
        };
        Ok(self.frame(find)?.and_then(|(frame, ())| crate::pages::warc::http_fields(&frame.record)))
    }

    pub(super) fn markdown(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<String>> {
        let find = |view: &View| Ok(view.page(tenant, key)?.and_then(|page| page.markdown).map(|frame| (frame, ())));
        let Some((frame, ())) = self.frame(find)? else { return Ok(None) };
        let text = String::from_utf8(frame.payload().to_vec());
        let damaged = |e: std::string::FromUtf8Error| Error::Corrupt {
            what: format!("the Markdown of page {key}"),
            detail: e.to_string(),
        };
        text.map(Some).map_err(damaged)
    }

    pub(super) fn scan(&self, tenant: &TenantId, after: Option<PageKey>, limit: usize) -> Result<Vec<PageRecord>> {
        let first = page_key(tenant, &after.unwrap_or(PageKey::from_bytes([0; 16])));
        let prefix = first.get(..=tenant.as_str().len()).unwrap_or_default().to_vec();
        self.with_database(|database| {
            let rows = View::begin(database)?.rows::<StoredPage>(PAGES, "pages", &first)?;
            let own = rows.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
            let new = own.filter(|row| after.is_none() || row.as_ref().map_or(true, |(key, _)| *key != first));
            new.map(|row| row.map(|(_, page)| page.record)).take(limit).collect()
        })
    }

    pub(super) fn stats(&self) -> Result<PageStats> {
        self.with_database(|database| {
            let totals = View::begin(database)?.totals()?;
            let segments = writer::stored_segments(database)?;
            let live_bytes: u64 = segments.values().map(|segment| segment.live).sum();
            let held: u64 = segments.values().map(|segment| segment.end).sum();
            Ok(PageStats {
                pages: totals.pages,
                bodies: totals.bodies,
                shared_bodies: totals.body_references.saturating_sub(totals.bodies),
                segments: segments.len() as u64,
                live_bytes,
                dead_bytes: held.saturating_sub(live_bytes),
            })
        })
    }

    /// Reads the frame that `find` names. Compaction may remove its file in between: then the index names another.
    fn frame<T>(&self, find: impl Fn(&View) -> Result<Option<(FrameRef, T)>>) -> Result<Option<(OpenFrame, T)>> {
        let mut last: Option<FrameRef> = None;
        loop {
            let found = self.with_database(|database| find(&View::begin(database)?))?;
            let Some((frame, extra)) = found else { return Ok(None) };
            match read_frame(&self.segments(), &frame) {
                Ok(open) => return Ok(Some((open, extra))),
                Err(error) if last == Some(frame) => return Err(error),
                Err(_) => last = Some(frame),
            }
        }
    }
}

fn body_frame(view: &View, hash: &[u8; 32]) -> Result<FrameRef> {
    let body = view.body(hash)?.ok_or_else(|| Error::Corrupt {
        what: format!("the body {}", blake3::Hash::from(*hash).to_hex()),
        detail: "the index does not know it".to_owned(),
    })?;
    Ok(body.frame)
}
