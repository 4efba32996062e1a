//! What one command changes: frames appended, references moved, dead bytes counted. Nothing of a group holds
//! before [`Group::finish`] and the commit of its transaction.

use super::index::{PageRow, StoredBody, StoredPage, Tables, Totals, page_key, segment_key};
use super::segment::{Appender, FrameRef, read_raw};
use crate::pages::NewPage;
use crate::pages::warc;
use crate::{Error, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, PageRecord, TenantId};
use std::collections::BTreeMap;
use std::path::Path;
use uuid::Uuid;

/// The changes of one group of commands.
pub(super) struct Group<'t> {
    pub(super) tables: Tables<'t>,
    pub(super) appender: &'t mut Appender,
    directory: &'t Path,
    totals: Totals,
    /// Change of live bytes by segment.
    live: BTreeMap<u32, i64>,
}

/// The frames of a page's response, and the id of its record.
struct Response {
    body: [u8; 32],
    revisit: Option<FrameRef>,
    record_id: Uuid,
}

impl<'t> Group<'t> {
    pub(super) fn begin(tables: Tables<'t>, appender: &'t mut Appender, directory: &'t Path) -> Result<Self> {
        let totals = tables.totals()?;
        Ok(Self { tables, appender, directory, totals, live: BTreeMap::new() })
    }

