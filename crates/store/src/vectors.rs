//! Contract of the vector store: chunks that can be searched, and page heads that say which of them are visible.
//!
//! A page head is the switch (P-fresh): it lists the chunk ids of the visible version. Chunks are written
//! before the head that lists them and deleted after the head that no longer does, so a crash anywhere leaves
//! strays but never a half page. Searches drop hits that their page's head does not list.

pub(crate) mod lexical;
pub(crate) mod payload;
pub(crate) mod plan;
mod words;

use crate::Result;
use argiope_protocol::{ChunkId, JobId, PageKey, TenantId, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which model's vectors an index holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexModel {
    /// The model's id, e.g. `docs-static-256p`.
    pub id: String,
    /// Components of a vector.
    pub dimension: u32,
}

impl IndexModel {
    /// The id as part of a directory's or a collection's name.
    pub(crate) fn name_part(&self) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        self.id.chars().take(80).map(|c| if allowed(c) { c } else { '_' }).collect()
    }

    /// Whether a vector is one of this model: as long, and of numbers only.
    pub(crate) fn check(&self, vector: &[f32], of: impl Fn() -> String) -> Result<()> {
        if u32::try_from(vector.len()).ok() != Some(self.dimension) {
            let wanted = format!("{} dimensions", vector.len());
            return Err(crate::Error::ModelMismatch { found: self.to_string(), wanted });
        }
        if !vector.iter().all(|component| component.is_finite()) {
            return Err(crate::Error::Corrupt { what: of(), detail: "not finite".to_owned() });
        }
        Ok(())
    }
}

impl std::fmt::Display for IndexModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} dimensions)", self.id, self.dimension)
    }
}

/// A chunk as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkPoint {
    /// Its id.
    pub id: ChunkId,
    /// Unit-length vector, `[dimension] f32`.
    pub dense: Vec<f32>,
    /// What is kept beside the vector.
    pub payload: ChunkPayload,
}

/// What is kept beside a chunk's vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPayload {
    /// Whose it is.
    pub tenant: TenantId,
    /// The job that embedded it.
    pub job: JobId,
    /// Its page.
    pub page: PageKey,
    /// The page's URL.
    pub url: String,
    /// The page's host.
    pub host: String,
    /// The page's registrable domain.
    pub domain: String,
    /// The page's title.
    pub title: String,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Anchor of the nearest heading that has one.
    pub anchor: Option<String>,
    /// The chunk's Markdown.
    pub text: String,
    /// Place on its page, from 0.
    pub position: u32,
    /// ISO 639-1, when known.
    pub language: Option<String>,
    /// Version of the page that wrote it.
    pub seq: u64,
    /// When the page was fetched.
    pub fetched_at: Timestamp,
}

/// The visible version of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHead {
    /// The page.
    pub page: PageKey,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its URL.
    pub url: String,
    /// Grows with every version.
    pub seq: u64,
    /// The chunks that are visible, in page order.
    pub chunks: Vec<ChunkId>,
}

/// One page's part of a group of writes.
#[derive(Debug, Clone)]
pub struct PageWrite {
    /// The head that becomes visible. Without chunks it hides the page.
    pub head: PageHead,
    /// Chunks that are new.
    pub new_chunks: Vec<ChunkPoint>,
    /// Kept chunks whose place on the page changed.
    pub moved: Vec<(ChunkId, u32)>,
    /// Chunks of the previous head that the new one does not list. The store also deletes those that it finds in the
    /// head it replaces, so a caller with an old view leaves no strays. Chunks that the new head lists stay.
    pub stale: Vec<ChunkId>,
}

/// What became of one page's write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteAnswer {
    /// The new version is visible and durable.
    Switched,
    /// A newer version is visible; this one changed nothing that can be seen.
    Fenced {
        /// The newer version.
        seq: u64,
    },
}

/// Which side of the index is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// BM25 over words.
    Lexical,
    /// Cosine over vectors.
    Semantic,
}

/// Which chunks may be found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchFilter {
    /// Only this host.
    pub host: Option<String>,
    /// Only this registrable domain.
    pub domain: Option<String>,
    /// Only this language.
    pub language: Option<String>,
}

/// A question to one side of the index.
#[derive(Debug, Clone)]
pub struct SideQuery {
    /// Whose chunks.
    pub tenant: TenantId,
    /// The question's words, for the lexical side.
    pub text: String,
    /// The question's vector, for the semantic side.
    pub dense: Vec<f32>,
    /// Which chunks may be found.
    pub filter: SearchFilter,
    /// Most hits wanted.
    pub limit: usize,
}

/// One hit of one side, best first in its list.
#[derive(Debug, Clone, PartialEq)]
pub struct SideHit {
    /// The chunk.
    pub id: ChunkId,
    /// BM25 score or cosine.
    pub score: f32,
    /// What is kept beside it.
    pub payload: ChunkPayload,
}

/// A stored chunk without its vector, for `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// The chunk.
    pub id: ChunkId,
    /// Its page.
    pub page: PageKey,
}

/// The store of vectors.
#[async_trait]
pub trait VectorStore: Send + Sync + 'static {
    /// The model the index was made for.
    fn model(&self) -> &IndexModel;
    /// Writes a group of pages: new chunks, then heads (fenced by `seq`), then moves, then deletion of stale chunks;
    /// all of it durable when the call returns. Answers in the order of the writes. The same write again is no error.
    ///
    /// # Cancel
    /// Dropping the future may leave the group written or not; each of its pages is either whole or untouched.
    async fn apply_shared(&self, group: Vec<Arc<PageWrite>>) -> Result<Vec<WriteAnswer>>;
    /// [`VectorStore::apply_shared`] of writes that nobody else needs.
    async fn apply(&self, group: Vec<PageWrite>) -> Result<Vec<WriteAnswer>> {
        self.apply_shared(group.into_iter().map(Arc::new).collect()).await
    }
    /// The visible versions, in the order asked; `None` where there is none.
    async fn heads(&self, tenant: &TenantId, pages: &[PageKey]) -> Result<Vec<Option<PageHead>>>;
    /// Hits of one side whose chunk its page's head lists, best first. All hits of one answer are of the same
    /// version of their page.
    async fn search(&self, side: Side, query: &SideQuery) -> Result<Vec<SideHit>>;
    /// Hits of the lexical and of the semantic side, both of the same versions of their pages: what a hybrid
    /// search fuses. Two calls of `search` may see a page change in between.
    async fn search_both(&self, query: &SideQuery) -> Result<(Vec<SideHit>, Vec<SideHit>)>;
    /// Number of stored chunks of a tenant, listed or not.
    async fn count(&self, tenant: &TenantId) -> Result<u64>;
    /// All stored chunks after `after`, in id order, at most `limit`.
    async fn scan_chunks(&self, tenant: &TenantId, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>>;
    /// All heads after `after` (by point id), at most `limit`, with the cursor for the next call.
    async fn scan_heads(
        &self,
        tenant: &TenantId,
        after: Option<uuid::Uuid>,
        limit: usize,
    ) -> Result<(Vec<PageHead>, Option<uuid::Uuid>)>;
    /// Removes chunks that no head lists (the caller made sure). Durable when the call returns.
    async fn remove_strays(&self, chunks: Vec<ChunkId>) -> Result<()>;
}
