//! The way to the owners of other shards: what the frontier needs of a cluster's link.

use argiope_protocol::messages::{EmbedOrder, FetchOrder, ShardCall, ShardReply};
use argiope_protocol::{JobId, ShardId};
use argiope_store::Result;
use async_trait::async_trait;

/// The other nodes.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Asks the owner of a shard.
    ///
    /// # Errors
    /// `Fenced` when nobody is known to own it; an error that passes when the owner does not answer.
    async fn ask(&self, shard: ShardId, call: ShardCall) -> Result<ShardReply>;

    /// Tells all other nodes that a job's state changed; returns when each took note, or cannot start anything any more.
    async fn job_moved(&self, job: JobId);

    /// Returns when another node seems to have credit for a fetch; never, when no other node fetches.
    async fn has_credit(&self);

    /// Hands a URL to another node with credit for it.
    async fn fetch(&self, order: FetchOrder) -> Handed;

    /// Has another node of role `embed` embed texts, the one with the fewest of this node's orders.
    async fn embed(&self, order: EmbedOrder) -> Embedded;
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// Another node has it.
    Taken,
    /// Nobody has credit left.
    Full,
    /// It is not known whether somebody has it: it comes back when its lease runs out.
    Unknown,
}

/// What became of texts that another node was to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum Embedded {
    /// `[n_texts, dimension]` in the order of the texts.
    Vectors(Vec<Vec<f32>>),
    /// All nodes that embed have no credit left.
    Full,
    /// No node that can be reached embeds with this model.
    Nobody,
    /// The embedder of the node that was asked failed, and said this.
    Failed(String),
}
