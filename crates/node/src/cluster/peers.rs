//! How this node asks the owners of other shards, and hands URLs and texts to other nodes' fetchers and embedders.

use super::embeds::{Choice, Embeds, Rest};
use super::link::{Link, LinkError, PeerState, Request};
use super::membership::Nodes;
use argiope_actors::frontier::{Embedded, Handed, Peers};
use argiope_actors::support::now;
use argiope_protocol::cluster::rendezvous;
use argiope_protocol::messages::{EmbedOrder, FetchOrder, NodeCall, NodeReply, ShardCall, ShardReply};
use argiope_protocol::{JobId, NodeName, NodeRecord, NodeState, Role, ShardId};
use argiope_store::{Error, FrontierStore, Result, ServerFault};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longest wait for an owner's answer: its store's own deadline and the way there.
const ASK_DEADLINE: Duration = Duration::from_secs(4);
/// Longest wait for a node to take an order or to take note.
const TELL_DEADLINE: Duration = Duration::from_secs(2);
/// Longest wait for texts to be embedded: where the model runs on a server, that server's own retries are part of it.
const EMBED_DEADLINE: Duration = Duration::from_mins(1);
/// Pause before credit is looked for again without news.
const CREDIT_LOOK: Duration = Duration::from_millis(200);

/// The other nodes.
pub(super) struct LinkPeers {
    me: NodeName,
    link: Link,
    frontier: Arc<dyn FrontierStore>,
    nodes: watch::Receiver<Nodes>,
    /// How long a claim of a node that does not answer may still count.
    claim_ttl: Duration,
    sent: Mutex<Sent>,
    embeds: Embeds,
}

/// Orders sent since the list of nodes, with their loads, was last read.
#[derive(Default)]
struct Sent {
    round: u64,
    orders: BTreeMap<NodeName, u32>,
}

impl LinkPeers {
    pub(super) fn new(
        me: NodeName,
        link: Link,
        frontier: Arc<dyn FrontierStore>,
        nodes: watch::Receiver<Nodes>,
        claim_ttl: Duration,
    ) -> Self {
        Self { me, link, frontier, nodes, claim_ttl, sent: Mutex::default(), embeds: Embeds::default() }
    }

    async fn call(
        &self,
        peer: &NodeName,
        call: &NodeCall,
        deadline: Duration,
    ) -> std::result::Result<NodeReply, LinkError> {
        let (job, shard) = match call {
            NodeCall::Shard(shard, ShardCall::Admit { job, .. }) => (Some(*job), Some(*shard)),
            NodeCall::Shard(shard, _) => (None, Some(*shard)),
            NodeCall::Fetch(order) => (Some(order.lease.job), Some(ShardId::of_host(&order.lease.host))),
            NodeCall::JobMoved(job) => (Some(*job), None),
            NodeCall::Embed(_) => (None, None),
        };
        let request = Request { job, shard, body: call.encode().into(), ..Request::default() };
        let answer = self.link.call(peer, request, deadline).await?;
        NodeReply::decode(&answer).map_err(|error| LinkError::Refused {
            peer: peer.clone(),
            refusal: super::link::Refusal::new(super::answer::UNKNOWN_CALL, format!("its answer is odd: {error}")),
        })
    }

    async fn ask_node(&self, peer: &NodeName, call: &NodeCall) -> Result<ShardReply> {
        match self.call(peer, call, ASK_DEADLINE).await {
            Ok(NodeReply::Shard(reply)) => Ok(reply),
            Ok(_) => Err(Error::engine("ask the shard's owner", "it answered something else")),
            Err(error) => Err(unreachable(&error)),
        }
    }

    /// The node that should own the shard, by the list of nodes.
    fn expected_owner(&self, shard: ShardId) -> Option<NodeName> {
        rendezvous(shard, self.nodes.borrow().owners()).cloned()
    }

    /// The other nodes that do this, live and linked, as they told of themselves last.
    fn others(&self, role: Role) -> Vec<NodeRecord> {
        let peers = self.link.peers().into_iter().filter(|peer| peer.state == PeerState::Connected);
        let linked: BTreeSet<NodeName> = peers.map(|peer| peer.name).collect();
        let does = |record: &&NodeRecord| {
            record.has_role(role)
                && record.state == NodeState::Live
                && record.name != self.me
                && linked.contains(&record.name)
        };
        self.nodes.borrow().records.iter().filter(does).cloned().collect()
    }

    /// The other node with the most credit for fetches.
    fn best(&self) -> Option<NodeName> {
        let (others, round) = (self.others(Role::Fetch), self.nodes.borrow().round);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.round != round {
            *sent = Sent { round, orders: BTreeMap::new() };
        }
        let free = others.into_iter().map(|record| (sent.free(&record), record.name));
        free.max().filter(|(n_free, _)| *n_free > 0).map(|(_, name)| name)
    }

