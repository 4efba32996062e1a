//! Answers questions: the question's words and vector go to the index, its two lists become one.
//!
//! [`core`] fuses (pure), [`evaluation`] measures rankings against judgements (pure), [`Query::search`] asks the
//! embedder and the store, [`Query::evaluate`] asks many questions in every mode. Nothing here writes.

pub mod core;
mod error;
mod evaluate;
pub mod evaluation;
#[cfg(test)]
mod tests;

pub use self::core::{BEST_OF_SIDE, Fusion};
pub use error::QueryError;

use self::core::Fused;
use crate::embedder::Embedder;
use argiope_protocol::TenantId;
use argiope_store::VectorStore;
use argiope_store::vectors::{ChunkPayload, SearchFilter, Side, SideQuery};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a question. A passage pasted whole is still a question; a file is not.
pub const MAX_QUESTION_BYTES: usize = 4 * 1024;
/// Most hits of an answer.
pub const MAX_LIMIT: usize = 100;
/// A search that takes longer is given up: who asked has gone.
const DEADLINE: Duration = Duration::from_secs(10);
/// Chunks asked for, for each hit wanted, when one side is grouped by page.
const CHUNKS_A_PAGE: usize = 5;

/// Which sides of the index answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Words.
    Lexical,
    /// Meaning.
    Semantic,
    /// Both, fused.
    #[default]
    Hybrid,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lexical, Self::Semantic, Self::Hybrid];

    /// Its name: `lexical`, `semantic` or `hybrid`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
            Self::Semantic => "semantic",
            Self::Hybrid => "hybrid",
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Whose chunks.
    pub tenant: TenantId,
    /// The question, at most [`MAX_QUESTION_BYTES`].
    pub text: String,
    /// Which sides answer.
    pub mode: Mode,
    /// Hits wanted, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Which chunks may be found.
    pub filter: SearchFilter,
    /// Only the best hit of each page.
    pub one_per_page: bool,
    /// How a hybrid answer is fused.
    pub fusion: Fusion,
}

impl SearchRequest {
    /// A hybrid question for ten hits of anything.
    #[must_use]
    pub fn new(tenant: TenantId, text: impl Into<String>) -> Self {
        Self {
            tenant,
            text: text.into(),
            mode: Mode::Hybrid,
            limit: 10,
            filter: SearchFilter::default(),
            one_per_page: false,
            fusion: Fusion::default(),
        }
    }
}

/// A passage that answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchHit {
    /// What the answer is ordered by: BM25 score, cosine, or the fused score of a hybrid search.
    pub score: f32,
    /// BM25 score, where the lexical side found it.
    pub lexical: Option<f32>,
    /// Cosine, where the semantic side found it.
    pub semantic: Option<f32>,
    /// The chunk and where it stands.
    pub payload: ChunkPayload,
}

impl From<Fused> for SearchHit {
    fn from(fused: Fused) -> Self {
        Self { score: fused.score, lexical: fused.lexical, semantic: fused.semantic, payload: fused.payload }
    }
}

/// Asks an index with the model that made it. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    vectors: Arc<dyn VectorStore>,
    embedder: Arc<dyn Embedder>,
}

impl Query {
    /// Asks `vectors`; questions are embedded by `embedder`.
    #[must_use]
    pub fn new(vectors: Arc<dyn VectorStore>, embedder: Arc<dyn Embedder>) -> Self {
        Self { vectors, embedder }
    }

    /// The best passages, best first.
    ///
    /// # Errors
    /// When the request is out of bounds, the model is not the index's, the embedder or the store fails, or it takes
    /// longer than ten seconds.
    pub async fn search(&self, request: SearchRequest) -> Result<Vec<SearchHit>, QueryError> {
        check(&request)?;
        let (limit, one_per_page) = (request.limit, request.one_per_page);
        let found = timeout(DEADLINE, self.find(request)).await.map_err(|_| QueryError::TooSlow(DEADLINE))??;
        let found = if one_per_page { core::one_per_page(found) } else { found };
        Ok(found.into_iter().take(limit).map(SearchHit::from).collect())
    }

    async fn find(&self, request: SearchRequest) -> Result<Vec<Fused>, QueryError> {
        let dense = if request.mode == Mode::Lexical { Vec::new() } else { self.embed(&request.text).await? };
        let wanted = if request.one_per_page { request.limit * CHUNKS_A_PAGE } else { request.limit };
        let limit = if request.mode == Mode::Hybrid { BEST_OF_SIDE } else { wanted };
        let SearchRequest { tenant, text, mode, filter, fusion, .. } = request;
        let query = SideQuery { tenant, text, dense, filter, limit };
        match mode {
            Mode::Lexical => Ok(core::one_side(self.vectors.search(Side::Lexical, &query).await?, true)),
            Mode::Semantic => Ok(core::one_side(self.vectors.search(Side::Semantic, &query).await?, false)),
            Mode::Hybrid => {
                let (lexical, semantic) = self.vectors.search_both(&query).await?;
                Ok(core::fuse(lexical, semantic, fusion))
            }
        }
    }

    async fn embed(&self, text: &str) -> Result<Vec<f32>, QueryError> {
        let (index, embedder) = (self.vectors.model(), self.embedder.model());
        if index != embedder {
            return Err(QueryError::ModelMismatch { index: index.clone(), embedder: embedder.clone() });
        }
        let vectors = self.embedder.embed(vec![text.to_owned()]).await?;
        vectors.into_iter().next().ok_or(QueryError::Embed(crate::embedder::EmbedError::Ended))
    }
}

fn check(request: &SearchRequest) -> Result<(), QueryError> {
    let n_bytes = request.text.len();
    if request.text.trim().is_empty() {
        return Err(QueryError::EmptyQuestion);
    }
    if n_bytes > MAX_QUESTION_BYTES {
        return Err(QueryError::LongQuestion { n_bytes });
    }
    if !(1..=MAX_LIMIT).contains(&request.limit) {
        return Err(QueryError::Limit(request.limit));
    }
    if !request.fusion.is_valid() {
        return Err(QueryError::Fusion(request.fusion));
    }
    Ok(())
}
