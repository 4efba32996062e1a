//! A page and its chunks as they are kept.

use crate::ids::{ChunkHash, ChunkId, JobId, PageKey, TenantId};
use crate::job::ProcessMode;
use crate::time::Timestamp;
use crate::url::CanonicalUrl;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a later conditional request sends back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, verbatim.
    pub etag: Option<String>,
    /// `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether a conditional request can be made.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// How a page was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchFacts {
    /// When the answer was complete.
    pub fetched_at: Timestamp,
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// The address that answered.
    pub remote: SocketAddr,
    /// Bytes on the wire, as the client saw them before decompression.
    pub wire_bytes: u64,
    /// From the request's start to the last byte.
    pub elapsed_ms: u32,
}

/// A passage of a page's Markdown that is embedded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// Its identity in the vector store.
    pub id: ChunkId,
    /// Of what is embedded.
    pub hash: ChunkHash,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Anchor of the nearest heading that has one.
    pub anchor: Option<String>,
    /// Byte range in the page's Markdown.
    pub range: (u32, u32),
    /// Tokens by the embedding model's tokenizer.
    pub tokens: u32,
}

/// Everything about a page but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecord {
    /// Its identity.
    pub key: PageKey,
    /// Whose it is.
    pub tenant: TenantId,
    /// The job that stored this content; a later job that finds it unchanged leaves it.
    pub job: JobId,
    /// Its URL.
    pub url: CanonicalUrl,
    /// Links between it and a seed.
    pub depth: u16,
    /// Grows with every version: the fence of the lease that wrote it.
    pub seq: u64,
    /// How far it was processed: a job that wants more reads it anew although it did not change.
    pub process: ProcessMode,
    /// Version of the chunker that made its chunks.
    pub chunker_version: u16,
    /// How it was fetched.
    pub fetch: FetchFacts,
    /// For conditional requests.
    pub validators: Validators,
    /// BLAKE3 of the decoded body.
    pub body_hash: [u8; 32],
    /// Its title, may be empty.
    pub title: String,
    /// ISO 639-1, when known.
    pub language: Option<String>,
    /// Character encoding by its WHATWG name.
    pub charset: String,
    /// Simhash over 3-word shingles of the main text.
    pub simhash: u64,
    /// Which extractor found the main content (`container`, `article`, `body`).
    pub extraction: String,
    /// Chunks in page order; empty when the job does not make them, or the page asks not to be indexed.
    pub chunks: Vec<ChunkRecord>,
    /// Links that it offered to the frontier.
    pub outlinks: Vec<CanonicalUrl>,
    /// Things that were odd about it, as codes.
    pub problems: Vec<String>,
}
