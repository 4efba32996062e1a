//! The values of the table. Each is stored through [`seal`](super::record::seal).

use crate::frontier::{UrlEntry, UrlState};
use crate::{Error, Result};
use argiope_protocol::{
    Candidate, CanonicalUrl, Epoch, Fate, Host, JobCounters, JobId, JobSpec, JobState, LeaseToken, NodeName, PageKey,
    RejectReason, TenantId, Timestamp, UrlKind, UrlSource,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Store-wide numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MetaRow {
    /// How often the store was opened.
    pub(super) opens: u64,
    /// Committed groups.
    pub(super) commits: u64,
    /// Highest epoch ever given.
    pub(super) epoch_high: u64,
    /// No epoch below this is given: raised when history was lost.
    pub(super) epoch_floor: u64,
    pub(super) next_job: u32,
    pub(super) next_host: u32,
    /// Age of the next URL: grows with every admission.
    pub(super) next_age: u64,
    /// Number of the next lease, over all shards and epochs.
    pub(super) next_lease: u64,
}

/// A shard's claim. It is void in a later open than its own: the data directory's lock proves its holder dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClaimRow {
    pub(super) node: NodeName,
    pub(super) epoch: Epoch,
    pub(super) expires_at: Timestamp,
    pub(super) open: u64,
    pub(super) is_released: bool,
}

/// What was asked for. Rarely read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRow {
    pub(super) id: JobId,
    pub(super) spec: JobSpec,
    pub(super) created_at: Timestamp,
    pub(super) anchors: Vec<CanonicalUrl>,
}

/// What every step on a job's URL needs, and its ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobHead {
    pub(super) id: JobId,
    pub(super) tenant: TenantId,
    pub(super) state: JobState,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) max_pages: u64,
    pub(super) max_attempts: u8,
    pub(super) counters: JobCounters,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) rejected: BTreeMap<RejectReason, u64>,
}

impl JobHead {
    /// Whether the job is in a state that is never left.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.state, JobState::Finished | JobState::Cancelled)
    }
}

/// A host: its gate, and the leases it has out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostRow {
    pub(super) name: Host,
    pub(super) shard: u8,
    /// Earliest next start.
    pub(super) gate: Timestamp,
    /// Nothing is leased before this.
    pub(super) blocked_until: Timestamp,
    /// The delay of its last start.
    pub(super) delay_ms: u64,
    /// The open in which `gate` was last right.
    pub(super) open: u64,
    /// Leases ever given: the clock of the round robin.
    pub(super) turns: u64,
    pub(super) leases: Vec<OutRow>,
}

/// A lease that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutRow {
    pub(super) token: LeaseToken,
    pub(super) deadline: Timestamp,
    pub(super) open: u64,
}

/// How much of a job waits at a host. Kept while the job lives, so that its turn is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostJobRow {
    pub(super) n_queued: u64,
    pub(super) n_leased: u32,
    /// The host's turn at which the job was last served.
    pub(super) last_turn: u64,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseRow {
    pub(super) job: u32,
    pub(super) page: PageKey,
    pub(super) host: u32,
    pub(super) open: u64,
}

/// Where a URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In the queue, in order of service.
    Ready {
        /// Since then.
        since: Timestamp,
    },
    /// In the queue of those that wait for a time.
    Waiting {
        /// Until then.
        until: Timestamp,
    },
    /// Leased.
    Leased { token: LeaseToken, deadline: Timestamp },
    /// At its end.
    Ended(Fate),
}

impl Place {
    /// The queue in which a URL belongs that may not be leased before `not_before`.
    pub(super) fn queued(not_before: Timestamp, now: Timestamp) -> Self {
        if not_before > now { Self::Waiting { until: not_before } } else { Self::Ready { since: not_before } }
    }

    pub(super) const fn is_queued(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Waiting { .. })
    }
}

/// A URL of a job. Its text is stored here and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UrlRow {
    pub(super) url: String,
    pub(super) kind: UrlKind,
    pub(super) source: UrlSource,
    pub(super) depth: u16,
    pub(super) redirect_chain: Vec<PageKey>,
    pub(super) shard: u8,
    pub(super) host: u32,
    pub(super) age: u64,
    pub(super) attempts: u8,
    /// Times its lease was lost with its holder.
    pub(super) losses: u8,
    pub(super) place: Place,
}

impl UrlRow {
    /// Band, depth, age: smaller is served first.
    pub(super) const fn rank(&self) -> (u8, u16, u64) {
        (self.source.band(), self.depth, self.age)
    }

    /// What was admitted.
    pub(super) fn candidate(&self) -> Result<Candidate> {
        let url = CanonicalUrl::parse(&self.url).map_err(|error| Error::Corrupt {
            what: format!("stored URL {:?}", self.url.chars().take(200).collect::<String>()),
            detail: error.to_string(),
        })?;
        let (kind, source, depth) = (self.kind, self.source, self.depth);
        Ok(Candidate { url, kind, source, depth, redirect_chain: self.redirect_chain.clone() })
    }

    /// As it is listed.
    pub(super) fn entry(&self) -> Result<UrlEntry> {
        let state = match self.place {
            Place::Ready { since: not_before } | Place::Waiting { until: not_before } => {
                UrlState::Queued { not_before }
            }
            Place::Leased { deadline, .. } => UrlState::Leased { deadline },
            Place::Ended(fate) => UrlState::Ended(fate),
        };
        Ok(UrlEntry { candidate: self.candidate()?, attempts: self.attempts, state })
    }
}
