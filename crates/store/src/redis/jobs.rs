//! Jobs: made, moved between states, retried, summed over their shards.

use super::codes;
use super::record;
use super::server::Call;
use super::shard_job::{Ledger, Registered};
use super::{AT_ONCE, RedisFrontier};
use crate::frontier::JobRecord;
use crate::{Error, Result};
use argiope_protocol::{JobCounters, JobId, JobSpec, JobState, RejectReason, ShardId, Timestamp};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;

/// URLs that one call ends or puts back: about 10 ms inside of Redis.
const MAX_MOVED: u64 = 1_000;
/// Calls without progress after which sweeping a cancelled job is given up.
const MAX_IDLE_SWEEPS: u32 = 1_000;

impl RedisFrontier {
    pub(super) async fn create(&self, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<bool> {
        let call = Call::new("create", &self.registry()).arg(id.as_bytes()).arg(encode(spec)?).time(now);
        let call = call.num(pages(spec)).num(spec.limits.max_attempts).arg(spec.tenant.as_str());
        Ok(self.router.ask(call).await?.num()? == 1)
    }

    pub(super) async fn update(&self, id: JobId, spec: &JobSpec) -> Result<()> {
        let job = self.registered(id).await?;
        if job.is_final() {
            return Ok(());
        }
        let mut merged = JobSpec { limits: spec.limits, politeness: spec.politeness, ..job.spec.clone() };
        merged.retain = spec.retain;
        merged.sitemaps = spec.sitemaps;
        let call = Call::new("update", &self.registry()).arg(job.number.as_str()).arg(encode(&merged)?);
        self.router.ask(call.num(pages(&merged)).num(merged.limits.max_attempts)).await?;
        let job = self.registered(id).await?;
        self.push(&job).await?;
        self.forget_exhausted(id);
        if job.granted > job.max_pages {
            self.reconcile(&job, |_| true).await?;
        }
        Ok(())
    }

    pub(super) async fn record(&self, id: JobId) -> Result<JobRecord> {
        let job = self.registered(id).await?;
        let ledgers = self.ledgers(&job).await?;
        if ledgers.iter().any(|(_, ledger)| is_behind(&job, ledger)) {
            self.push(&job).await?;
            self.sweep(&job).await?;
            let ledgers = self.ledgers(&job).await?;
            return Ok(record_of(job, &ledgers));
        }
        Ok(record_of(job, &ledgers))
    }

    pub(super) async fn records(&self) -> Result<Vec<JobRecord>> {
        let base = self.registry();
        let call = Call::command("HKEYS", &base).arg(format!("{base}ids"));
        let mut records = Vec::new();
        for id in self.router.ask(call).await?.list()? {
            records.push(self.record(super::lease::job_id(&id.bytes()?)?).await?);
        }
        records.sort_by_key(|record: &JobRecord| (record.created_at, record.id));
        Ok(records)
    }

    /// The job's part of the ledger in each shard that has a copy.
    async fn ledgers(&self, job: &Registered) -> Result<Vec<(ShardId, Ledger)>> {
        let reads = job.shards.keys().map(|shard| async move { Ok((*shard, self.ledger(&job.number, *shard).await?)) });
        stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
    }

    /// Brings every shard to the registry's state.
    pub(super) async fn push(&self, job: &Registered) -> Result<()> {
        self.install_all(job, job.state, job.version).await.map(drop)
    }

    async fn install_all(&self, job: &Registered, state: JobState, version: u64) -> Result<bool> {
        let calls = job.shards.keys().map(|shard| self.install(job, *shard, state, version));
        let answers = stream::iter(calls.collect::<Vec<_>>()).buffered(AT_ONCE);
        answers.try_fold(true, |all, one| async move { Ok(all && one) }).await
    }

    pub(super) async fn set_state(&self, id: JobId, state: JobState, now: Timestamp) -> Result<JobRecord> {
        let job = self.registered(id).await?;
        if state == JobState::Finished && !job.is_final() {
            self.finish(&job, now).await?;
            return self.record(id).await;
        }
        if !job.is_final() && job.state != state {
            let ended_at = (state == JobState::Cancelled).then_some(now);
            self.shift(&job, state, ended_at, "", "", false).await?;
        }
        // Also when nothing changed: an earlier call may have ended in the middle.
        let job = self.registered(id).await?;
        self.push(&job).await?;
        self.sweep(&job).await?;
        self.record(id).await
    }

    /// Changes the registry's state. `version` and `n_shards` are conditions when they are not empty.
    async fn shift(
        &self,
        job: &Registered,
        state: JobState,
        ended_at: Option<Timestamp>,
        version: &str,
        n_shards: &str,
        is_final_left: bool,
    ) -> Result<bool> {
        let ended_at = ended_at.map(|at| codes::millis(at).to_string()).unwrap_or_default();
        let call = Call::new("move", &self.registry()).arg(job.number.as_str()).arg(codes::state_letter(state));
        let call = call.arg(ended_at).arg(version).arg(n_shards).num(is_final_left);
        Ok(self.router.ask(call).await?.num()? == 1)
    }

    /// Finishes a job of which nothing is open. Two sums in a row that agree are the state of one instant; then each
    /// shard closes its copy if nothing was opened since; the registry is last.
    async fn finish(&self, job: &Registered, now: Timestamp) -> Result<()> {
        let first = self.ledgers(job).await?;
        if first.iter().any(|(_, ledger)| !ledger.counters.is_finished()) || first != self.ledgers(job).await? {
            return Ok(());
        }
        let (version, n_shards) = (job.version.to_string(), job.shards.len().to_string());
        let is_closed = self.install_all(job, JobState::Finished, job.version + 1).await?
            && self.shift(job, JobState::Finished, Some(now), &version, &n_shards, false).await?;
        if !is_closed {
            let call = Call::new("touch", &self.registry()).arg(job.number.as_str());
            self.router.ask(call).await?;
            self.push(&self.registered(job.id).await?).await?;
        }
        Ok(())
    }

    /// Ends what a cancelled job has queued, some at a time. Its flag is set before, so nothing of it is leased.
    async fn sweep(&self, job: &Registered) -> Result<()> {
        if job.state != JobState::Cancelled {
            return Ok(());
        }
        let sweeps = job.shards.keys().map(|shard| self.sweep_shard(&job.number, *shard));
        stream::iter(sweeps.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn sweep_shard(&self, job: &str, shard: ShardId) -> Result<()> {
        let (mut cursor, mut n_left, mut n_idle) = ("0".to_owned(), u64::MAX, 0);
        while n_left > 0 {
            let call = Call::new("sweep", &self.shard(shard)).arg(job).arg(cursor).num(MAX_MOVED);
            let [next, left] = self.router.ask(call).await?.parts()?;
            let left = left.num()?;
            n_idle = if left < n_left { 0 } else { n_idle + 1 };
            if n_idle > MAX_IDLE_SWEEPS {
                return Err(Error::Corrupt {
                    what: format!("queue of job {job} in shard {shard}"),
                    detail: format!("{left} URLs are counted and not found"),
                });
            }
            (cursor, n_left) = (next.text()?, left);
        }
        Ok(())
    }

    pub(super) async fn retry(&self, id: JobId, now: Timestamp) -> Result<u64> {
        let job = self.registered(id).await?;
        let ledgers = self.ledgers(&job).await?;
        let n_failed: u64 = ledgers.iter().map(|(_, ledger)| ledger.counters.failed).sum();
        if job.state == JobState::Cancelled || n_failed == 0 {
            return Ok(0);
        }
        self.shift(&job, JobState::Running, None, "", "", true).await?;
        let job = self.registered(id).await?;
        self.push(&job).await?;
        let mut n_retried = 0;
        for (shard, ledger) in ledgers {
            let mut n_left = ledger.counters.failed;
            while n_left > 0 {
                let call = Call::new("retry", &self.shard(shard)).arg(job.number.as_str()).time(now);
                let n_put_back = self.router.ask(call.num(n_left.min(MAX_MOVED))).await?.num()?;
                if n_put_back == 0 {
                    break;
                }
                n_retried += n_put_back;
                n_left = n_left.saturating_sub(n_put_back);
            }
        }
        self.reconcile(&self.registered(id).await?, |_| true).await?;
        Ok(n_retried)
    }

    pub(super) async fn samples(&self, id: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
        let job = self.registered(id).await?;
        let mut samples: BTreeMap<RejectReason, Vec<String>> = BTreeMap::new();
        for shard in job.shards.keys() {
            let base = self.shard(*shard);
            let call = Call::command("HGETALL", &base).arg(format!("{base}x{}", job.number));
            for (code, texts) in self.router.ask(call).await?.fields()? {
                let Some(reason) = RejectReason::ALL.iter().find(|reason| reason.code() == code) else { continue };
                let texts: Vec<String> = serde_json::from_slice(&texts)
                    .map_err(|error| Error::Corrupt { what: "rejected links".to_owned(), detail: error.to_string() })?;
                let kept = samples.entry(*reason).or_default();
                kept.extend(texts.into_iter().take(crate::frontier::MAX_REJECT_SAMPLES - kept.len()));
            }
        }
        Ok(samples)
    }

    /// After a claim: what this shard missed while it had no owner, or lost in a failover.
    pub(super) async fn catch_up(&self, shard: ShardId) -> Result<()> {
        let base = self.shard(shard);
        let call = Call::command("SMEMBERS", &base).arg(format!("{base}jobs"));
        for number in self.router.ask(call).await?.list()? {
            let number = number.text()?;
            let call =
                Call::command("HMGET", &base).arg(format!("{base}j{number}")).arg("id").arg("state").arg("version");
            let [id, state, version] = self.router.ask(call).await?.parts()?;
            let (id, state, version) = (super::lease::job_id(&id.bytes()?)?, state.bytes()?, version.num()?);
            if state == b"F" {
                continue;
            }
            match self.registered(id).await {
                Ok(job) if !job.shards.contains_key(&shard) => drop(self.join(id, shard).await?),
                Ok(job) if job.version != version || codes::state_letter(job.state).as_bytes() != state => {
                    self.install(&job, shard, job.state, job.version).await?;
                    self.sweep(&job).await?;
                }
                Ok(_) => {}
                Err(Error::UnknownJob(_)) => {
                    tracing::warn!(%shard, job = %id, "the registry does not know a job of this shard");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A change did not reach the shard, or did not end there.
fn is_behind(job: &Registered, ledger: &Ledger) -> bool {
    ledger.version < job.version || (job.state == JobState::Cancelled && ledger.counters.queued > 0)
}

fn record_of(job: Registered, ledgers: &[(ShardId, Ledger)]) -> JobRecord {
    let mut counters = JobCounters::default();
    let (mut reasons, mut rejected) = (BTreeMap::new(), BTreeMap::new());
    for (_, ledger) in ledgers {
        let part = ledger.counters;
        counters.discovered += part.discovered;
        counters.queued += part.queued;
        counters.leased += part.leased;
        counters.stored += part.stored;
        counters.unchanged += part.unchanged;
        counters.skipped += part.skipped;
        counters.failed += part.failed;
        for (code, count) in &ledger.reasons {
            *reasons.entry(code.clone()).or_default() += count;
        }
        for (reason, count) in &ledger.rejected {
            *rejected.entry(*reason).or_default() += count;
        }
    }
    let Registered { id, spec, state, created_at, ended_at, anchors, .. } = job;
    JobRecord { id, spec, state, created_at, ended_at, counters, reasons, rejected, anchors }
}

fn encode(spec: &JobSpec) -> Result<Vec<u8>> {
    serde_json::to_vec(spec).map_err(|error| Error::engine("encode job", error))
}

/// The page limit as a number that Redis can count to.
fn pages(spec: &JobSpec) -> u64 {
    spec.limits.max_pages.min(record::MAX_COUNT)
}
