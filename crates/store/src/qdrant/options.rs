//! What an operator or a test may choose about the index on a server.

use std::time::Duration;

/// Where the server is, and how it is treated.
#[derive(Clone, PartialEq)]
pub struct QdrantOptions {
    /// Address of its gRPC interface, e.g. `http://127.0.0.1:6334`; `https` for TLS.
    pub url: String,
    /// API key or token, when the server wants one.
    pub api_key: Option<String>,
    /// How the names of this index's collections begin; an index of another model needs another prefix.
    pub prefix: String,
    /// Longest wait for one answer of the server.
    pub call_timeout: Duration,
    /// Longest wait for a group of writes, with all of its calls and pauses.
    pub write_timeout: Duration,
    /// Groups that are written at the same time; more callers wait. Bounds what is in memory for the server.
    pub max_writes: usize,
    /// Bytes of points in one call: the first batch has a quarter of the larger bound. One point may be larger.
    pub batch_bytes: std::ops::RangeInclusive<usize>,
    /// A batch that takes longer halves the next one; a faster one that was full lets it grow.
    pub slow_batch: Duration,
    /// Average number of words in a chunk after stop words, for the length normalisation of BM25. Fixed when the
    /// collections are made, since the weights of all stored chunks rest on it.
    pub average_words: f64,
}

impl QdrantOptions {
    /// The defaults, for a server at this address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            prefix: "argiope".to_owned(),
            call_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            max_writes: 4,
            // A chunk of 256 components and its text is about 2.5 KB; Qdrant's own limit for a call is 64 MiB.
            batch_bytes: 16 * 1024..=4 * 1024 * 1024,
            slow_batch: Duration::from_secs(2),
            average_words: crate::vectors::lexical::AVERAGE_WORDS,
        }
    }
}

impl std::fmt::Debug for QdrantOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantOptions").field("url", &self.url).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
