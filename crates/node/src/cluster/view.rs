//! What an operator sees of a cluster: the list of nodes, and the claims in the frontier.

use super::membership::{Announcer, Nodes};
use crate::api::{HostView, ShardView};
use crate::boot::{Service, now};
use crate::cluster_view::{ClusterView, host_view};
use crate::errors::Result;
use argiope_protocol::{Host, NodeName, NodeRecord, ShardId};
use argiope_store::Membership;
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use tokio::sync::watch;

/// Shards looked at at once.
const AT_ONCE: usize = 16;

/// The cluster as one of its nodes sees it.
pub(crate) struct ClusterNodes {
    pub(super) announcer: Arc<Announcer>,
    pub(super) nodes: watch::Receiver<Nodes>,
    pub(super) store: Arc<dyn Membership>,
    pub(super) service: Service,
}

impl ClusterNodes {
    async fn shard(&self, shard: ShardId) -> Result<ShardView> {
        let claim = self.service.frontier().owner(shard, now()).await?;
        let load = self.service.frontier().load(shard).await?;
        Ok(ShardView {
            shard,
            epoch: claim.as_ref().map(|claim| claim.epoch.0),
            expires_at: claim.as_ref().map(|claim| claim.expires_at),
            owner: claim.map(|claim| claim.node),
            hosts: load.n_hosts,
            queued: load.n_queued,
            leased: load.n_leased,
        })
    }
}

#[async_trait]
impl ClusterView for ClusterNodes {
    fn this_node(&self) -> NodeRecord {
        self.announcer.record()
    }

    fn trouble(&self) -> Option<String> {
        self.announcer.trouble()
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>> {
        Ok(self.nodes.borrow().records.clone())
    }

    async fn owner(&self, shard: ShardId) -> Result<Option<NodeName>> {
        Ok(self.service.frontier().owner(shard, now()).await?.map(|claim| claim.node))
    }

    async fn shards(&self) -> Result<Vec<ShardView>> {
        let shards = ShardId::all().map(|shard| self.shard(shard)).collect::<Vec<_>>();
        stream::iter(shards).buffered(AT_ONCE).try_collect().await
    }

    async fn host(&self, host: &Host) -> Result<Option<HostView>> {
        let owner = self.owner(ShardId::of_host(host)).await?;
        host_view(self.service.frontier(), host, owner).await
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        Ok(self.store.ask_to_drain(node).await?)
    }
}
