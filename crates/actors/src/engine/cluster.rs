//! The engine as one node of several.

use super::{Engine, OwnershipRoute};
use crate::frontier::Peers;
use crate::frontier::ownership::OwnershipMessage;
use argiope_protocol::messages::{EmbedOrder, FetchOrder, NodeReply, ShardCall, ShardReply};
use argiope_protocol::{NodeName, ShardId};
use ractor::rpc::CallResult;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

impl Engine {
    /// The way to the other nodes. Called once, before the first list of nodes.
    pub fn join(&self, peers: Arc<dyn Peers>) {
        self.frontier.join(peers);
    }

    /// The nodes that own shards, or should; this one among them when it should.
    pub fn set_nodes(&self, nodes: BTreeSet<NodeName>) {
        send(&self.ownership, OwnershipMessage::Nodes(nodes));
    }

    /// Answers another node for a shard of this one.
    pub async fn serve(&self, shard: ShardId, call: ShardCall) -> ShardReply {
        self.frontier.serve(shard, call).await
    }

    /// Takes a URL that another node hands over; `false` when there is no credit for it, or this node drains.
    #[must_use]
    pub fn take_order(&self, order: FetchOrder) -> bool {
        !self.is_draining() && self.orders.take(order)
    }

    /// Embeds texts for another node, when there is credit for it.
    pub async fn embed(&self, order: EmbedOrder) -> NodeReply {
        self.embedder.serve(order).await
    }

    /// Hands all shards over to others, one after the other. `false` when the deadline came first: what is left runs out
    /// by itself.
    pub async fn leave(&self, deadline: Duration) -> bool {
        let ownership = self.ownership.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(ownership) = ownership else { return true };
        matches!(ownership.call(OwnershipMessage::Leave, Some(deadline)).await, Ok(CallResult::Success(())))
    }
}

/// Tells the actor that claims shards.
pub(super) fn send(route: &OwnershipRoute, message: OwnershipMessage) {
    if let Some(actor) = route.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        drop(actor.send_message(message));
    }
}
