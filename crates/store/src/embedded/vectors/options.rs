//! What an operator or a test may choose about the index.

use std::time::Duration;

/// How the embedded index behaves. The defaults are for a laptop's crawl.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorOptions {
    /// A group is committed when no further write came for this long: a flush costs the same whatever it holds.
    pub group_wait: Duration,
    /// A group is committed this long after its first write at the latest, however many more come.
    pub max_group_wait: Duration,
    /// A group is committed as soon as it holds this many new chunks.
    pub group_chunks: usize,
    /// Chunks (and as many pages without chunks) that may wait for the writer; more callers wait outside.
    pub queue_chunks: u32,
    /// Nothing is written while the file system has fewer free bytes than this, or …
    pub min_free_bytes: u64,
    /// … than this fraction of its size; the smaller of the two counts. Values above 1 are taken as they are.
    pub min_free_fraction: f64,
    /// Average number of words in a chunk after stop words, for the length normalisation of BM25. Fixed when the
    /// index is made, since the weights of all stored chunks rest on it.
    pub average_words: f64,
    /// Written chunks between two optimisations of the index. An optimisation costs 0.3 CPU seconds whatever the
    /// growing segment holds (its files are 32 MiB long and read whole), a chunk in the growing segment 1 µs for each
    /// 40 chunks that it holds (its BM25 index is a list that is walked): between 2,500 and 6,000 both together cost
    /// the same.
    pub optimize_every: usize,
}

impl Default for VectorOptions {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_millis(30),
            max_group_wait: Duration::from_secs(1),
            group_chunks: 2_048,
            queue_chunks: 4_096,
            min_free_bytes: 512 * 1024 * 1024,
            min_free_fraction: 0.05,
            average_words: crate::vectors::lexical::AVERAGE_WORDS,
            optimize_every: 4_000,
        }
    }
}
