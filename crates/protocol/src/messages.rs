//! What nodes ask each other. The bodies of envelopes: variants are added at the end, never renamed or reordered.
//!
//! Every message may be lost, doubled or late: calls are idempotent, tokens and epochs make old ones harmless.

use crate::fate::Fate;
use crate::frontier::{AdmitReport, Candidate, Lease, LeaseToken, RejectTally, SettleAnswer, StartAnswer};
use crate::ids::{JobId, ShardId};
use crate::sabotage::Fault;
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
    /// Leases that are still worked on.
    Prolong {
        /// Which ones.
        tokens: Vec<LeaseToken>,
        /// Until then at least.
        deadline: Timestamp,
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
    /// To `PushGate`, `Released` and `Prolong`.
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

/// Texts that another node is to embed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedOrder {
    /// Id of the model whose vectors are wanted.
    pub model: String,
    /// Components of its vectors.
    pub dimension: u32,
    /// What to embed: as many texts as [`EmbedOrder::fits`] lets into a message.
    pub texts: Vec<String>,
}

impl EmbedOrder {
    /// Whether texts of so many bytes in all, and their vectors, fit a message each.
    #[must_use]
    pub const fn fits(n_texts: usize, n_bytes: usize, dimension: u32) -> bool {
        let vectors = n_texts.saturating_mul(dimension as usize).saturating_mul(size_of::<f32>());
        n_bytes <= MAX_BATCH_BYTES && vectors <= MAX_BATCH_BYTES
    }
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
    /// Embed this.
    Embed(Box<EmbedOrder>),
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NodeReply {
    /// To `Shard`.
    Shard(ShardReply),
    /// To `Fetch`: the node has it now.
    Taken,
    /// To `Fetch` and `Embed`: the node has no credit left, the lease or the texts stay with the asker.
    Full,
    /// To `JobMoved`.
    Done,
    /// To `Embed`: `[n_texts, dimension]` in the order of the texts.
    Embedded(Vec<Vec<f32>>),
    /// To `Embed`: the node does not embed, or with another model.
    OtherModel,
    /// To `Embed`: the node's embedder failed.
    NotEmbedded {
        /// What it said.
        message: String,
    },
}

macro_rules! coded {
    ($($name:ident),+) => {$(
        impl $name {
            /// The bytes of an envelope's body.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                let mut bytes = postcard::to_stdvec(self)
                    .unwrap_or_else(|_| unreachable!("these types have no part that cannot be written"));
                if Fault::Next.is_armed() {
                    bytes.extend_from_slice(b"what a later version adds");
                }
                bytes
            }

            /// From an envelope's body; what a later version adds to its end is not read.
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
    use crate::fate::{FailReason, RejectReason};
    use crate::ids::{Epoch, TenantId};
    use crate::url::CanonicalUrl;
    use std::path::PathBuf;
    use uuid::Uuid;

    fn url(text: &str) -> CanonicalUrl {
        CanonicalUrl::parse(text).expect("valid")
    }

    fn calls() -> Vec<(&'static str, NodeCall)> {
        let (host, token) = (url("http://a.example/").host(), LeaseToken { epoch: Epoch(3), seq: 7 });
        let job = JobId::from_uuid(Uuid::from_u128(1));
        let second = Duration::from_secs(1);
        let at = Timestamp::from_millis(1_800_000_000_000);
        let mut rejects = RejectTally::default();
        rejects.add(RejectReason::OutOfScope, "http://b.example/");
        let lease = Lease {
            token,
            tenant: TenantId::default(),
            job,
            host: host.clone(),
            candidate: Candidate::seed(url("http://a.example/x")),
            attempt: 1,
            deadline: at,
        };
        let of_shard = |call| NodeCall::Shard(ShardId::new(42), call);
        let fate = Fate::Failed(FailReason::Timeout, Some(at));
        let health = Health::Overloaded(Some(second));
        vec![
            ("admit", of_shard(ShardCall::Admit { job, candidates: vec![lease.candidate.clone()], rejects })),
            ("settle", of_shard(ShardCall::Settle { token, host: host.clone(), fate })),
            ("defer", of_shard(ShardCall::Defer { token, host: host.clone(), not_before: at })),
            ("start", of_shard(ShardCall::Start { host: host.clone(), window: second, delay: second })),
            ("push_gate", of_shard(ShardCall::PushGate { host: host.clone(), until: at })),
            ("released", of_shard(ShardCall::Released { host, token, health })),
            ("prolong", of_shard(ShardCall::Prolong { tokens: vec![token], deadline: at })),
            ("fetch", NodeCall::Fetch(Box::new(FetchOrder { lease, delay: second }))),
            ("job_moved", NodeCall::JobMoved(job)),
            (
                "embed",
                NodeCall::Embed(Box::new(EmbedOrder { model: "m".into(), dimension: 2, texts: vec!["a".into()] })),
            ),
        ]
    }

    fn replies() -> Vec<(&'static str, NodeReply)> {
        let of_shard = NodeReply::Shard;
        let report = AdmitReport { queued: [(url("http://a.example/").host(), 2)].into(), n_seen: 1, n_over_budget: 0 };
        let not_before = Timestamp::from_millis(1_800_000_000_000);
        let message = "away".to_owned();
        vec![
            ("admitted", of_shard(ShardReply::Admitted(report))),
            ("settled", of_shard(ShardReply::Settled(SettleAnswer::Requeued { not_before }))),
            ("started", of_shard(ShardReply::Started(StartAnswer::NotBefore(not_before)))),
            ("done", of_shard(ShardReply::Done)),
            ("not_owner", of_shard(ShardReply::NotOwner)),
            ("unavailable", of_shard(ShardReply::Unavailable { message: message.clone() })),
            ("refused", of_shard(ShardReply::Refused { message })),
            ("taken", NodeReply::Taken),
            ("full", NodeReply::Full),
            ("noted", NodeReply::Done),
            ("embedded", NodeReply::Embedded(vec![vec![0.6, -0.8]])),
            ("other_model", NodeReply::OtherModel),
            ("not_embedded", NodeReply::NotEmbedded { message: "away".to_owned() }),
        ]
    }

    /// Lines `name hex` of a golden file.
    fn golden(file: &str) -> Vec<(String, String)> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/wire").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| line.split_once(' ')).map(|(name, hex)| (name.into(), hex.into())).collect()
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn released_messages_decode_for_ever_and_do_not_change() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines = |list: Vec<(&str, Vec<u8>)>| -> Vec<(String, String)> {
            list.into_iter().map(|(name, bytes)| (name.to_owned(), hex(bytes))).collect()
        };
        let seen = lines(calls().into_iter().map(|(name, call)| (name, call.encode())).collect());
        assert_eq!(seen, golden("calls.v1.txt"), "the encoding of a call changed: add a variant instead");
        let seen = lines(replies().into_iter().map(|(name, reply)| (name, reply.encode())).collect());
        assert_eq!(seen, golden("replies.v1.txt"), "the encoding of a reply changed: add a variant instead");
        for ((_, call), (name, hex)) in calls().into_iter().zip(golden("calls.v1.txt")) {
            assert_eq!(NodeCall::decode(&bytes_of(&hex)).as_ref(), Ok(&call), "{name}");
        }
        for ((_, reply), (name, hex)) in replies().into_iter().zip(golden("replies.v1.txt")) {
            assert_eq!(NodeReply::decode(&bytes_of(&hex)).as_ref(), Ok(&reply), "{name}");
        }
        assert!(NodeCall::decode(&[99]).is_err(), "a call of a later version is refused, not guessed");
    }

    #[test]
    fn batches_fit_and_lose_nothing() {
        let long = "x".repeat(2_000);
        let all: Vec<Candidate> =
            (0..1_000).map(|n| Candidate::seed(url(&format!("http://a.example/{n}/{long}")))).collect();
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
