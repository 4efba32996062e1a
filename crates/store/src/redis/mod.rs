//! The frontier of a cluster, in Redis (7.0 or newer), one server or a Redis Cluster.
//!
//! A call of the contract becomes one call of a function that runs inside of Redis (`lua/`, loaded by
//! [`server`]): it checks first and writes after, so it happens as a whole or not at all. Time, node and epoch are its
//! arguments; the only other one is the *run* of the server, which the connection adds.
//!
//! **What lies where.** All keys of a shard share the hash tag `{s042}`, so a call touches one slot:
//! - `m` the claim, the numbers of the next URL, lease and host; `hn` host names to numbers; `h<host>` a host's gate, block
//!   and leases; `hj<host>` what of each job waits at a host; `a` the hosts with something open; `robots`.
//! - `j<job>` the shard's copy of a job: state, attempts, its part of the page limit, its part of the ledger.
//! - `s<job>:<n>` every URL the job ever saw here, as page key → small number, in hashes of about 100 entries that
//!   Redis keeps as listpacks: 20 bytes each, and all that is left of a finished URL. Their number follows from the count
//!   of URLs (linear hashing), so dedup is one `HSETNX`, exact to the 128 bits of the key.
//! - `q<host>:<job>:<level>` a list of records for each band and depth: admission pushes, a lease pops, so age order is
//!   free of charge. `r…` and `w…` are sorted sets of what was put back, and of what waits for a time.
//! - `p<address>` the requests under way to an address that falls into this shard, by the end of their time.
//! - `l` leases out; `f<job>` dead letters, which keep their record since they may be tried again; `t<job>` texts of
//!   ended URLs: all of them, or a sample of the skipped ones where a page store knows the pages.
//!
//! The *registry*, under the tag `{jobs}`, holds what was asked for and the state of each job that leads. The *list of
//! nodes* is under the tag `{nodes}`.
//!
//! **Jobs over shards.** A shard gets its copy of a job with the first URL. The registry notes the shard *before* the
//! copy is made, and each change of state has a version: whoever comes late finds the newer one. So pause and cancel are
//! acknowledged when every shard has its flag, and no lease is given after. The ledger of a job is the sum of its shards'
//! ledgers, each of which moves in the step of the URL. A job finishes only when two sums in a row agree and nothing
//! is open, and each shard closes its copy under the condition that nothing was opened since.
//!
//! **Page limit.** The registry divides it: `granted` over all shards never exceeds `max_pages`, and a shard never holds
//! more pages than its part. A shard that needs more asks ([`budget`]); when nothing is left, the others give back what
//! they do not use, shard first and registry second, so that a crash in between can only make the sum too careful. Parts
//! carry numbers, so a late grant cannot undo a return. Nothing is stranded: what a crash left over is found by the
//! next shard that asks. A place that becomes free in another shard is seen at the latest after
//! [`EXHAUSTED_FOR`](budget::EXHAUSTED_FOR).
//!
//! **Restart and failover.** A claim names the run of the server it was made on. Another run makes it void: what the old
//! server acknowledged last may be lost, and with it newer claims. The next claim raises the epoch by [`EPOCH_JUMP`]
//! (owners pass the highest they saw as `min_epoch`), begins a generation, in which each host waits one delay first, and
//! makes even hosts wait whose rows were lost. [`RedisFrontier::changes`] tells owners to drop their claims at once.
//! Unlike the embedded store, a claim outlives its process until it expires, and leases run to their deadline,
//! since the fetchers that hold them may be alive.
//!
//! Never here: network but to Redis, clock, decisions about scope.

mod addresses;
mod admit;
mod budget;
mod codes;
mod contract;
mod jobs;
mod lease;
mod lists;
mod look;
mod nodes;
mod peek;
mod record;
mod server;
mod shard_job;
mod verify;

use crate::{PageStore, Result};
use argiope_protocol::{JobId, ShardId, Timestamp};
use server::Router;
pub use server::StartReport;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Jobs whose numbers are remembered; all are forgotten when there are more.
const MAX_REMEMBERED_JOBS: usize = 10_000;
/// Calls that one operation over many shards has out at once.
const AT_ONCE: usize = 16;

