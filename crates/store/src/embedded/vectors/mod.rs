//! Vectors on the engine inside this process: nothing else has to be installed.
//!
//! [`EmbeddedVectors`] keeps two shards of `qdrant-edge`: chunks of one embedding model, with a dense and a BM25
//! vector each, and page heads. What the engine cannot do by itself is done here:
//! - It does not replay its log after a crash, so a write is answered after a flush, and writes of several callers
//!   share one (`writer`). A crash leaves strays, never half a page.
//! - Its update, flush and optimisation must not meet, so one thread owns them; readers run beside it (`read`).
//! - Its log is never cut, so old files of it are removed before it is opened (`shards`).
//! - It dies on a full disk, so nothing is written when the disk is nearly full (`space`).
//! - It panics where others return errors, so each call into it is caught; after a failure the writer opens the
//!   index once more.
//!
//! Searches scan: no HNSW graph is built yet, at any size. Up to about 100,000 chunks that is the faster way; above
//! it a semantic search takes time in proportion to the number of chunks.

mod activity;
mod compact;
mod group;
mod meta;
mod options;
mod payload;
mod read;
mod shards;
mod space;
mod writer;

pub use activity::Activity;
pub use options::VectorOptions;

use crate::vectors::lexical::Lexical;
use crate::vectors::{
    ChunkPoint, IndexModel, PageHead, PageWrite, Side, SideHit, SideQuery, StoredChunk, VectorStore, WriteAnswer,
};
use crate::{Error, Result};
use activity::Counts;
use argiope_protocol::{ChunkId, PageKey, TenantId};
use async_trait::async_trait;
use group::PreparedPoints;
use meta::{DirLock, Meta};
use payload::{LANGUAGE, chunk_to_payload, path, point_id};
use qdrant_edge::{FacetRequest, FacetValueHit, PointStructPersisted, VectorPersisted, VectorStructPersisted};
use shards::{BM25, DENSE, Shards, caught};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;
use writer::{Command, QueuedWrites, Writer};

/// Fewest threads that run the engine's code for callers.
const MIN_THREADS: usize = 2;

/// The vector store of one machine.
///
/// Dropping it flushes and waits for its thread, which takes up to some hundred milliseconds; in async code
/// [`EmbeddedVectors::close`] does the same without blocking.
#[derive(Debug)]
pub struct EmbeddedVectors {
    shared: Arc<Shared>,
    /// Room in the queue, one permit a chunk and one a call.
    room: Arc<Semaphore>,
    /// One permit a thread that may run the engine's code at a time.
    threads: Arc<Semaphore>,
    writer: Mutex<Option<WriterHandle>>,
}

#[derive(Debug)]
struct WriterHandle {
    commands: SyncSender<Command>,
    thread: JoinHandle<()>,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    model: IndexModel,
    options: VectorOptions,
    lexical: Lexical,
    counts: Counts,
    state: RwLock<State>,
}

#[derive(Debug)]
enum State {
    Open(Box<Shards>),
    Failed(String),
    Closed,
}

