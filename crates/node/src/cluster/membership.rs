//! Tells of this node every second, and learns which others are there.

use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, NodeName, NodeRecord, NodeState, Role};
use argiope_store::Membership;
use argiope_store::membership::Announced;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a node tells of itself.
const EVERY: Duration = Duration::from_secs(1);
/// How long others count on a node of which they hear nothing.
const LIFETIME: Duration = Duration::from_secs(5);
/// Rounds after an outage of the list before its nodes count: the others need one to tell of themselves again.
const SETTLING_ROUNDS: u32 = 2;
/// How long a new run waits for its predecessor's record to lapse.
const NAME_PATIENCE: Duration = Duration::from_secs(7);

/// The nodes, as this one knows them.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    /// Grows with every reading of the list.
    pub(super) round: u64,
    /// All of which was told lately, this one among them, by name.
    pub(super) records: Vec<NodeRecord>,
    /// Whether the list may be acted on: just after an outage it is not whole.
    pub(super) is_settled: bool,
    /// Whether somebody asked this node to drain.
    pub(super) is_drain_asked: bool,
}

impl Nodes {
    /// The nodes that should own shards.
    pub(super) fn owners(&self) -> impl Iterator<Item = &NodeName> {
        let owns = |record: &&NodeRecord| record.has_role(Role::Frontier) && record.state == NodeState::Live;
        self.records.iter().filter(owns).map(|record| &record.name)
    }
}

/// What this node tells of itself, and to whom.
pub(super) struct Announcer {
    store: Arc<dyn Membership>,
    cluster: String,
    record: Mutex<NodeRecord>,
    /// Why this node could not tell of itself the last time.
    trouble: Mutex<Option<String>>,
    load: Box<dyn Fn() -> u32 + Send + Sync>,
}

impl Announcer {
    /// `load` answers how many requests are under way.
    pub(super) fn new(
        store: Arc<dyn Membership>,
        cluster: String,
        record: NodeRecord,
        load: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self { store, cluster, record: Mutex::new(record), trouble: Mutex::default(), load: Box::new(load) }
    }

    /// This node as it tells of itself now.
    pub(super) fn record(&self) -> NodeRecord {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        NodeRecord { in_flight: (self.load)(), ..record }
    }

    /// Why this node could not tell of itself the last time: it starts nothing until it can.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// From now on it takes no share any more.
    pub(super) fn drains(&self) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).state = NodeState::Draining;
    }

    async fn announce(&self) -> argiope_store::Result<Announced> {
        self.store.announce(&self.cluster, &self.record(), LIFETIME).await
    }

    /// Gets onto the list, after an earlier run of the same node has lapsed.
    ///
    /// # Errors
    /// When another node has the name, or the store is another cluster's or away.
    pub(super) async fn enter(&self) -> Result<()> {
        let until = Instant::now() + NAME_PATIENCE;
        loop {
            match self.announce().await? {
                Announced::Listed { .. } => return Ok(()),
                Announced::NameTaken if Instant::now() < until => tokio::time::sleep(EVERY / 4).await,
                Announced::NameTaken => {
                    let name = self.record().name;
                    return Err(CliError::new(ErrorCode::NameTaken, format!("another node {name} is running")));
                }
                Announced::OtherCluster { id } => {
                    let wanted = &self.cluster;
                    return Err(CliError::new(
                        ErrorCode::LinkCluster,
                        format!("the frontier's store belongs to the cluster {id:?}, this node to {wanted:?}"),
                    ));
                }
            }
        }
    }

    /// Leaves the list.
    pub(super) async fn leave(&self) {
        if let Err(error) = self.store.withdraw(&self.record()).await {
            tracing::warn!(%error, "not taken off the list of nodes, the record lapses by itself");
        }
    }

    /// Tells and learns for ever.
    pub(super) async fn keep(&self, nodes: &watch::Sender<Nodes>) {
        let (mut n_rounds_back, mut round, mut told) = (SETTLING_ROUNDS, 0, None);
        loop {
            match self.round().await {
                Ok((records, is_drain_asked)) => {
                    self.set_trouble(None);
                    told = None;
                    if n_rounds_back < SETTLING_ROUNDS {
                        n_rounds_back += 1;
                    }
                    let is_settled = n_rounds_back >= SETTLING_ROUNDS;
                    round += 1;
                    nodes.send_replace(Nodes { round, records, is_settled, is_drain_asked });
                }
                Err(error) => {
                    // Another cause is news.
                    if told != Some(error.code) {
                        told = Some(error.code);
                        tracing::warn!(%error, "list of nodes not reached, this node starts nothing until it is");
                    }
                    n_rounds_back = 0;
                    self.set_trouble(Some(error.to_string()));
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn round(&self) -> Result<(Vec<NodeRecord>, bool)> {
        let is_drain_asked = match self.announce().await? {
            Announced::Listed { is_drain_asked } => is_drain_asked,
            // Silent for longer than its life, and another run took the name meanwhile.
            Announced::NameTaken => {
                return Err(CliError::new(ErrorCode::NameTaken, "another run has this node's name"));
            }
            Announced::OtherCluster { id } => {
                return Err(CliError::new(
                    ErrorCode::LinkCluster,
                    format!("the store belongs to the cluster {id:?} now"),
                ));
            }
        };
        Ok((self.store.nodes().await?, is_drain_asked))
    }
}
