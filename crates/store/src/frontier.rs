//! Contract of the durable frontier: which URLs exist, who may fetch which of them, and when.
//!
//! Every adapter gives the same answers; the conformance suite and the model test say what they are.
//! Time is a parameter, so that a test can be a clock. Every write is durable when the call returns, names
//! the epoch of its claim, and answers [`Error::Fenced`](crate::Error::Fenced) when that epoch is old.
//! Losing any suffix of the history is healed by fetching the URLs of that suffix again.

use crate::Result;
pub use argiope_protocol::frontier::{AdmitReport, MAX_REJECT_SAMPLES, RejectTally, SettleAnswer, StartAnswer};
use argiope_protocol::{
    Candidate, Claim, Epoch, Fate, Host, JobCounters, JobId, JobSpec, JobState, Lease, LeaseToken, NodeName, Origin,
    PageKey, RejectReason, ShardId, TenantId, Timestamp,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Leases of a URL that were lost with their holder, after which the URL is suspected of killing it. Far above the crashes
/// of any usual night, since a loss says nothing about the URL itself.
pub(crate) const MAX_LOSSES: u8 = 20;

/// A job as the frontier keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What was asked for.
    pub spec: JobSpec,
    /// Where it stands.
    pub state: JobState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// Where its URLs are.
    pub counters: JobCounters,
    /// Ended URLs by the code of their reason (skip and fail reasons).
    pub reasons: BTreeMap<String, u64>,
    /// Links that were never admitted, by reason.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// URLs that a redirect of a seed led to: more anchors for the scope.
    pub anchors: Vec<argiope_protocol::CanonicalUrl>,
}

/// A job that goes on, without its ledger: what each node looks at again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningJob {
    /// Its id.
    pub id: JobId,
    /// Another one after each change of what was asked for.
    pub version: u64,
    /// How many anchors its scope has beside its seeds.
    pub n_anchors: u64,
}

/// A request for the next URLs of a host.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The host.
    pub host: Host,
    /// How long the holder may keep it.
    pub visibility: Duration,
    /// Time that must pass between starts: the gate becomes `now + window + delay`, and stays at `now` when zero.
    pub delay: Duration,
    /// The start window `W`.
    pub window: Duration,
    /// Leases that the host may have out at once.
    pub max_in_flight: u16,
    /// URLs wanted. With a delay no answer holds more than one: each start moves the gate.
    pub max_urls: u16,
}

/// Answer to a [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The right to fetch these URLs, at least one; the host's gate was moved.
    Granted(Vec<Lease>),
    /// The host's gate or block ends then.
    NotBefore(Timestamp),
    /// As many leases are out as the host may have.
    Busy,
    /// Nothing of a running job is queued for it now.
    Empty,
}

/// A host as its owner needs it at start and for scheduling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSummary {
    /// The host.
    pub host: Host,
    /// Queued URLs of running jobs.
    pub n_queued: u64,
    /// Leases out.
    pub n_leased: u32,
    /// Earliest next start (gate or block, whichever is later).
    pub not_before: Timestamp,
    /// The first URL of the queue, so that the owner knows which origin's robots.txt it needs first.
    pub next: Option<argiope_protocol::CanonicalUrl>,
}

/// What waits in a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Hosts with something queued or leased.
    pub n_hosts: u64,
    /// Queued URLs of running jobs.
    pub n_queued: u64,
    /// Leases out.
    pub n_leased: u64,
}

/// A cached robots.txt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotsRecord {
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// What the fetch means by RFC 9309 §2.3.1.
    pub outcome: RobotsOutcome,
}

/// Meaning of a robots.txt fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RobotsOutcome {
    /// 2xx: its body, at most 500 KiB.
    Rules(Vec<u8>),
    /// 4xx: everything is allowed.
    AllowAll,
    /// 5xx, 429 or no answer: nothing is allowed until a later fetch succeeds.
    DisallowAll {
        /// What happened, as a code.
        why: String,
    },
}

/// How a listed URL ended, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlState {
    /// Waiting.
    Queued {
        /// Not before then.
        not_before: Timestamp,
    },
    /// Being worked on.
    Leased {
        /// Until then.
        deadline: Timestamp,
    },
    /// At its end.
    Ended(Fate),
}

/// One URL of a job, for `argiope job ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlEntry {
    /// What was admitted.
    pub candidate: Candidate,
    /// Attempts so far.
    pub attempts: u8,
    /// Where it stands.
    pub state: UrlState,
}

