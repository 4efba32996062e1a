//! Nodes, shards, hosts, and why a URL is (not) crawled.

use super::{UrlView, time};
use argiope_protocol::{Host, JobId, JobState, NodeName, NodeRecord, NodeState, Role, ShardId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeView {
    /// Its name.
    pub(crate) name: NodeName,
    /// Whether it takes more work.
    pub(crate) state: NodeState,
    /// What it does.
    pub(crate) roles: Vec<Role>,
    /// Version of its program.
    pub(crate) version: String,
    /// When it started.
    #[serde(with = "time")]
    pub(crate) started_at: Timestamp,
    /// Names this run of its process.
    pub(crate) boot: uuid::Uuid,
    /// Where its link listens; empty when it has none.
    pub(crate) link: String,
    /// Address of its HTTP interface; empty when it has none.
    pub(crate) http: String,
    /// Oldest and newest version of the wire that it speaks.
    pub(crate) wire: (u16, u16),
    /// Requests that it may have under way at once.
    pub(crate) capacity: u32,
    /// Requests that it has under way.
    pub(crate) in_flight: u32,
    /// SHA-256 of its certificate in hexadecimal; empty when it has none.
    pub(crate) fingerprint: String,
}

impl From<NodeRecord> for NodeView {
    fn from(record: NodeRecord) -> Self {
        let NodeRecord {
            name,
            boot,
            link,
            http,
            roles,
            version,
            wire,
            capacity,
            in_flight,
            fingerprint,
            state,
            started_at,
        } = record;
        Self { name, state, roles, version, started_at, boot, link, http, wire, capacity, in_flight, fingerprint }
    }
}

/// One of 256 shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardView {
    /// Its number.
    pub(crate) shard: ShardId,
    /// Who holds its claim; nobody when it is free.
    pub(crate) owner: Option<NodeName>,
    /// Epoch of the claim, where it is known.
    pub(crate) epoch: Option<u64>,
    /// When the claim ends unless renewed, where it is known.
    #[serde(with = "time::opt")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Hosts with something queued or leased.
    pub(crate) hosts: u64,
    /// Queued URLs of running jobs.
    pub(crate) queued: u64,
    /// Leases out.
    pub(crate) leased: u64,
}

/// A host as its owner schedules it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostView {
    /// The host.
    pub(crate) host: Host,
    /// The shard of its domain.
    pub(crate) shard: ShardId,
    /// Who holds that shard.
    pub(crate) owner: Option<NodeName>,
    /// Queued URLs of running jobs.
    pub(crate) queued: u64,
    /// Leases out.
    pub(crate) leased: u32,
    /// Earliest next start: its delay, or a block (`Retry-After`, back-off).
    #[serde(with = "time")]
    pub(crate) not_before: Timestamp,
    /// Seconds from now until then; 0: it may start now.
    pub(crate) wait_secs: f64,
    /// Where its queue begins.
    pub(crate) next_url: Option<String>,
    /// What its robots.txt files say, by origin: of https and http where they were read.
    pub(crate) robots: BTreeMap<String, String>,
}

/// One rule's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleVerdict {
    /// `form`, `scope`, `egress`, `robots`.
    pub(crate) rule: String,
    /// Whether the URL passes; nothing when the rule was not asked.
    pub(crate) passes: Option<bool>,
    /// Why, in words or as a reason code.
    pub(crate) detail: String,
}

/// Where a URL stands in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobStanding {
    /// The job.
    pub(crate) id: JobId,
    /// Its state.
    pub(crate) state: JobState,
    /// The URL there; nothing when the job never took it.
    pub(crate) url: Option<UrlView>,
}

/// Why a URL is, or is not, crawled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// Its canonical form.
    pub(crate) url: String,
    /// The shard that owns its domain.
    pub(crate) shard: ShardId,
    /// Who holds that shard.
    pub(crate) owner: Option<NodeName>,
    /// What each rule says.
    pub(crate) rules: Vec<RuleVerdict>,
    /// Whether no rule is against it.
    pub(crate) allowed: bool,
    /// Where it stands in the job that was asked about.
    pub(crate) job: Option<JobStanding>,
    /// Its host's gate and queue; nothing when nothing of it was ever queued.
    pub(crate) host: Option<HostView>,
}

/// A node and its jobs at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    /// Who answers.
    pub(crate) node: NodeName,
    /// Its version.
    pub(crate) version: String,
    /// Whether it takes more work.
    pub(crate) state: NodeState,
    /// When it started.
    #[serde(with = "time")]
    pub(crate) started_at: Timestamp,
    /// Nodes that it knows, itself included.
    pub(crate) nodes: usize,
    /// Shards that somebody holds.
    pub(crate) owned_shards: usize,
    /// Queued URLs of running jobs.
    pub(crate) queued: u64,
    /// Leases out.
    pub(crate) leased: u64,
    /// Jobs by state.
    pub(crate) jobs: BTreeMap<String, u64>,
}
