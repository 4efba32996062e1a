//! What nodes say of themselves and of each other, and which of them should own a shard.

use crate::ids::{NodeName, ShardId};
use crate::sabotage::Fault;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use uuid::Uuid;

/// Versions of the wire that this program speaks, oldest and newest.
pub const WIRE_VERSIONS: (u16, u16) = (1, 1);

/// The same of this process: one more where it was told to speak as a later version may.
#[must_use]
pub fn wire_versions() -> (u16, u16) {
    (WIRE_VERSIONS.0, WIRE_VERSIONS.1 + u16::from(Fault::Next.is_armed()))
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes jobs, watches them, answers the HTTP interface.
    Control,
    /// Owns shards: decides which URL is fetched when.
    Frontier,
    /// Fetches and parses.
    Fetch,
    /// Renders pages in a browser.
    Render,
    /// Embeds chunks.
    Embed,
}

impl Role {
    /// All of them: what a node does by default.
    pub const ALL: &'static [Self] = &[Self::Control, Self::Frontier, Self::Fetch, Self::Render, Self::Embed];

    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Frontier => "frontier",
            Self::Fetch => "fetch",
            Self::Render => "render",
            Self::Embed => "embed",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|role| role.code() == code).copied()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether a node takes more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It takes its share.
    Live,
    /// It hands over what it has and leaves.
    Draining,
}

impl NodeState {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
        }
    }
}

/// A node as it tells of itself, every second, for everyone to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// Names this run of its process: a restarted node is another one.
    pub boot: Uuid,
    /// Where its link listens, `HOST:PORT`; empty when it has none.
    pub link: String,
    /// Address of its HTTP interface, `HOST:PORT`; empty when it has none.
    pub http: String,
    /// What it does; roles of a later version are left out.
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<Role>,
    /// Version of its program.
    pub version: String,
    /// Oldest and newest version of the wire that it speaks.
    pub wire: (u16, u16),
    /// Requests that it may have under way at once.
    pub capacity: u32,
    /// Requests that it has under way.
    pub in_flight: u32,
    /// SHA-256 of its certificate in hexadecimal; empty when it has none.
    pub fingerprint: String,
    /// Whether it takes more work.
    pub state: NodeState,
    /// When it started.
    pub started_at: Timestamp,
}

fn known_roles<'de, D: Deserializer<'de>>(words: D) -> Result<Vec<Role>, D::Error> {
    let words = Vec::<String>::deserialize(words)?;
    Ok(words.iter().filter_map(|word| Role::of(word)).collect())
}

impl NodeRecord {
    /// Whether it does this.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// The node that should own a shard: rendezvous hashing, so that a node that comes or goes moves its own share only.
/// `None` without nodes. The order of the nodes does not matter.
#[must_use]
pub fn rendezvous<'a>(shard: ShardId, nodes: impl IntoIterator<Item = &'a NodeName>) -> Option<&'a NodeName> {
    let weight = |node: &NodeName| {
        let mut bytes = Vec::with_capacity(node.as_str().len() + 1);
        bytes.push(shard.number());
        bytes.extend_from_slice(node.as_str().as_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    };
    nodes.into_iter().max_by(|a, b| weight(a).cmp(&weight(b)).then_with(|| a.cmp(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn names(list: &[&str]) -> Vec<NodeName> {
        list.iter().map(|name| NodeName::try_new(*name).expect("valid")).collect()
    }

    fn owners(nodes: &[NodeName]) -> BTreeMap<ShardId, NodeName> {
        ShardId::all().filter_map(|shard| Some((shard, rendezvous(shard, nodes)?.clone()))).collect()
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_shards() {
        let three = owners(&names(&["node-a", "node-b", "node-c"]));
        let two = owners(&names(&["node-c", "node-a"]));
        for (shard, owner) in &three {
            if owner.as_str() != "node-b" {
                assert_eq!(two[shard], *owner, "{shard}");
            }
        }
    }

    #[test]
    fn shards_are_spread_evenly() {
        let mut counts: BTreeMap<NodeName, usize> = BTreeMap::new();
        owners(&names(&["node-a", "node-b", "node-c"]))
            .into_values()
            .for_each(|owner| *counts.entry(owner).or_default() += 1);
        assert_eq!(counts.len(), 3);
        assert!(counts.values().all(|n_shards| (60..=110).contains(n_shards)), "{counts:?}");
    }

    #[test]
    fn nobody_owns_without_nodes() {
        assert_eq!(rendezvous(ShardId::new(7), &[]), None);
    }

    #[test]
    fn roles_have_their_words() {
        assert!(Role::ALL.iter().all(|role| Role::of(role.code()) == Some(*role)));
        assert_eq!(Role::of("boss"), None);
    }
}