    fn note(&self, peer: &NodeName, n_orders: u32) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = sent.orders.entry(peer.clone()).or_default();
        *orders = orders.saturating_add(n_orders);
    }
}

impl Sent {
    /// Credit that a node has left: what it told, less what was sent since.
    fn free(&self, record: &NodeRecord) -> u32 {
        let n_sent = self.orders.get(&record.name).copied().unwrap_or_default();
        record.capacity.saturating_sub(record.in_flight).saturating_sub(n_sent)
    }
}

fn unreachable(error: &LinkError) -> Error {
    let fault = if error.is_retryable() { ServerFault::Unreachable } else { ServerFault::Unavailable };
    Error::Server { context: "ask the shard's owner", fault, message: error.to_string() }
}

#[async_trait]
impl Peers for LinkPeers {
    async fn ask(&self, shard: ShardId, call: ShardCall) -> Result<ShardReply> {
        let call = NodeCall::Shard(shard, call);
        let expected = self.expected_owner(shard).filter(|owner| *owner != self.me);
        if let Some(owner) = &expected {
            match self.ask_node(owner, &call).await {
                Ok(ShardReply::NotOwner) => {}
                answer => return answer,
            }
        }
        // While shards change hands the list of nodes and the claims differ; the claims decide.
        match self.frontier.owner(shard, now()).await? {
            Some(claim) if claim.node != self.me && Some(&claim.node) != expected.as_ref() => {
                self.ask_node(&claim.node, &call).await
            }
            _ => Ok(ShardReply::NotOwner),
        }
    }

    async fn job_moved(&self, job: JobId) {
        let others: Vec<NodeName> = self
            .nodes
            .borrow()
            .records
            .iter()
            .map(|record| record.name.clone())
            .filter(|name| *name != self.me)
            .collect();
        let call = NodeCall::JobMoved(job);
        let told = others.iter().map(async |node| match self.call(node, &call, TELL_DEADLINE).await {
            Ok(NodeReply::Done) => true,
            Ok(_) | Err(_) => {
                tracing::warn!(%node, %job, "the node did not take note of a job's state, its claims are waited out");
                false
            }
        });
        let told = futures_util::future::join_all(told).await;
        if told.contains(&false) {
            // A node that is cut off starts nothing once its claims have run out; one that lives has looked by then.
            tokio::time::sleep(self.claim_ttl).await;
        }
    }

    async fn has_credit(&self) {
        let mut nodes = self.nodes.clone();
        while self.best().is_none() {
            // No news are no reason to stop looking: a link may have come up.
            let _ = tokio::time::timeout(CREDIT_LOOK, nodes.changed()).await;
        }
    }

    async fn fetch(&self, order: FetchOrder) -> Handed {
        let Some(peer) = self.best() else { return Handed::Full };
        self.note(&peer, 1);
        match self.call(&peer, &NodeCall::Fetch(Box::new(order)), TELL_DEADLINE).await {
            Ok(NodeReply::Taken) => Handed::Taken,
            Ok(_) => {
                // Nothing more until it tells of its load again.
                self.note(&peer, u32::MAX);
                Handed::Full
            }
            Err(LinkError::Refused { .. } | LinkError::Full(_) | LinkError::TooLarge(_) | LinkError::Stopped) => {
                Handed::Full
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "not known whether the node took a URL");
                Handed::Unknown
            }
        }
    }

    async fn embed(&self, order: EmbedOrder) -> Embedded {
        let n_texts = order.texts.len();
        let call = NodeCall::Embed(Box::new(order));
        loop {
            let others: Vec<NodeName> = self.others(Role::Embed).into_iter().map(|record| record.name).collect();
            let peer = match self.embeds.choose(&others, Instant::now()) {
                Choice::Node(peer) => peer,
                Choice::Busy => return Embedded::Full,
                Choice::None => return Embedded::Nobody,
            };
            let under_way = self.embeds.order(&peer);
            let answer = self.call(&peer, &call, EMBED_DEADLINE).await;
            drop(under_way);
            let why = match answer {
                Ok(NodeReply::Embedded(vectors)) if vectors.len() == n_texts => return Embedded::Vectors(vectors),
                Ok(NodeReply::NotEmbedded { message }) => return Embedded::Failed(format!("{peer}: {message}")),
                Err(error @ LinkError::TooLarge(_)) => return Embedded::Failed(error.to_string()),
                Ok(NodeReply::Full) => Rest::Full,
                Ok(answer) => {
                    tracing::warn!(%peer, ?answer, "the node does not embed with this model");
                    Rest::Other
                }
                Err(error) if error.is_retryable() => Rest::Away,
                Err(error) => {
                    tracing::warn!(%peer, %error, "the node does not embed for others");
                    Rest::Other
                }
            };
            self.embeds.rest(&peer, why, Instant::now());
        }
    }
}
