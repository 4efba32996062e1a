//! Contract of the page store: what was fetched and what was made of it, so that a new parser, chunker or model
//! never means a new crawl.

mod findings;
pub(crate) mod warc;

pub(crate) use findings::Findings;

use crate::Result;
use argiope_protocol::job::Retain;
use argiope_protocol::{Epoch, PageKey, PageRecord, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// Response header fields in order.
pub type HeaderFields = Vec<(String, Vec<u8>)>;

/// A page to be kept.
#[derive(Debug, Clone)]
pub struct NewPage {
    /// Its record.
    pub record: PageRecord,
    /// Response header fields in order, for the WARC record. Names lower case. Fields whose name is no token are
    /// left out, line breaks inside values become spaces.
    pub headers: HeaderFields,
    /// The decoded body; only looked at when it stays. Its BLAKE3 is `record.body_hash`.
    pub body: Bytes,
    /// Its Markdown; empty when none was made.
    pub markdown: String,
    /// What of it stays.
    pub retain: Retain,
}

/// `PageRecord::extraction` of a page without text.
const NO_TEXT: &str = "none";

/// Whether a stored page has what `retain` asks for. Of what gives no text no Markdown can be missing.
pub(crate) fn holds(record: &PageRecord, has_body: bool, has_markdown: bool, retain: Retain) -> bool {
    match retain {
        Retain::Raw => has_body,
        Retain::Markdown => has_markdown || record.extraction == NO_TEXT,
        Retain::None => true,
    }
}

/// The durable store of pages. A call returns when what it wrote is synced.
#[async_trait]
pub trait PageStore: Send + Sync + 'static {
    /// Keeps a page, replacing an older version. A version with a lower `seq` than the stored one changes nothing;
    /// an equal `seq` replaces, so that a repeated call does no harm. With `Retain::Raw`, a body that does not
    /// match `record.body_hash` is refused as corrupt.
    ///
    /// # Cancel
    /// The page may be kept although the future was dropped.
    async fn put_shared(&self, page: Arc<NewPage>) -> Result<()>;
    /// [`PageStore::put_shared`] of a page that nobody else needs.
    async fn put(&self, page: NewPage) -> Result<()> {
        self.put_shared(Arc::new(page)).await
    }
    /// Replaces only the record (an unchanged page: fetch facts, validators, job, `seq`); body and Markdown stay.
    /// A page that is not stored, or is stored with a higher `seq`, stays as it is.
    async fn touch(&self, record: PageRecord) -> Result<()>;
    /// The record.
    async fn record(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<PageRecord>>;
    /// The record of a page of which at least as much is kept as `retain` asks for: then nothing is missing when the
    /// page is found unchanged.
    async fn record_with(&self, tenant: &TenantId, key: &PageKey, retain: Retain) -> Result<Option<PageRecord>>;
    /// The decoded body, when it was retained.
    async fn body(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>>;
    /// The response's header fields, when the body was retained. The fields that described the body on the wire
    /// (`content-encoding`, `transfer-encoding`, `content-length`) carry the prefix `x-crawler-`; `content-length`,
    /// the last field, is the decoded body's.
    async fn headers(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<HeaderFields>>;
    /// The Markdown, when it was retained and not empty.
    async fn markdown(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<String>>;
    /// Forgets a page. Unknown pages are no error.
    async fn delete(&self, tenant: &TenantId, key: &PageKey) -> Result<()>;
    /// Records in key order after `after`, at most `limit`. A damaged record fails the call; `verify` names them all.
    async fn scan(&self, tenant: &TenantId, after: Option<PageKey>, limit: usize) -> Result<Vec<PageRecord>>;
    /// Checks records and bodies against their checksums; answers what is wrong, in words.
    async fn verify(&self) -> Result<Vec<String>>;
    /// Removes what no page names and no writer can be about to name; answers how much. Safe beside writers. A store
    /// that leaves nothing behind, or gives room back by other means, has nothing to do.
    async fn remove_strays(&self) -> Result<u64> {
        Ok(0)
    }
    /// The highest epoch under which pages may have been written: a frontier that is older than the pages, or was begun
    /// empty beside them, must not give it out again, since pages keep the higher `seq`. A store that lives and dies
    /// with its frontier has none.
    async fn epoch_floor(&self) -> Result<Epoch> {
        Ok(Epoch::default())
    }
    /// Raises it, durably, before the first page is written under that epoch. It never sinks.
    async fn raise_epoch_floor(&self, _epoch: Epoch) -> Result<()> {
        Ok(())
    }
}
