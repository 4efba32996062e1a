//! Vectors on a Qdrant server or cluster: what several nodes write and search together.
//!
//! [`QdrantVectors`] keeps the contract of the embedded store with the same fields, ids and BM25 weights. The server
//! keeps the log and the indexes; what is done here:
//! - collections are made or checked when the store is opened (`schema`);
//! - a page's version becomes visible with its head, fenced by the server itself (`write`);
//! - a search never mixes versions, though it takes more than one call (`read`);
//! - each call has a deadline and errors say whether trying again helps (`link`, `fault`);
//! - a server that is slow gets smaller batches (`pace`), one that is away is left alone (`breaker`).
//!
//! Nothing is kept in memory beyond the calls that run.

mod breaker;
mod fault;
mod link;
mod options;
mod pace;
mod payload;
mod read;
mod schema;
mod write;

pub use options::QdrantOptions;

use crate::error::ServerFault;
use crate::vectors::lexical::Lexical;
use crate::vectors::{
    IndexModel, PageHead, PageWrite, Side, SideHit, SideQuery, StoredChunk, VectorStore, WriteAnswer,
};
use crate::{Error, Result};
use argiope_protocol::{ChunkId, PageKey, TenantId};
use async_trait::async_trait;
use fault::Failure;
use link::Link;
use pace::Pace;
use schema::Collections;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

/// Between two looks at which languages are stored: other nodes write as well.
const LANGUAGES_EVERY: Duration = Duration::from_secs(10);

/// The vector store of a server.
#[derive(Debug)]
pub struct QdrantVectors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Link,
    model: IndexModel,
    options: QdrantOptions,
    collections: Collections,
    lexical: Lexical,
    languages_read: Mutex<Instant>,
    pace: Mutex<Pace>,
    writes: Semaphore,
}

impl Shared {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bounds what is in memory for the server.
    async fn permit(&self, until: Instant) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout_at(until.into(), self.writes.acquire()).await {
            Ok(permit) => permit.map_err(|_| Error::Closed),
            Err(_) => Err(Failure::timeout(self.options.write_timeout).into_error("wait for other writes")),
        }
    }

    /// Notes what languages other nodes have stored.
    async fn refresh_languages(&self) -> Result<()> {
        {
            let mut read = self.languages_read.lock().unwrap_or_else(PoisonError::into_inner);
            if read.elapsed() < LANGUAGES_EVERY {
                return Ok(());
            }
            *read = Instant::now();
        }
        self.note_languages(self.link.deadline()).await
    }

    async fn note_languages(&self, until: Instant) -> Result<()> {
        let codes = read::languages(self, until).await?;
        codes.iter().for_each(|code| self.lexical.note_stored(Some(code)));
        Ok(())
    }
}

impl QdrantVectors {
    /// Connects, and makes the collections or checks that they are of this model.
    ///
    /// # Errors
    /// `ModelMismatch` when the collections are of another model, dimension or program, `Newer` when a newer version
    /// of this program made them, `Server` when the server refuses or does not answer in time.
    pub async fn open(options: QdrantOptions, model: IndexModel) -> Result<Self> {
        let until = Instant::now() + options.write_timeout;
        let link = Link::new(&options)?;
        let collections = schema::open(&link, &options, &model, until).await?;
        let lexical = Lexical::try_new(collections.average_words)?;
        let pace = Mutex::new(Pace::new(options.batch_bytes.clone(), options.slow_batch));
        let writes = Semaphore::new(options.max_writes.max(1));
        let languages_read = Mutex::new(Instant::now());
        let shared = Shared { link, model, options, collections, lexical, languages_read, pace, writes };
        shared.note_languages(until).await?;
        Ok(Self(Arc::new(shared)))
    }

    /// Bytes of points that the next call carries at most: the server's pace.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.0.pace().batch_bytes()
    }

    async fn sides(&self, sides: &'static [Side], query: &SideQuery) -> Result<Vec<Vec<SideHit>>> {
        self.0.refresh_languages().await?;
        let (shared, asked) = (Arc::clone(&self.0), query.clone());
        let vectors = compute(move || {
            sides.iter().map(|&side| Ok((side, read::side_vector(&shared, side, &asked)?))).collect::<Result<Vec<_>>>()
        });
        read::search(&self.0, vectors.await?, query).await
    }
}

#[async_trait]
impl VectorStore for QdrantVectors {
    fn model(&self) -> &IndexModel {
        &self.0.model
    }

    async fn apply_shared(&self, group: Vec<Arc<PageWrite>>) -> Result<Vec<WriteAnswer>> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let until = Instant::now() + self.0.options.write_timeout;
        let _permit = self.0.permit(until).await?;
        let shared = Arc::clone(&self.0);
        let prepare = move || group.iter().map(|write| write::prepare(&shared, write)).collect::<Result<Vec<_>>>();
        let writes = compute(prepare).await?;
        write::apply(&self.0, writes, until).await
    }

    async fn heads(&self, tenant: &TenantId, pages: &[PageKey]) -> Result<Vec<Option<PageHead>>> {
        let ids: Vec<Uuid> = pages.iter().map(|page| page.head_id(tenant)).collect();
        let found = read::heads_by_id(&self.0, &ids, self.0.link.deadline()).await?;
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn search(&self, side: Side, query: &SideQuery) -> Result<Vec<SideHit>> {
        let sides: &'static [Side] = match side {
            Side::Lexical => &[Side::Lexical],
            Side::Semantic => &[Side::Semantic],
        };
        Ok(self.sides(sides, query).await?.into_iter().next().unwrap_or_default())
    }

    async fn search_both(&self, query: &SideQuery) -> Result<(Vec<SideHit>, Vec<SideHit>)> {
        let mut hits = self.sides(&[Side::Lexical, Side::Semantic], query).await?.into_iter();
        Ok((hits.next().unwrap_or_default(), hits.next().unwrap_or_default()))
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64> {
        read::count(&self.0, tenant).await
    }

    async fn scan_chunks(&self, tenant: &TenantId, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>> {
        read::scan_chunks(&self.0, tenant, after, limit).await
    }

    async fn scan_heads(
        &self,
        tenant: &TenantId,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<PageHead>, Option<Uuid>)> {
        read::scan_heads(&self.0, tenant, after, limit).await
    }

    async fn remove_strays(&self, chunks: Vec<ChunkId>) -> Result<()> {
        let until = Instant::now() + self.0.options.write_timeout;
        let _permit = self.0.permit(until).await?;
        write::remove(&self.0, &chunks, until).await
    }
}

/// Runs what takes CPU on the runtime's threads for it.
async fn compute<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let task = tokio::task::spawn_blocking(run);
    task.await
        .unwrap_or_else(|error| Err(Failure::new(ServerFault::Refused, error.to_string()).into_error("prepare a call")))
}
