//! Contract of the list of nodes: each tells of itself for some seconds, everyone reads.
//!
//! There is no election and no gossip: who is not told of any more is gone, and the claims of shards decide who may write.

use crate::Result;
use argiope_protocol::{NodeName, NodeRecord};
use async_trait::async_trait;
use std::time::Duration;

/// What became of a node's word about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// It is listed.
    Listed {
        /// Somebody asked it to hand over what it has and to leave.
        is_drain_asked: bool,
    },
    /// Another run of a node with this name is alive.
    NameTaken,
    /// The store belongs to another cluster.
    OtherCluster {
        /// Its name.
        id: String,
    },
}

/// The list of nodes.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Tells of a node, for `ttl`. The first node ever names the cluster.
    async fn announce(&self, cluster: &str, record: &NodeRecord, ttl: Duration) -> Result<Announced>;
    /// Takes the node off the list; a run that is not listed changes nothing.
    async fn withdraw(&self, record: &NodeRecord) -> Result<()>;
    /// The nodes of which was told lately, by name.
    async fn nodes(&self) -> Result<Vec<NodeRecord>>;
    /// Asks the node to drain; it learns of it with its next announcement. `false` when no such node is listed.
    async fn ask_to_drain(&self, name: &NodeName) -> Result<bool>;
}
