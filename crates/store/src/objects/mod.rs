//! Pages on storage that the nodes of a cluster share: an S3-compatible bucket, or a directory that all of them see.
//!
//! A page is one object that holds its record, header fields and Markdown, sealed together, and names its body; a body
//! is an object of its own, named by the day it was first written and its BLAKE3 (`layout`, `codec`).
//!
//! Constraints, and what follows from them:
//! - *Several nodes write at once, and any may die.* The only thing that ever changes is the page's object, and it is
//!   replaced whole, by a conditional write: "only if it is still the one I read" (`place`). So record and Markdown of
//!   two versions cannot mix, the higher `seq` wins whoever comes last, and a crash leaves the old version or the new.
//! - *A page must not name a body that is not there.* The body is durable before the page names it (`put`), and bodies
//!   are never changed.
//! - *A body that nobody names must go, but not under a writer that is about to name it.* Neither S3 nor a file system
//!   can delete "only if still unnamed". So a writer shares bodies of the present day only, or those that its page names
//!   already, and only bodies of days before yesterday are removed: nobody can begin to name these (`sweep`).
//! - *Requests cost, not bytes.* A page takes one read and two writes, a page that changed nothing one read and one
//!   write, any question one read.
//!
//! Two kinds of storage keep the one small contract of `place`: `bucket` and `directory`. `docs/PAGES.md` is the
//! operator's view, `docs/adr/0006-pages-as-objects.md` says what else was weighed.

mod bucket;
mod codec;
mod directory;
mod fault;
mod floor;
mod layout;
mod open;
mod options;
mod place;
mod put;
mod read;
mod sweep;
mod verify;

pub use options::{BucketOptions, Clock, Location, ObjectOptions};

use crate::error::ServerFault;
use crate::pages::{HeaderFields, NewPage, PageStore, holds};
use crate::{Error, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::{Epoch, PageKey, PageRecord, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use codec::StoredPage;
use place::Place;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The page store of a cluster.
pub struct ObjectPages {
    place: Box<dyn Place>,
    clock: Clock,
    operation_timeout: Duration,
    max_reads: usize,
    writes: Semaphore,
}

impl ObjectPages {
    /// Opens the store, and makes it when nothing is there.
    ///
    /// # Errors
    /// `Newer` when a newer version of this program made it, `Corrupt` when something else is there, `NotDurable` when
    /// the storage has no conditional writes or no locks, `Server` when it refuses or does not answer in time.
    pub async fn open(options: ObjectOptions) -> Result<Self> {
        let place = open::open(&options).await?;
        Ok(Self {
            place,
            clock: options.clock,
            operation_timeout: options.operation_timeout,
            max_reads: options.max_requests.max(1),
            writes: Semaphore::new(options.max_writes.max(1)),
        })
    }

    /// The end of an operation that begins now.
    fn deadline(&self) -> Instant {
        Instant::now() + self.operation_timeout
    }

    /// Bounds the pages that are in memory for writing.
    async fn permit(&self, until: Instant) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout_at(until.into(), self.writes.acquire()).await {
            Ok(permit) => permit.map_err(|_| Error::Closed),
            Err(_) => Err(fault::server("wait for other writes", ServerFault::Timeout, "the time is over")),
        }
    }
}

#[async_trait]
impl PageStore for ObjectPages {
    async fn put_shared(&self, page: Arc<NewPage>) -> Result<()> {
        put::put(self, page).await
    }

    async fn touch(&self, record: PageRecord) -> Result<()> {
        put::touch(self, record).await
    }

    async fn record(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<PageRecord>> {
        Ok(read::page(self, tenant, key).await?.map(|page| page.record))
    }

    async fn record_with(&self, tenant: &TenantId, key: &PageKey, retain: Retain) -> Result<Option<PageRecord>> {
        let holds = |page: &StoredPage| holds(&page.record, page.response.is_some(), page.markdown.is_some(), retain);
        Ok(read::page(self, tenant, key).await?.filter(holds).map(|page| page.record))
    }

    async fn body(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>> {
        read::body(self, tenant, key).await
    }

    async fn headers(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<HeaderFields>> {
        Ok(read::page(self, tenant, key).await?.and_then(|page| page.response).map(|response| response.headers))
    }

    async fn markdown(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<String>> {
        Ok(read::page(self, tenant, key).await?.and_then(|page| page.markdown))
    }

    async fn delete(&self, tenant: &TenantId, key: &PageKey) -> Result<()> {
        self.place.delete(&layout::page(tenant, key), self.deadline()).await
    }

    async fn scan(&self, tenant: &TenantId, after: Option<PageKey>, limit: usize) -> Result<Vec<PageRecord>> {
        read::scan(self, tenant, after, limit).await
    }

    async fn verify(&self) -> Result<Vec<String>> {
        verify::verify(self).await
    }

    async fn remove_strays(&self) -> Result<u64> {
        sweep::remove_strays(self).await
    }

    async fn epoch_floor(&self) -> Result<Epoch> {
        floor::read(self).await
    }

    async fn raise_epoch_floor(&self, epoch: Epoch) -> Result<()> {
        floor::raise(self, epoch).await
    }
}

impl std::fmt::Debug for ObjectPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectPages").field("operation_timeout", &self.operation_timeout).finish_non_exhaustive()
    }
}

/// Work below this many bytes costs less than the way to another thread.
const INLINE_BYTES: usize = 64 * 1024;

/// Runs what takes CPU in proportion to `n_bytes`, on the runtime's threads for it when it is much.
async fn compute<T: Send + 'static>(n_bytes: usize, run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if n_bytes <= INLINE_BYTES {
        return run();
    }
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| Err(Error::engine("work on a page", error)))
}
