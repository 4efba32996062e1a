//! What every embedder does, and how it fails.

use argiope_content::model::{ModelError, Tokenizer};
use argiope_egress::FetchError;
use argiope_protocol::ErrorCode;
use argiope_store::vectors::IndexModel;
use async_trait::async_trait;
use std::path::PathBuf;
use std::time::Duration;

/// Characters of a model's name in an index.
const MAX_ID_CHARS: usize = 100;

/// Turns texts into vectors of one model.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model whose vectors these are.
    fn model(&self) -> &IndexModel;

    /// Measures texts for the chunker: the model's own tokenizer, or the built-in one where the model runs elsewhere.
    fn tokenizer(&self) -> &Tokenizer;

    /// The texts' vectors in the order of the texts: `[n_texts, dimension] f32`, rows L2-normalised; a text without
    /// anything the model knows has the zero vector.
    ///
    /// # Errors
    /// When any of the texts could not be embedded; none of the vectors is kept then.
    ///
    /// # Cancel
    /// Dropping the future ends the work after the batch under way.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// The vectors of texts that [`Embedder::tokenizer`] has read already, as [`Embedder::embed`] gives them.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    ///
    /// # Cancel
    /// As [`Embedder::embed`].
    async fn embed_read(&self, texts: Vec<ReadText<'_>>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed(texts.into_iter().map(|read| read.text.to_owned()).collect()).await
    }
}

/// A text, and the ids of its tokens.
#[derive(Debug, Clone, Copy)]
pub struct ReadText<'t> {
    /// The text.
    pub text: &'t str,
    /// Its tokens' ids.
    pub token_ids: &'t [u32],
}

/// Why texts have no vectors. Each variant is one kind.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A model's file cannot be read.
    #[error("read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The files of a directory are no usable model.
    #[error("load the model in {path}")]
    Model {
        /// The directory.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        source: ModelError,
    },
    /// An option cannot be used.
    #[error("the embedder's {option} cannot be used: {why}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The server gave no answer.
    #[error("ask the embedding server")]
    Unreachable(#[source] FetchError),
    /// The server wants another key (401, 403).
    #[error("the embedding server refuses the API key with status {status}: {message}")]
    Unauthorised {
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The server knows no such model or path (404).
    #[error("the embedding server has no model {model:?} or no such path (check the URL): {message}")]
    UnknownModel {
        /// The model asked for.
        model: String,
        /// What the server says.
        message: String,
    },
    /// One text alone is too large for the server (413).
    #[error("a text of about {n_tokens} tokens is too long for the embedding server: {message}")]
    TooLarge {
        /// By the built-in tokenizer.
        n_tokens: usize,
        /// What the server says.
        message: String,
    },
    /// The server is busy or failing and stayed so over all attempts (408, 429, 5xx).
    #[error("the embedding server answers with status {status} after {n_attempts} attempts: {message}")]
    Busy {
        /// The last HTTP status.
        status: u16,
        /// Attempts made.
        n_attempts: u32,
        /// From the last `Retry-After`.
        retry_after: Option<Duration>,
        /// What the server says.
        message: String,
    },
    /// The server refuses the request for another reason.
    #[error("the embedding server refuses the request with status {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The answer is no list of vectors for the texts.
    #[error("the embedding server's answer cannot be used: {0}")]
    Answer(String),
    /// The vectors are of another dimension than configured.
    #[error(
        "the model {model:?} gives vectors of {found} components, configured are {expected}: set the dimension to {found}"
    )]
    Dimension {
        /// The model.
        model: String,
        /// As configured.
        expected: u32,
        /// As answered.
        found: usize,
    },
    /// The token budget is used up.
    #[error("the token budget of {budget} is used up: {spent} are spent, the next batch needs about {needed}")]
    Budget {
        /// As configured.
        budget: u64,
        /// So far.
        spent: u64,
        /// By the built-in tokenizer.
        needed: u64,
    },
    /// This node does not have the role, and no node that has it can be reached.
    #[error("no node of role embed that embeds with this model can be reached")]
    Nobody,
    /// The embedder of another node failed.
    #[error("another node's embedder: {0}")]
    Peer(String),
    /// The computation ended without a result: a defect of ours, or the process is ending.
    #[error("the embedding ended without a result")]
    Ended,
}

impl EmbedError {
    /// Whether the same texts may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Unreachable(error) => !matches!(error, FetchError::Denied(_) | FetchError::Internal(_)),
            _ => false,
        }
    }

    /// When asking again makes sense, if the server said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Unreachable(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The code shown to users.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable(FetchError::Denied(_)) => ErrorCode::EgressDenied,
            Self::Option { .. } => ErrorCode::Config,
            Self::Dimension { .. } => ErrorCode::ModelMismatch,
            Self::Ended => ErrorCode::Internal,
            _ => ErrorCode::EmbedderUnavailable,
        }
    }
}

/// A model's name as it stands in an index: letters, digits, `.`, `_` and `-` only, since it becomes part of file and
/// collection names.
pub(super) fn index_id(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.trim().chars().map(keep).take(MAX_ID_CHARS).collect()
}

/// Scales a vector to length 1; the zero vector stays as it is. Sums in f64: a server's components may be large.
pub(super) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = narrow(f64::from(*x) / length));
    }
}

/// A component of a vector of length 1 always fits.
#[expect(clippy::cast_possible_truncation, reason = "the value lies between -1 and 1")]
const fn narrow(component: f64) -> f32 {
    component as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_id_is_a_file_name() {
        let check = |name: &str, expected: &str| assert_eq!(index_id(name), expected);
        check("potion-base-8M", "potion-base-8M");
        check(" BAAI/bge-small-en-v1.5 ", "BAAI-bge-small-en-v1.5");
        check("nomic-embed-text:latest", "nomic-embed-text-latest");
        check("modèle", "mod-le");
        check(&"x".repeat(300), &"x".repeat(100));
    }

    #[test]
    fn normalising_scales_to_length_one_and_leaves_zero_alone() {
        let check = |mut vector: Vec<f32>, expected: &[f32]| {
            normalise(&mut vector);
            assert_eq!(vector, expected);
        };
        check(vec![3.0, -4.0], &[0.6, -0.8]);
        check(vec![0.0, 0.0], &[0.0, 0.0]);
        check(vec![f32::MAX, 0.0], &[1.0, 0.0]);
    }
}
