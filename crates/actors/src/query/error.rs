//! Why a question has no answer.

use super::{Fusion, MAX_LIMIT, MAX_QUESTION_BYTES};
use crate::embedder::EmbedError;
use argiope_protocol::ErrorCode;
use argiope_store::vectors::IndexModel;
use std::time::Duration;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing but white space was asked.
    #[error("the question is empty")]
    EmptyQuestion,
    /// The question is too long.
    #[error("the question has {n_bytes} bytes, at most {MAX_QUESTION_BYTES} are allowed")]
    LongQuestion {
        /// Its length.
        n_bytes: usize,
    },
    /// More or fewer hits are wanted than can be given.
    #[error("{0} hits are wanted, 1 to {MAX_LIMIT} can be given")]
    Limit(usize),
    /// The fusion's numbers make no sense.
    #[error("{0:?} is no fusion: the convex weight goes from 0 to 1, k is positive, the rank weight not negative")]
    Fusion(Fusion),
    /// The index was made with another model; a lexical search still works.
    #[error(
        "the index holds vectors of {} ({} components), the embedder is {} ({} components): configure that embedder, \
         crawl again into another data directory, or search with mode lexical",
        .index.id, .index.dimension, .embedder.id, .embedder.dimension
    )]
    ModelMismatch {
        /// The model of the index.
        index: IndexModel,
        /// The configured model.
        embedder: IndexModel,
    },
    /// The question could not be embedded; a lexical search still works.
    #[error("embed the question")]
    Embed(#[from] EmbedError),
    /// The index could not be read.
    #[error("search the index")]
    Store(#[from] argiope_store::Error),
    /// No answer in time.
    #[error("the search took longer than {0:?}")]
    TooSlow(Duration),
}

impl QueryError {
    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Embed(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            Self::TooSlow(_) => true,
            _ => false,
        }
    }

    /// The code shown to users.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyQuestion | Self::LongQuestion { .. } | Self::Limit(_) | Self::Fusion(_) => ErrorCode::Usage,
            Self::ModelMismatch { .. } => ErrorCode::ModelMismatch,
            Self::Embed(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::TooSlow(_) => ErrorCode::StoreUnavailable,
        }
    }
}