/// What is durable when a call returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// What Redis syncs: with `appendfsync everysec` a crash of the machine loses about a second, which heals itself.
    #[default]
    Normal,
    /// Every call is on disk: `appendfsync always`.
    Strict,
}

/// Where the text of a URL that ended is found.
#[derive(Clone)]
pub enum EndedTexts {
    /// In Redis: its record and about 40 bytes more for each ended URL.
    InRedis,
    /// In the page store, by page key. Skipped URLs are in no page store: their texts are kept in Redis up to 1,000 a
    /// job and shard, and beyond that they are counted but not listed.
    InPages(Arc<dyn PageStore>),
}

impl std::fmt::Debug for EndedTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::InRedis) { "InRedis" } else { "InPages" })
    }
}

/// How the store is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Addresses `redis://[user:password@]host:port[/database]`: one server, or some servers of one cluster.
    pub urls: Vec<String>,
    /// First part of every key: two clusters of this program can share a server.
    pub prefix: String,
    /// What is durable when a call returns.
    pub durability: Durability,
    /// Where texts of ended URLs are.
    pub ended_texts: EndedTexts,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub call_timeout: Duration,
}

impl OpenOptions {
    /// Usual settings for servers at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            prefix: "ag".to_owned(),
            durability: Durability::default(),
            ended_texts: EndedTexts::InRedis,
            connect_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(2),
        }
    }
}

impl std::fmt::Debug for OpenOptions {
    /// Without the addresses, which may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { urls, prefix, durability, ended_texts, .. } = self;
        let mut shown = f.debug_struct("OpenOptions");
        shown.field("n_urls", &urls.len()).field("prefix", prefix).field("durability", durability);
        shown.field("ended_texts", ended_texts).finish_non_exhaustive()
    }
}

/// The [`FrontierStore`](crate::FrontierStore) in Redis.
pub struct RedisFrontier {
    router: Router,
    prefix: String,
    /// Names this process: another one with the same node's name begins a generation.
    boot: String,
    ended_texts: EndedTexts,
    /// Numbers of jobs in the registry; they never change.
    numbers: Mutex<BTreeMap<JobId, String>>,
    /// Jobs whose page limit was found used up, and when.
    exhausted: Mutex<BTreeMap<JobId, Instant>>,
    /// Held by the one task that takes back parts of page limits.
    returning: tokio::sync::Mutex<()>,
    report: StartReport,
}

impl RedisFrontier {
    /// Connects, loads the functions and looks at the servers' settings.
    ///
    /// # Errors
    /// `Server` when Redis cannot be reached or refuses, `NotDurable` when it is not set as `durability` asks.
    pub async fn open(options: &OpenOptions, now: Timestamp) -> Result<Self> {
        let reached = server::Options::try_new(&options.urls, options.connect_timeout, options.call_timeout)?;
        let router = Router::connect(reached).await?;
        let report = router.check(options.durability, now).await?;
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            router,
            prefix: options.prefix.clone(),
            boot: uuid::Uuid::new_v4().to_string(),
            ended_texts: options.ended_texts.clone(),
            numbers: Mutex::default(),
            exhausted: Mutex::default(),
            returning: tokio::sync::Mutex::default(),
            report,
        })
    }

    /// What opening found.
    #[must_use]
    pub const fn start_report(&self) -> &StartReport {
        &self.report
    }

    /// Grows when a server was met that restarted, failed over or took over slots: the claims made before are void, and
    /// owners should stop at once, wait a claim's life, and claim again with the highest epoch they saw.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.router.changes()
    }

    /// The base of a shard's keys.
    fn shard(&self, shard: ShardId) -> String {
        format!("{}:{{{shard}}}:", self.prefix)
    }

    /// The base of the registry's keys.
    fn registry(&self) -> String {
        format!("{}:{{jobs}}:", self.prefix)
    }

    fn remembered(&self, id: JobId) -> Option<String> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn remember(&self, id: JobId, number: &str) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.len() >= MAX_REMEMBERED_JOBS {
            numbers.clear();
        }
        numbers.insert(id, number.to_owned());
    }

    /// Forgets what a server that lost its data may have given out anew.
    fn forget_numbers(&self) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl std::fmt::Debug for RedisFrontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisFrontier").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
