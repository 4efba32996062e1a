//! What Argiope's parts, and later its nodes, must agree on.
//!
//! Values only: no I/O, no clock, no randomness. Modules follow a URL's way through the crawl: it is named
//! ([`ids`], [`url`]), belongs to a job ([`job`]), waits in a frontier ([`frontier`]), is fetched, becomes a
//! page with chunks ([`page`]), and ends in a fate ([`fate`]) that moves the job's ledger ([`counters`]). [`cluster`] is
//! what nodes say of each other, [`messages`] what they ask each other, [`wire`] how anything crosses between them.

pub mod cluster;
pub mod counters;
pub mod credit;
pub mod error;
pub mod fate;
pub mod frontier;
pub mod ids;
pub mod job;
pub mod messages;
pub mod page;
pub mod passage;
pub mod sabotage;
pub mod time;
pub mod url;
pub mod wire;

pub use cluster::{NodeRecord, NodeState, Role};
pub use counters::JobCounters;
pub use error::ErrorCode;
pub use fate::{FailReason, Fate, RejectReason, SkipReason};
pub use frontier::{Candidate, Claim, Lease, LeaseToken, UrlKind, UrlSource};
pub use ids::{ChunkHash, ChunkId, Epoch, JobId, NodeName, PageKey, ShardId, TenantId};
pub use job::{JobSpec, JobState, Limits, Politeness, ProcessMode, Scope, ScopeMode};
pub use page::{ChunkRecord, FetchFacts, PageRecord, Validators};
pub use time::Timestamp;
pub use url::{CanonicalUrl, Domain, Host, Origin};