    pub(super) fn put(&mut self, page: &NewPage) -> Result<()> {
        let key = page_key(&page.record.tenant, &page.record.key);
        let old = self.old_page(&key)?;
        if old.as_ref().is_some_and(|old| old.record.seq > page.record.seq) {
            return Ok(());
        }
        let response = match page.retain {
            Retain::Raw => Some(self.keep_response(page)?),
            Retain::Markdown | Retain::None => None,
        };
        let markdown = match page.retain {
            Retain::Raw | Retain::Markdown if !page.markdown.is_empty() => {
                let source = response.as_ref().map(|response| response.record_id);
                let record = warc::conversion(&page.record, &page.markdown, Uuid::new_v4(), source);
                Some(self.append(&record, page)?)
            }
            _ => None,
        };
        let stored = PageRow {
            record: &page.record,
            body: response.as_ref().map(|response| response.body),
            revisit: response.and_then(|response| response.revisit),
            markdown,
        };
        self.tables.set_page(&key, &stored)?;
        // After the new references were taken, so that a body that stays is not dropped in between.
        match old {
            Some(old) => self.release(&old)?,
            None => self.totals.pages += 1,
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, record: &PageRecord) -> Result<()> {
        let key = page_key(&record.tenant, &record.key);
        let Some(mut stored) = self.tables.page(&key)? else { return Ok(()) };
        if stored.record.seq <= record.seq {
            stored.record = record.clone();
            self.tables.set_page(&key, &stored.row())?;
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, tenant: &TenantId, key: &PageKey) -> Result<()> {
        let key = page_key(tenant, key);
        let Some(old) = self.old_page(&key)? else { return Ok(()) };
        self.tables.pages.remove(key.as_slice()).map_err(|e| Error::engine("forget a page", e))?;
        self.totals.pages = self.totals.pages.saturating_sub(1);
        self.release(&old)
    }

    /// Writes and syncs the frames, then the sums. The caller commits.
    pub(super) fn finish(mut self) -> Result<()> {
        self.appender.flush()?;
        let mut segments = BTreeMap::new();
        for (number, end) in self.appender.take_ends() {
            segments.entry(number).or_insert(self.tables.segment(number)?).end = end;
        }
        for (number, change) in std::mem::take(&mut self.live) {
            let segment = segments.entry(number).or_insert(self.tables.segment(number)?);
            segment.live = segment.live.saturating_add_signed(change);
        }
        for (number, segment) in segments {
            self.tables.set_segment(number, &segment)?;
        }
        self.tables.set_totals(&self.totals)
    }

    /// Copies a frame to the end of the store when it lies in one of `from`; `None` when it stays.
    pub(super) fn move_frame(&mut self, frame: &FrameRef, from: &[u32]) -> Result<Option<FrameRef>> {
        if !from.contains(&frame.segment) {
            return Ok(None);
        }
        let bytes = read_raw(self.directory, frame)?;
        let moved = self.appender.push_raw(&bytes, frame)?;
        self.count_dead(frame);
        self.count_live(&moved);
        Ok(Some(moved))
    }

    pub(super) fn forget_segment(&mut self, number: u32) -> Result<()> {
        self.live.remove(&number);
        let removed = self.tables.segments.remove(segment_key(number).as_slice());
        removed.map_err(|e| Error::engine("forget a segment", e))?;
        Ok(())
    }

    /// The stored version. A damaged one is replaced; what it referred to stays behind as dead bytes for `verify`
    /// to name.
    fn old_page(&self, key: &[u8]) -> Result<Option<StoredPage>> {
        match self.tables.page(key) {
            Err(Error::Corrupt { what, detail }) => {
                tracing::warn!(%what, %detail, "damaged page record is replaced");
                Ok(None)
            }
            answer => answer,
        }
    }

    /// As for pages: a damaged record is as good as none.
    fn known_body(&self, hash: &[u8; 32]) -> Result<Option<StoredBody>> {
        match self.tables.body(hash) {
            Err(Error::Corrupt { what, detail }) => {
                tracing::warn!(%what, %detail, "damaged body record is passed over");
                Ok(None)
            }
            answer => answer,
        }
    }

    fn keep_response(&mut self, page: &NewPage) -> Result<Response> {
        let body_hash = page.record.body_hash;
        let record_id = Uuid::new_v4();
        self.totals.body_references += 1;
        let known = self.known_body(&body_hash)?;
        let n_pages = known.as_ref().map_or(0, |body| body.n_pages) + 1;
        if let Some(body) = known.filter(|body| self.is_readable(&body.frame)) {
            let original = warc::Original { id: body.record_id, url: &body.url, fetched_at: body.fetched_at };
            let record = warc::revisit(page, record_id, &body_hash, &original);
            let revisit = Some(self.append(&record, page)?);
            self.tables.set_body(&body_hash, &StoredBody { n_pages, ..body })?;
            return Ok(Response { body: body_hash, revisit, record_id });
        }
        let frame = self.append(&warc::response(page, record_id, &body_hash), page)?;
        let (url, fetched_at) = (page.record.url.as_str().to_owned(), page.record.fetch.fetched_at);
        self.tables.set_body(&body_hash, &StoredBody { frame, record_id, url, fetched_at, n_pages })?;
        if n_pages == 1 {
            self.totals.bodies += 1;
        }
        Ok(Response { body: body_hash, revisit: None, record_id })
    }

    /// Whether a body that is about to be shared is still sound; a damaged one is written anew.
    fn is_readable(&mut self, frame: &FrameRef) -> bool {
        if self.appender.is_buffered(frame) || read_raw(self.directory, frame).is_ok() {
            return true;
        }
        tracing::warn!(segment = frame.segment, offset = frame.offset, "damaged body is written anew");
        self.count_dead(frame);
        false
    }

    fn append(&mut self, record: &warc::Record, page: &NewPage) -> Result<FrameRef> {
        let frame = self.appender.push(record, page.record.fetch.fetched_at)?;
        self.count_live(&frame);
        Ok(frame)
    }

    fn release(&mut self, page: &StoredPage) -> Result<()> {
        page.revisit.iter().chain(&page.markdown).for_each(|frame| self.count_dead(frame));
        let Some(hash) = page.body else { return Ok(()) };
        self.totals.body_references = self.totals.body_references.saturating_sub(1);
        let Some(mut body) = self.known_body(&hash)? else { return Ok(()) };
        body.n_pages = body.n_pages.saturating_sub(1);
        if body.n_pages > 0 {
            return self.tables.set_body(&hash, &body);
        }
        self.count_dead(&body.frame);
        self.totals.bodies = self.totals.bodies.saturating_sub(1);
        self.tables.bodies.remove(hash.as_slice()).map_err(|e| Error::engine("forget a body", e))?;
        Ok(())
    }

    fn count_live(&mut self, frame: &FrameRef) {
        *self.live.entry(frame.segment).or_default() += signed(frame.bytes);
    }

    fn count_dead(&mut self, frame: &FrameRef) {
        *self.live.entry(frame.segment).or_default() -= signed(frame.bytes);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