impl Shared {
    /// Runs with the shards beside other readers; heads do not change meanwhile.
    fn with_shards<T>(&self, run: impl FnOnce(&Shards) -> Result<T>) -> Result<T> {
        run(open_shards(&self.state.read().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// Runs with the shards while nobody reads.
    fn with_shards_alone<T>(&self, run: impl FnOnce(&Shards) -> Result<T>) -> Result<T> {
        run(open_shards(&self.state.write().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// Puts another state in place and answers the old one.
    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut self.state.write().unwrap_or_else(PoisonError::into_inner), state)
    }
}

fn open_shards(state: &State) -> Result<&Shards> {
    match state {
        State::Open(shards) => Ok(shards),
        State::Failed(message) => {
            Err(Error::Engine { context: "use the index", message: message.clone(), is_poisoned: true })
        }
        State::Closed => Err(Error::Closed),
    }
}

impl EmbeddedVectors {
    /// Opens the index in `dir`, or makes it. Blocks for some file system work.
    ///
    /// # Errors
    /// `Locked` when it is open already, `ModelMismatch` when it was made with another model or dimension, `Newer`
    /// when a newer version of this program made it, `DiskFull` when it is new and has no room, `Corrupt`, or what the
    /// engine says.
    pub fn open(dir: impl AsRef<Path>, model: IndexModel, options: VectorOptions) -> Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|error| Error::engine("make the index's directory", error))?;
        let lock = DirLock::take(&dir)?;
        if !Meta::exists(&dir) {
            space::check(&dir, &options, 1)?;
        }
        let meta = Meta::open(&dir, &model, options.average_words)?;
        let shards = Shards::open(&dir, &model, options.optimize_every)?;
        let lexical = Lexical::try_new(meta.average_words)?;
        stored_languages(&shards)?.iter().for_each(|code| lexical.note_stored(Some(code)));
        let n_room = options.queue_chunks.max(1);
        let state = RwLock::new(State::Open(Box::new(shards)));
        let shared = Arc::new(Shared { dir, model, options, lexical, counts: Counts::default(), state });
        // Each command that takes room takes at least one permit, so the queue is never full of them; the rest is
        // for closing and for removing strays.
        let (commands, receiver) = sync_channel(usize::try_from(n_room).unwrap_or(usize::MAX).saturating_add(16));
        let writer = Writer::new(Arc::clone(&shared), receiver, lock);
        let thread = std::thread::Builder::new()
            .name("vector-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::engine("start the writer", error))?;
        let room = Arc::new(Semaphore::new(usize::try_from(n_room).unwrap_or(usize::MAX)));
        let n_threads = std::thread::available_parallelism().map_or(MIN_THREADS, |n| n.get().max(MIN_THREADS));
        let threads = Arc::new(Semaphore::new(n_threads));
        Ok(Self { shared, room, threads, writer: Mutex::new(Some(WriterHandle { commands, thread })) })
    }

    /// Writes out what is queued, flushes and closes; the directory can be opened again then. Later calls answer
    /// [`Error::Closed`]; closing twice is no error.
    ///
    /// # Errors
    /// When the engine fails to flush.
    pub async fn close(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let Some(handle) = self.take_writer() else { return Ok(()) };
        blocking(move || {
            // The thread may have ended; then there is nothing left to close.
            drop(handle.commands.send(Command::Close { reply }));
            handle.thread.join().map_err(|_| Error::engine("close the index", "its writer panicked"))
        })
        .await?;
        answer.await.unwrap_or(Ok(()))
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.shared.counts.read()
    }

    fn take_writer(&self) -> Option<WriterHandle> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hands a command to the writer without waiting: the caller holds room for it.
    fn send(&self, command: Command) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = writer.as_ref().ok_or(Error::Closed)?;
        handle.commands.try_send(command).map_err(|_| Error::Engine {
            context: "queue a write",
            message: "the writer ended".to_owned(),
            is_poisoned: true,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        context: &'static str,
        run: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        self.compute(move || caught(context, || run(&shared))).await
    }

    /// Runs code that takes CPU. Bounded: each thread of the runtime's pool keeps memory of its own, and the pool
    /// has as many as there are calls.
    async fn compute<T: Send + 'static>(&self, run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Error::Closed)?;
        blocking(move || {
            let result = run();
            drop(permit);
            result
        })
        .await
    }
}

impl Drop for EmbeddedVectors {
    fn drop(&mut self) {
        let Some(handle) = self.take_writer() else { return };
        drop(handle.commands);
        if handle.thread.join().is_err() {
            tracing::error!("vector writer panicked");
        }
    }
}

#[async_trait]
impl VectorStore for EmbeddedVectors {
    fn model(&self) -> &IndexModel {
        &self.shared.model
    }

    async fn apply_shared(&self, group: Vec<Arc<PageWrite>>) -> Result<Vec<WriteAnswer>> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let n_chunks: usize = group.iter().map(|write| write.new_chunks.len()).sum();
        // A call larger than the whole queue waits until the queue is empty.
        let n_room = u32::try_from(n_chunks + 1).unwrap_or(u32::MAX).min(self.shared.options.queue_chunks.max(1));
        let room = Arc::clone(&self.room).acquire_many_owned(n_room).await.map_err(|_| Error::Closed)?;
        let shared = Arc::clone(&self.shared);
        let writes = self
            .compute(move || {
                caught("prepare a write", || {
                    group.iter().map(|write| prepare(&shared, write)).collect::<Result<Vec<_>>>()
                })
            })
            .await?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Apply(QueuedWrites { writes, reply, room }))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    async fn heads(&self, tenant: &TenantId, pages: &[PageKey]) -> Result<Vec<Option<PageHead>>> {
        let (tenant, pages) = (tenant.clone(), pages.to_vec());
        self.read("read page heads", move |shared| read::heads(shared, &tenant, &pages)).await
    }

    async fn search(&self, side: Side, query: &SideQuery) -> Result<Vec<SideHit>> {
        let query = query.clone();
        let hits = self.read("search the index", move |shared| read::search(shared, &[side], &query)).await?;
        Ok(hits.into_iter().next().unwrap_or_default())
    }

    async fn search_both(&self, query: &SideQuery) -> Result<(Vec<SideHit>, Vec<SideHit>)> {
        let query = query.clone();
        let sides = [Side::Lexical, Side::Semantic];
        let mut hits =
            self.read("search the index", move |shared| read::search(shared, &sides, &query)).await?.into_iter();
        Ok((hits.next().unwrap_or_default(), hits.next().unwrap_or_default()))
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64> {
        let tenant = tenant.clone();
        self.read("count the chunks", move |shared| read::count(shared, &tenant)).await
    }

    async fn scan_chunks(&self, tenant: &TenantId, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>> {
        let tenant = tenant.clone();
        self.read("list the chunks", move |shared| read::scan_chunks(shared, &tenant, after, limit)).await
    }

    async fn scan_heads(
        &self,
        tenant: &TenantId,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<PageHead>, Option<Uuid>)> {
        let tenant = tenant.clone();
        self.read("list the heads", move |shared| read::scan_heads(shared, &tenant, after, limit)).await
    }

    async fn remove_strays(&self, chunks: Vec<ChunkId>) -> Result<()> {
        let _room = self.room.acquire().await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Remove { chunks, reply })?;
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

/// Makes a write ready for the engine: BM25 and payloads, which take CPU and need no lock.
fn prepare(shared: &Shared, write: &PageWrite) -> Result<PreparedPoints> {
    let points = write.new_chunks.iter().map(|chunk| prepare_chunk(shared, chunk));
    let points = points.collect::<Result<_>>()?;
    Ok(PreparedPoints { head: write.head.clone(), points, moved: write.moved.clone(), stale: write.stale.clone() })
}

fn prepare_chunk(shared: &Shared, chunk: &ChunkPoint) -> Result<(ChunkId, PointStructPersisted)> {
    shared.model.check(&chunk.dense, || format!("vector of chunk {}", chunk.id))?;
    shared.lexical.note_stored(chunk.payload.language.as_deref());
    let words = shared.lexical.embed_chunk(&chunk.payload)?;
    let mut vectors = HashMap::from([(DENSE.into(), VectorPersisted::Dense(chunk.dense.clone()))]);
    if !words.indices.is_empty() {
        vectors.insert(BM25.into(), VectorPersisted::Sparse(words));
    }
    let point = PointStructPersisted {
        id: point_id(chunk.id.0),
        vector: VectorStructPersisted::Named(vectors),
        payload: Some(chunk_to_payload(&chunk.payload)),
    };
    Ok((chunk.id, point))
}

/// Language codes of the stored chunks, the most frequent first.
fn stored_languages(shards: &Shards) -> Result<Vec<String>> {
    caught("read the languages", || {
        let request = FacetRequest { key: path(LANGUAGE)?, limit: 16, filter: None, exact: false };
        let facet = shards.chunks.facet(request).map_err(|error| Error::engine("read the languages", error))?;
        let code = |hit: FacetValueHit| match hit.value {
            qdrant_edge::FacetValue::Keyword(code) => Some(code),
            _ => None,
        };
        Ok(facet.hits.into_iter().filter_map(code).collect())
    })
}

/// Runs blocking code on the runtime's threads for it.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let task = tokio::task::spawn_blocking(run);
    task.await.unwrap_or_else(|error| Err(Error::engine("run a task", error)))
}
