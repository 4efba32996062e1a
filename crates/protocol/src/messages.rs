//! What nodes ask each other. The bodies of envelopes: variants are added at the end, never renamed or reordered.
//!
//! Every message may be lost, doubled or late: calls are idempotent, tokens and epochs make old ones harmless.

use crate::fate::Fate;
use crate::frontier::{AdmitReport, Candidate, Lease, LeaseToken, RejectTally, SettleAnswer, StartAnswer};
use crate::ids::{JobId, ShardId};
use crate::time::Timestamp;
use crate::url::Host;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bytes of candidates in one message: with its frame it stays below an envelope's limit.
pub const MAX_BATCH_BYTES: usize = 512 * 1024;

/// To the owner of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardCall {
    /// Links of a page, or seeds.
    Admit {
        /// Whose they are.
        job: JobId,
        /// URLs of the shard's hosts.
        candidates: Vec<Candidate>,
        /// Links that were refused before.
        rejects: RejectTally,
    },
    /// The end of a lease.
    Settle {
        /// Which lease.
        token: LeaseToken,
        /// Its host.
        host: Host,
        /// Its end.
        fate: Fate,
    },
    /// A lease given back unused.
    Defer {
        /// Which lease.
        token: LeaseToken,
        /// Its host.
        host: Host,
        /// Not again before then.
        not_before: Timestamp,
    },
    /// The right to start one request.
    Start {
        /// To which host.
        host: Host,
        /// The start window.
        window: Duration,
        /// Time between two starts.
        delay: Duration,
    },
    /// A fetch ended: the delay counts from then.
    PushGate {
        /// Of which host.
        host: Host,
        /// The next start at the earliest.
        until: Timestamp,
    },
    /// An exchange that another node did for the owner is over.
    Released {
        /// With which host.
        host: Host,
        /// Under which lease.
        token: LeaseToken,
        /// What it said about the host.
        health: Health,
    },
}

/// What an exchange said about its host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Nothing: no exchange took place.
    #[default]
    Unknown,
    /// It answers.
    Fine,
    /// It does not answer, or with 5xx.
    Trouble,
    /// It asks for a pause; `None` when it does not say how long.
    Overloaded(Option<Duration>),
}

/// The owner's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardReply {
    /// To `Admit`: durable.
    Admitted(AdmitReport),
    /// To `Settle` and `Defer`: durable.
    Settled(SettleAnswer),
    /// To `Start`.
    Started(StartAnswer),
    /// To `PushGate` and `Released`.
    Done,
    /// The node does not own the shard.
    NotOwner,
    /// The owner's store did not do it; trying again may help.
    Unavailable {
        /// What the store said.
        message: String,
    },
    /// The owner's store refused it for good.
    Refused {
        /// What the store said.
        message: String,
    },
}

/// A URL that another node is to fetch and to process to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchOrder {
    /// The right to work on it. Its host's gate was not moved: the fetcher asks for its start at the moment of the start.
    pub lease: Lease,
    /// Time between two starts at the host.
    pub delay: Duration,
}

/// To a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeCall {
    /// To the owner of a shard.
    Shard(ShardId, ShardCall),
    /// Fetch this.
    Fetch(Box<FetchOrder>),
    /// The state of a job changed: nothing of it starts any more unless it runs.
    JobMoved(JobId),
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeReply {
    /// To `Shard`.
    Shard(ShardReply),
    /// To `Fetch`: the node has it now.
    Taken,
    /// To `Fetch`: the node has no credit left, the lease stays with the asker.
    Full,
    /// To `JobMoved`.
    Done,
}

macro_rules! coded {
    ($($name:ident),+) => {$(
        impl $name {
            /// The bytes of an envelope's body.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                postcard::to_stdvec(self).unwrap_or_else(|_| unreachable!("these types have no part that cannot be written"))
            }

            /// From an envelope's body.
            ///
            /// # Errors
            /// When the bytes are no such message, or one of a later version.
            pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
                postcard::from_bytes(bytes)
            }
        }
    )+};
}
coded!(NodeCall, NodeReply);

/// Cuts candidates into parts that each fit a message.
#[must_use]
pub fn batches(candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    let (mut parts, mut part, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    for candidate in candidates {
        let size = candidate.url.as_str().len() + 16 * candidate.redirect_chain.len() + 32;
        if n_bytes + size > MAX_BATCH_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            n_bytes = 0;
        }
        n_bytes += size;
        part.push(candidate);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::CanonicalUrl;

    #[test]
    fn batches_fit_and_lose_nothing() {
        let long = "x".repeat(2_000);
        let url = |n: usize| CanonicalUrl::parse(&format!("http://a.example/{n}/{long}")).expect("valid");
        let all: Vec<Candidate> = (0..1_000).map(|n| Candidate::seed(url(n))).collect();
        let parts = batches(all.clone());
        assert!(parts.len() > 3);
        for part in &parts {
            let n_bytes: usize = part.iter().map(|candidate| candidate.url.as_str().len()).sum();
            assert!(n_bytes <= MAX_BATCH_BYTES);
        }
        assert_eq!(parts.concat(), all);
        assert_eq!(batches(Vec::new()), [Vec::new()], "rejects travel without candidates too");
    }
}
