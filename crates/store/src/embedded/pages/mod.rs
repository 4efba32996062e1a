//! Pages on one machine: an archive that any WARC tool reads, and an index beside it.
//!
//! A page's response becomes one WARC/1.1 record in its own zstd frame, appended to `segments/NNNNNN.warc.zst`; its
//! Markdown a `conversion` record. A body that is kept already is not written again: the page gets a `revisit` record.
//! Where everything lies is in `index.redb`. One thread writes: it gathers changes for some milliseconds, appends
//! their frames, syncs the segment, then commits the index, then answers. So whatever was answered survives a
//! kill -9 at any instant, and what lies behind a segment's end in the index was never answered and is cut at open.
//! Frames are never changed in place; what nothing refers to any more is dead until [`EmbeddedPages::compact`].

mod compact;
mod group;
mod index;
mod read;
mod segment;
mod verify;
mod writer;

pub use compact::Compaction;

use super::data_dir::DiskReserve;
use crate::pages::{HeaderFields, NewPage, PageStore};
use crate::{Error, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::{PageKey, PageRecord, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use read::Shared;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use writer::{Change, Command, Message, Writer};

/// Room that a change takes in the queue beside its bytes, in KiB: bounds their number.
const CHANGE_KIB: u32 = 16;

/// How the store is kept.
#[derive(Debug, Clone)]
pub struct PageOptions {
    /// A segment file is closed when it holds so many bytes.
    pub segment_bytes: u64,
    /// How long a change waits for others to share its sync.
    pub group_wait: Duration,
    /// KiB of changes under way, 16 of them for each change beside its bytes. Callers wait when it is used up.
    pub queue_kib: u32,
    /// Bytes of the index kept in memory.
    pub cache_bytes: usize,
    /// What stays free on the disk.
    pub reserve: DiskReserve,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 256 * 1024 * 1024,
            group_wait: Duration::from_millis(10),
            queue_kib: 16 * 1024,
            cache_bytes: 8 * 1024 * 1024,
            reserve: DiskReserve::default(),
        }
    }
}

/// Numbers about the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Pages of all tenants.
    pub pages: u64,
    /// Different bodies.
    pub bodies: u64,
    /// Bodies that were not written because an equal one was there.
    pub shared_bodies: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of frames in use.
    pub live_bytes: u64,
    /// Bytes of segments that nothing refers to.
    pub dead_bytes: u64,
}

/// The page store of one machine. Dropping it finishes what was accepted.
pub struct EmbeddedPages {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    room_kib: u32,
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedPages {
    /// Opens or makes the store in `directory`. Blocks on the disk.
    ///
    /// # Errors
    /// When the index or a segment cannot be opened, is damaged, or was written by a newer version.
    pub fn open(directory: &Path, options: PageOptions) -> Result<Self> {
        let shared = Arc::new(Shared::open(directory.to_owned(), options.cache_bytes)?);
        let appender = shared.with_database(|db| writer::open_appender(&shared, db, options.segment_bytes))?;
        let room_kib = options.queue_kib.max(CHANGE_KIB);
        // Each change holds at least CHANGE_KIB of room, so this many fit at once; one place is left for compaction.
        let (queue, receiver) = sync_channel((room_kib / CHANGE_KIB) as usize + 1);
        let writer = Writer { shared: Arc::clone(&shared), options, appender: Some(appender) };
        let thread = std::thread::Builder::new().name("page-writer".to_owned()).spawn(move || writer.run(&receiver));
        let thread = Some(thread.map_err(|e| Error::engine("start the page writer", e))?);
        let room = Arc::new(Semaphore::new(room_kib as usize));
        Ok(Self { shared, room, room_kib, queue: Some(queue), thread })
    }

    /// Numbers about the store.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn stats(&self) -> Result<PageStats> {
        self.ask(|shared| shared.stats()).await
    }

    /// Rewrites segments of which more than half is dead. Writes wait meanwhile.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when there is no room for the copies; when the index or a segment cannot be written.
    pub async fn compact(&self) -> Result<Compaction> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.clone().ok_or(Error::Closed)?;
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Compact(reply)).is_ok()).await;
        match sent {
            Ok(true) => answer.await.map_err(|_| Error::Closed)?,
            _ => Err(Error::Closed),
        }
    }

    /// # Cancel
    /// A change that was handed over is made whether or not its answer is awaited.
    async fn change(&self, change: Change, bytes: u64) -> Result<()> {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).saturating_add(CHANGE_KIB).min(self.room_kib);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let command = Command { change, bytes, reply, _room: room };
        // Never full: see `open`. So this does not block.
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        queue.try_send(Message::Change(command)).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || ask(&shared));
        task.await.map_err(|e| Error::engine("read a page", e))?
    }
}

impl Drop for EmbeddedPages {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl PageStore for EmbeddedPages {
    async fn put_shared(&self, page: Arc<NewPage>) -> Result<()> {
        if page.retain == Retain::Raw && *blake3::hash(&page.body).as_bytes() != page.record.body_hash {
            let what = format!("the new body of {}", page.record.url.as_str());
            return Err(Error::Corrupt { what, detail: "it does not match the record's hash".to_owned() });
        }
        let header_bytes: usize = page.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = (page.body.len() + page.markdown.len() + header_bytes) as u64;
        self.change(Change::Put(page), bytes).await
    }

    async fn touch(&self, record: PageRecord) -> Result<()> {
        self.change(Change::Touch(Box::new(record)), 0).await
    }

    async fn record(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<PageRecord>> {
        let (tenant, key) = (tenant.clone(), *key);
        self.ask(move |shared| shared.record(&tenant, &key)).await
    }

    async fn record_with(&self, tenant: &TenantId, key: &PageKey, retain: Retain) -> Result<Option<PageRecord>> {
        let (tenant, key) = (tenant.clone(), *key);
        self.ask(move |shared| shared.record_with(&tenant, &key, retain)).await
    }

    async fn body(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>> {
        let (tenant, key) = (tenant.clone(), *key);
        self.ask(move |shared| shared.body(&tenant, &key)).await
    }

    async fn headers(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<HeaderFields>> {
        let (tenant, key) = (tenant.clone(), *key);
        self.ask(move |shared| shared.headers(&tenant, &key)).await
    }

    async fn markdown(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<String>> {
        let (tenant, key) = (tenant.clone(), *key);
        self.ask(move |shared| shared.markdown(&tenant, &key)).await
    }

    async fn delete(&self, tenant: &TenantId, key: &PageKey) -> Result<()> {
        self.change(Change::Delete(tenant.clone(), *key), 0).await
    }

    async fn scan(&self, tenant: &TenantId, after: Option<PageKey>, limit: usize) -> Result<Vec<PageRecord>> {
        let tenant = tenant.clone();
        self.ask(move |shared| shared.scan(&tenant, after, limit)).await
    }

    async fn verify(&self) -> Result<Vec<String>> {
        self.ask(Shared::verify).await
    }
}
