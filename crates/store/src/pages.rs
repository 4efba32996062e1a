//! Contract of the page store: what was fetched and what was made of it, so that a new parser, chunker or model
//! never means a new crawl.

use crate::Result;
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, PageRecord, TenantId};
use async_trait::async_trait;
use bytes::Bytes;

/// A page to be kept.
#[derive(Debug, Clone)]
pub struct NewPage {
    /// Its record.
    pub record: PageRecord,
    /// Response header fields in order, for the WARC record. Names lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The decoded body.
    pub body: Bytes,
    /// Its Markdown; empty when none was made.
    pub markdown: String,
    /// What of it stays.
    pub retain: Retain,
}

/// The durable store of pages. A call returns when what it wrote is synced.
#[async_trait]
pub trait PageStore: Send + Sync + 'static {
    /// Keeps a page, replacing an older version. A version with a lower `seq` than the stored one changes nothing.
    async fn put(&self, page: NewPage) -> Result<()>;
    /// Replaces only the record (an unchanged page: fetch facts, validators, job, `seq`).
    async fn touch(&self, record: PageRecord) -> Result<()>;
    /// The record.
    async fn record(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<PageRecord>>;
    /// The decoded body, when it was retained.
    async fn body(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>>;
    /// The Markdown, when it was retained.
    async fn markdown(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<String>>;
    /// Forgets a page. Unknown pages are no error.
    async fn delete(&self, tenant: &TenantId, key: &PageKey) -> Result<()>;
    /// Records in key order after `after`, at most `limit`.
    async fn scan(&self, tenant: &TenantId, after: Option<PageKey>, limit: usize) -> Result<Vec<PageRecord>>;
    /// Checks records and bodies against their checksums; answers what is wrong, in words.
    async fn verify(&self) -> Result<Vec<String>>;
}
