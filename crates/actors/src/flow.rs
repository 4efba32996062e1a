//! What travels between stages. Every message carries its permit and its lease guard, so whatever becomes of
//! the message, credit comes back and the URL is not lost.

use crate::frontier::{Frontier, HostSlot, LeaseWindow};
use crate::job::JobRuntime;
use crate::support::Permit;
use crate::support::tasks::{self, TaskKind};
use argiope_content::chunk::Chunk;
use argiope_egress::FetchResponse;
use argiope_protocol::{FailReason, Fate, Lease, PageKey, PageRecord, SkipReason};
use argiope_store::pages::NewPage;
use argiope_store::vectors::PageWrite;
use std::sync::Arc;

/// A lease in somebody's hands. Settled exactly once: by [`LeaseGuard::settle`] or [`LeaseGuard::defer`], or,
/// when it is dropped (a panic, a stopped stage), by giving it back as failed so that it is tried again.
pub struct LeaseGuard {
    lease: Lease,
    frontier: Frontier,
    is_open: bool,
}

impl LeaseGuard {
    /// Takes responsibility for a lease.
    #[must_use]
    pub fn new(lease: Lease, frontier: Frontier) -> Self {
        frontier.hold(&lease);
        Self { lease, frontier, is_open: true }
    }

    /// The lease.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Ends the lease.
    pub async fn settle(mut self, fate: Fate) {
        self.is_open = false;
        self.frontier.settle(&self.lease, fate).await;
    }

    /// Somebody else has the lease now.
    pub(crate) fn hand_over(mut self) {
        self.is_open = false;
    }

    /// Gives the lease back unused.
    pub async fn defer(mut self, not_before: argiope_protocol::Timestamp) {
        self.is_open = false;
        self.frontier.defer(&self.lease, not_before).await;
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if !self.is_open {
            return self.frontier.let_go(&self.lease);
        }
        let (frontier, lease) = (self.frontier.clone(), self.lease.clone());
        tasks::spawn_on(&self.frontier.runtime(), TaskKind::Abandon, async move {
            frontier.settle(&lease, Fate::Failed(FailReason::Internal, None)).await;
            frontier.let_go(&lease);
        });
    }
}

/// One URL on its way through the stages.
pub struct Work {
    /// The right to work on it.
    pub guard: LeaseGuard,
    /// Its job.
    pub job: Arc<JobRuntime>,
    /// What is known of the page from an earlier crawl.
    pub prior: Option<PageRecord>,
}

impl Work {
    /// The lease.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        self.guard.lease()
    }

    /// The page's key.
    #[must_use]
    pub fn page_key(&self) -> PageKey {
        PageKey::of(&self.lease().candidate.url)
    }
}

/// To the fetcher.
pub struct FetchTask {
    /// The URL.
    pub work: Work,
    /// The request's place among the host's requests; freed when the exchange is over.
    pub slot: HostSlot,
    /// The right to start.
    pub window: Arc<LeaseWindow>,
    /// Credit of the edge.
    pub permit: Permit,
}

/// To the parser.
pub struct ParseTask {
    /// The URL.
    pub work: Work,
    /// The answer.
    pub response: FetchResponse,
    /// Credit of the edge.
    pub permit: Permit,
}

/// To the embedder.
pub struct EmbedTask {
    /// The URL.
    pub work: Work,
    /// The page, its record listing the chunks.
    pub page: NewPage,
    /// The chunks, in the record's order.
    pub chunks: Vec<Chunk>,
    /// Credit of the edge.
    pub permit: Permit,
}

/// What the writer makes durable before it settles.
pub enum WriteKind {
    /// A page, and its part of the index when the job makes one.
    Page {
        /// The page.
        page: Box<NewPage>,
        /// Its part of the index.
        index: Option<PageWrite>,
        /// What it is then.
        fate: Fate,
    },
    /// A page found as it was: its record's facts are renewed.
    Touch(Box<PageRecord>),
    /// A page that is gone or must not be indexed: hidden and forgotten when it was known.
    Remove(SkipReason),
}

/// To the writer.
pub struct WriteTask {
    /// The URL.
    pub work: Work,
    /// What to write.
    pub kind: WriteKind,
    /// Credit of the edge.
    pub permit: Permit,
}

macro_rules! local_messages {
    ($($name:ident),+) => { $(impl ractor::Message for $name {})+ };
}
local_messages!(FetchTask, ParseTask, EmbedTask, WriteTask);