/// Which URLs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlFilter {
    /// All.
    All,
    /// Those that failed for good.
    Failed,
    /// Those that were skipped.
    Skipped,
    /// Those that are stored or unchanged.
    Pages,
    /// Those that wait or are being worked on.
    Open,
}

impl UrlFilter {
    /// Whether it takes a URL that ended so, or with `None` one that is open.
    pub(crate) const fn takes(self, fate: Option<&Fate>) -> bool {
        match self {
            Self::All => true,
            Self::Failed => matches!(fate, Some(Fate::Failed(..))),
            Self::Skipped => matches!(fate, Some(Fate::Skipped(_))),
            Self::Pages => matches!(fate, Some(Fate::Stored | Fate::Unchanged)),
            Self::Open => fate.is_none(),
        }
    }
}

/// The durable frontier.
#[async_trait]
pub trait FrontierStore: Send + Sync + 'static {
    /// Takes the shard when it is free, expired, or already this node's. The new epoch is above the old one and
    /// at least `min_epoch`. `None` while another node's claim holds. Where the store dies with its process, a claim of
    /// an earlier open holds nothing: it is void, and the leases given under it go back to the queue here
    /// (bounded; the rest with each host's next lease), as [`FrontierStore::lease`] says of those that expired.
    async fn claim(
        &self,
        shard: ShardId,
        node: &NodeName,
        ttl: Duration,
        min_epoch: Epoch,
        now: Timestamp,
    ) -> Result<Option<Claim>>;
    /// Prolongs a claim.
    async fn renew(&self, claim: &Claim, ttl: Duration, now: Timestamp) -> Result<Claim>;
    /// Gives a claim up; its leases stay until they expire.
    async fn release(&self, claim: &Claim) -> Result<()>;

    /// Who holds the shard now; nobody when the claim was given up or has expired.
    async fn owner(&self, shard: ShardId, now: Timestamp) -> Result<Option<Claim>>;

    /// Makes a job in state `Running`. Idempotent: the id of an existing job changes nothing and answers `false`.
    async fn create_job(&self, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<bool>;
    /// Replaces limits, manners, retention and use of sitemaps of an unfinished job (its identity stays); a job in a
    /// final state stays as it is.
    async fn update_job(&self, id: JobId, spec: &JobSpec) -> Result<()>;
    /// One job.
    async fn job(&self, id: JobId) -> Result<JobRecord>;
    /// All jobs, oldest first.
    async fn jobs(&self) -> Result<Vec<JobRecord>>;
    /// The jobs in state `Running`, cheaply.
    async fn running_jobs(&self) -> Result<Vec<RunningJob>>;
    /// Moves a job: pause, resume, finish, cancel. `Cancelled` ends everything queued as `Skipped(Cancelled)`
    /// in the same step; leases out are settled by their holders, and what they give back ends as
    /// `Skipped(Cancelled)` too. `Finished` changes nothing while something is queued or leased. Final states are
    /// never left.
    async fn set_job_state(&self, id: JobId, state: JobState, now: Timestamp) -> Result<JobRecord>;
    /// Ends the job as `Finished` if nothing is queued or leased; answers the record either way.
    async fn finish_if_done(&self, id: JobId, now: Timestamp) -> Result<JobRecord>;
    /// More anchors for the job's scope; known ones change nothing.
    async fn add_anchor(&self, id: JobId, anchor: &argiope_protocol::CanonicalUrl) -> Result<()>;
    /// Puts the failed URLs of a job back to its queue with fresh attempts, and the job back to `Running`.
    /// Answers how many. A cancelled job is left alone. The page limit does not hold them back.
    async fn retry_failed(&self, id: JobId, now: Timestamp) -> Result<u64>;
    /// URLs of a job in key order, after `after`, at most `limit` (and never more than 10,000).
    async fn list_urls(
        &self,
        id: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>>;
    /// Samples of links that were rejected, by reason.
    async fn reject_samples(&self, id: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>>;

    /// Offers URLs of this shard's hosts to a job: dedup against all the job ever saw, page budget
    /// (`JobCounters::pages_in_budget` stays at or below `Limits::max_pages`; URLs over it are counted as
    /// rejected and not remembered), counters and rejects in one atomic step. Idempotent. A job in a final state
    /// takes nothing: the report is empty. A host of another shard is an error and nothing is written.
    async fn admit(
        &self,
        claim: &Claim,
        job: JobId,
        candidates: Vec<Candidate>,
        rejects: RejectTally,
        now: Timestamp,
    ) -> Result<AdmitReport>;
    /// The next URLs of a host in the order in which they would be leased, without leasing them. At most `limit`.
    async fn peek(&self, claim: &Claim, host: &Host, limit: usize, now: Timestamp) -> Result<Vec<(JobId, Candidate)>>;
    /// Ends queued URLs without a fetch (robots). URLs that are not queued are left alone. Answers how many ended.
    async fn discard(&self, claim: &Claim, job: JobId, pages: Vec<PageKey>, fate: Fate, now: Timestamp) -> Result<u32>;
    /// Leases the host's next URLs, each as if it were asked for alone: jobs by weighted round robin, inside a job by band, then depth, then age.
    /// First takes back expired leases of the host (bounded per call): whoever held them was killed, frozen or
    /// cut off, so an expired lease gives its attempt back but counts as a loss; after 20 losses its URL, which may be what kills, ends
    /// as `Failed(LeaseLost)`. Then in this order: `NotBefore` while the gate or a block
    /// holds, `Busy` while `max_in_flight` leases are out, `NotBefore` when only retries wait whose time has not come.
    /// The lease, the attempt and the gate (`now + window + delay`) are durable before the answer.
    async fn lease(&self, claim: &Claim, request: &LeaseRequest, now: Timestamp) -> Result<LeaseAnswer>;
    /// Moves the gate for a request that has no lease of its own, or for a lease whose start window was missed.
    async fn start(
        &self,
        claim: &Claim,
        host: &Host,
        window: Duration,
        delay: Duration,
        now: Timestamp,
    ) -> Result<StartAnswer>;
    /// Pushes the host's gate to at least `until`: the end of a fetch plus the delay.
    async fn push_gate(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()>;
    /// Ends a lease. `Failed` with a reason worth retrying goes back to the queue until the job's attempts are used
    /// up: at `retry_at`, or after `2^attempts × 5 s`, at most an hour; then, or when it is not worth it, it is final (a
    /// dead letter). Idempotent: a token that is not the
    /// URL's lease answers `Stale` and changes nothing. The job's ledger moves in the same step.
    async fn settle(&self, claim: &Claim, token: LeaseToken, fate: Fate, now: Timestamp) -> Result<SettleAnswer>;
    /// Gives a lease back unused; its attempt does not count.
    async fn defer(
        &self,
        claim: &Claim,
        token: LeaseToken,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<SettleAnswer>;
    /// Prolongs leases that are still somebody's: their deadlines become at least `deadline`. Answers how many were.
    async fn prolong(&self, claim: &Claim, tokens: Vec<LeaseToken>, deadline: Timestamp) -> Result<u32>;
    /// Nothing of the host is leased before `until` (`Retry-After`, back-off, circuit breaker). An earlier `until`
    /// does not shorten a block.
    async fn block_host(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()>;
    /// All hosts of a shard with something queued or leased.
    async fn hosts(&self, claim: &Claim, now: Timestamp) -> Result<Vec<HostSummary>>;
    /// What waits in a shard, whoever owns it.
    async fn load(&self, shard: ShardId) -> Result<ShardLoad>;
    /// A host as [`FrontierStore::hosts`] lists it, whoever owns its shard; one that was seen before is answered also
    /// when nothing of it waits.
    async fn host(&self, host: &Host) -> Result<Option<HostSummary>>;
    /// Where a URL stands in a job; `None` when the job never took it. A store that does not keep the URL of an ended
    /// page answers it with the source `Known`. May read the job's whole queue in the URL's shard: for questions of a
    /// person, not for the crawl.
    async fn url(&self, id: JobId, url: &argiope_protocol::CanonicalUrl) -> Result<Option<UrlEntry>>;
    /// Keeps a robots.txt.
    async fn put_robots(&self, claim: &Claim, origin: &Origin, record: &RobotsRecord) -> Result<()>;
    /// The kept robots.txt.
    async fn robots(&self, origin: &Origin) -> Result<Option<RobotsRecord>>;
    /// Pages that any job of the tenant with this identity ended as stored or unchanged, for a recrawl: in key order,
    /// as candidates whose source is `Known`.
    async fn known_pages(
        &self,
        tenant: &TenantId,
        identity: [u8; 16],
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, Candidate)>>;
    /// Checks counters against URLs and every record against its checksum; answers what is wrong, in words.
    async fn verify(&self) -> Result<Vec<String>>;
}
