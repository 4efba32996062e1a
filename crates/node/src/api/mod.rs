//! Shapes of the HTTP interface: what a node writes and a command reads. docs/API.md describes them for others.
//!
//! Values only. Times are RFC 3339 in UTC, durations numbers of seconds; cursors are opaque to whoever gets them.

mod cluster;
mod job;
pub(crate) mod page;
pub(crate) mod time;

pub(crate) use cluster::{Explanation, HostView, JobStanding, NodeStatus, NodeView, RuleVerdict, ShardView};
pub(crate) use job::{Created, JobView, Retried};
pub(crate) use page::{PagePart, PageView, UrlView};

use crate::boot::Found;
use argiope_protocol::RejectReason;
use serde::{Deserialize, Serialize};

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct List<T> {
    /// What is listed.
    pub(crate) items: Vec<T>,
    /// Where the next part begins (`after`); nothing at the end.
    pub(crate) next: Option<String>,
}

/// Links that were never admitted, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejected {
    /// Why.
    pub(crate) reason: RejectReason,
    /// How many.
    pub(crate) count: u64,
    /// Some of them.
    pub(crate) samples: Vec<String>,
}

/// Answer to a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hits {
    /// Best first.
    pub(crate) hits: Vec<Found>,
}
