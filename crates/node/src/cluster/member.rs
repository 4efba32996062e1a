//! A node's part in its cluster, from the first word about itself to its leave.

use super::answer::Answers;
use super::link::{Link, LinkOptions, PeerAddress, TlsMaterial};
use super::membership::{Announcer, Nodes};
use super::peers::LinkPeers;
use super::view::ClusterNodes;
use crate::boot::Service;
use crate::config::{Config, Secret};
use crate::errors::Result;
use argiope_actors::Engine;
use argiope_protocol::NodeRecord;
use argiope_protocol::cluster::wire_versions;
use argiope_store::redis::RedisFrontier;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A node that has joined.
pub(crate) struct Member {
    engine: Arc<Engine>,
    link: Link,
    announcer: Arc<Announcer>,
    nodes: watch::Receiver<Nodes>,
    store: Arc<RedisFrontier>,
    tasks: Vec<JoinHandle<()>>,
}

impl Member {
    /// Opens the link, gets onto the list of nodes and takes this node's share. `record` says what the node tells of
    /// itself but for its link.
    ///
    /// # Errors
    /// When the link cannot listen, its certificates do not do, or another node has the name.
    pub(crate) async fn join(
        config: &Config,
        record: NodeRecord,
        store: Arc<RedisFrontier>,
        engine: Arc<Engine>,
    ) -> Result<Self> {
        let tls = match &config.cluster.tls {
            Some(files) => Some(TlsMaterial::load(&files.ca_file, &files.cert_file, &files.key_file)?),
            None => None,
        };
        let fingerprint = tls.as_ref().map(|tls| tls.fingerprint().to_owned()).unwrap_or_default();
        let options = LinkOptions {
            name: record.name.clone(),
            boot: record.boot,
            cluster_id: config.cluster.id.clone(),
            cookie: config.cluster.cookie.as_ref().map(Secret::read).transpose()?.unwrap_or_default(),
            listen: config.cluster.listen.clone(),
            tls,
            roles: record.roles.clone(),
            wire: wire_versions(),
        };
        let link = Link::start(options, Arc::new(Answers::new(Arc::clone(&engine)))).await?;
        let address = config.cluster.advertise.clone().unwrap_or_else(|| link.local_addr().to_string());
        let record = NodeRecord { link: address, fingerprint, ..record };
        let load = {
            let engine = Arc::clone(&engine);
            move || engine.n_requests()
        };
        let announcer = Arc::new(Announcer::new(store.clone(), config.cluster.id.clone(), record.clone(), load));
        announcer.enter().await?;
        let (sender, nodes) = watch::channel(Nodes::default());
        let ttl = config.frontier.claim_ttl;
        let peers = LinkPeers::new(record.name.clone(), link.clone(), store.clone(), nodes.clone(), ttl);
        engine.join(Arc::new(peers));
        let keeping = Arc::clone(&announcer);
        let tasks = vec![
            tokio::spawn(async move { keeping.keep(&sender).await }),
            tokio::spawn(follow(
                nodes.clone(),
                record,
                config.cluster.seeds.clone(),
                link.clone(),
                Arc::clone(&engine),
            )),
        ];
        Ok(Self { engine, link, announcer, nodes, store, tasks })
    }

    /// Where the link listens.
    pub(crate) fn link_address(&self) -> std::net::SocketAddr {
        self.link.local_addr()
    }

    /// The link, for what it counts.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// What an operator sees.
    pub(crate) fn view(&self, service: Service) -> ClusterNodes {
        ClusterNodes {
            announcer: Arc::clone(&self.announcer),
            nodes: self.nodes.clone(),
            store: self.store.clone(),
            service,
        }
    }

    /// Waits until somebody asks this node to drain.
    pub(crate) fn drain_asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut nodes = self.nodes.clone();
        async move {
            if nodes.wait_for(|nodes| nodes.is_drain_asked).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands over all shards; the others take them one by one.
    pub(crate) async fn hand_over(&self, deadline: Duration) {
        self.announcer.drains();
        if !self.engine.leave(deadline).await {
            tracing::warn!("not all shards were handed over in time, their claims run out by themselves");
        }
    }

    /// Leaves, when nothing of this node is under way any more.
    pub(crate) async fn leave(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.announcer.leave().await;
        self.link.stop().await;
    }
}

/// Passes each list of nodes on: to the link whom to be linked with, to the engine who should own shards.
async fn follow(
    mut nodes: watch::Receiver<Nodes>,
    me: NodeRecord,
    seeds: Vec<String>,
    link: Link,
    engine: Arc<Engine>,
) {
    link.set_peers(seeds.iter().map(|seed| seed_address(seed)).collect());
    while nodes.changed().await.is_ok() {
        let nodes = nodes.borrow_and_update().clone();
        let others = nodes.records.iter().filter(|record| record.name != me.name && !record.link.is_empty());
        let mut peers: Vec<PeerAddress> = others
            .map(|record| PeerAddress {
                name: Some(record.name.clone()),
                boot: Some(record.boot),
                address: record.link.clone(),
            })
            .collect();
        let unlisted = seeds.iter().filter(|seed| **seed != me.link && peers.iter().all(|peer| peer.address != **seed));
        peers.extend(unlisted.map(|seed| seed_address(seed)).collect::<Vec<_>>());
        link.set_peers(peers);
        if nodes.is_settled {
            engine.set_nodes(nodes.owners().cloned().collect());
        }
    }
}

fn seed_address(address: &str) -> PeerAddress {
    PeerAddress { name: None, boot: None, address: address.to_owned() }
}
