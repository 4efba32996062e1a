//! The contract's calls, each handed to the module that keeps it.

use super::lease::End;
use super::server::Call;
use super::{RedisFrontier, codes};
use crate::Result;
use crate::frontier::{
    AdmitReport, FrontierStore, HostSummary, JobRecord, LeaseAnswer, LeaseRequest, RejectTally, RobotsRecord,
    RunningJob, SettleAnswer, ShardLoad, StartAnswer, UrlEntry, UrlFilter,
};
use argiope_protocol::{
    Candidate, CanonicalUrl, Claim, Epoch, Fate, Host, JobId, JobSpec, JobState, LeaseToken, NodeName, Origin, PageKey,
    RejectReason, ShardId, TenantId, Timestamp,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

#[async_trait]
impl FrontierStore for RedisFrontier {
    async fn claim(
        &self,
        shard: ShardId,
        node: &NodeName,
        ttl: Duration,
        min_epoch: Epoch,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        let expires_at = codes::time(codes::millis(now.after(ttl)));
        let call = Call::new("claim", &self.shard(shard)).arg(node.as_str()).arg(self.boot.as_str()).run();
        let reply = self.router.ask(call.num(min_epoch.0).time(now).time(expires_at)).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        let epoch = Epoch(reply.num()?);
        self.forget_numbers();
        self.catch_up(shard).await?;
        Ok(Some(Claim { shard, node: node.clone(), epoch, expires_at }))
    }

    async fn renew(&self, claim: &Claim, ttl: Duration, now: Timestamp) -> Result<Claim> {
        let expires_at = codes::time(codes::millis(now.after(ttl)));
        self.router.ask(Call::new("renew", &self.shard(claim.shard)).of(claim).time(expires_at)).await?;
        Ok(Claim { expires_at, ..claim.clone() })
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.router.ask(Call::new("release", &self.shard(claim.shard)).of(claim)).await.map(drop)
    }

    async fn owner(&self, shard: ShardId, now: Timestamp) -> Result<Option<Claim>> {
        let reply = self.router.ask(Call::read("owner", &self.shard(shard)).run().time(now)).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        let [epoch, node, expires_at] = reply.parts()?;
        let odd = |error| crate::Error::Corrupt { what: format!("claim of shard {shard}"), detail: format!("{error}") };
        let node = NodeName::try_new(node.text()?).map_err(odd)?;
        Ok(Some(Claim { shard, node, epoch: Epoch(epoch.num()?), expires_at: expires_at.time()? }))
    }

    async fn create_job(&self, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<bool> {
        self.create(id, spec, now).await
    }

    async fn update_job(&self, id: JobId, spec: &JobSpec) -> Result<()> {
        self.update(id, spec).await
    }

    async fn job(&self, id: JobId) -> Result<JobRecord> {
        self.record(id).await
    }

    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        self.records().await
    }

    async fn running_jobs(&self) -> Result<Vec<RunningJob>> {
        let list = self.router.ask(Call::read("running", &self.registry())).await?.list()?;
        let read = |job: super::server::Reply| {
            let [id, version, n_anchors] = job.parts()?;
            let id = super::lease::job_id(&id.bytes()?)?;
            Ok(RunningJob { id, version: version.num()?, n_anchors: n_anchors.num()? })
        };
        list.into_iter().map(read).collect()
    }

    async fn set_job_state(&self, id: JobId, state: JobState, now: Timestamp) -> Result<JobRecord> {
        self.set_state(id, state, now).await
    }

    async fn finish_if_done(&self, id: JobId, now: Timestamp) -> Result<JobRecord> {
        self.set_state(id, JobState::Finished, now).await
    }

    async fn add_anchor(&self, id: JobId, anchor: &CanonicalUrl) -> Result<()> {
        let number = self.number(id).await?;
        self.router.ask(Call::new("anchor", &self.registry()).arg(number).arg(anchor.as_str())).await.map(drop)
    }

    async fn retry_failed(&self, id: JobId, now: Timestamp) -> Result<u64> {
        self.retry(id, now).await
    }

    async fn list_urls(
        &self,
        id: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>> {
        self.list(id, filter, after, limit).await
    }

    async fn reject_samples(&self, id: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
        self.samples(id).await
    }

    async fn admit(
        &self,
        claim: &Claim,
        job: JobId,
        candidates: Vec<Candidate>,
        rejects: RejectTally,
        now: Timestamp,
    ) -> Result<AdmitReport> {
        self.admit_all(claim, job, &candidates, &rejects, now).await
    }

    async fn peek(&self, claim: &Claim, host: &Host, limit: usize, now: Timestamp) -> Result<Vec<(JobId, Candidate)>> {
        self.peek_at(claim, host, limit, now).await
    }

    async fn discard(
        &self,
        claim: &Claim,
        job: JobId,
        pages: Vec<PageKey>,
        fate: Fate,
        _now: Timestamp,
    ) -> Result<u32> {
        let number = self.number(job).await?;
        let call = Call::new("discard", &self.shard(claim.shard)).of(claim).arg(number);
        let call = call.num(codes::fate_number(fate)).num(codes::retry_number(fate));
        let call = pages.iter().fold(call, |call, page| call.arg(page.as_bytes()));
        Ok(u32::try_from(self.router.ask(call).await?.num()?).unwrap_or(u32::MAX))
    }

    async fn lease(&self, claim: &Claim, request: &LeaseRequest, now: Timestamp) -> Result<LeaseAnswer> {
        self.lease_one(claim, request, now).await
    }

    async fn start(
        &self,
        claim: &Claim,
        host: &Host,
        window: Duration,
        delay: Duration,
        now: Timestamp,
    ) -> Result<StartAnswer> {
        self.start_one(claim, host, window, delay, now).await
    }

    async fn push_gate(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
        self.hold(claim, host, "gate", until).await
    }

    async fn settle(&self, claim: &Claim, token: LeaseToken, fate: Fate, now: Timestamp) -> Result<SettleAnswer> {
        self.end(claim, token, End::Settled(fate), now).await
    }

    async fn defer(
        &self,
        claim: &Claim,
        token: LeaseToken,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<SettleAnswer> {
        self.end(claim, token, End::Deferred(not_before), now).await
    }

    async fn prolong(&self, claim: &Claim, tokens: Vec<LeaseToken>, deadline: Timestamp) -> Result<u32> {
        let call = Call::new("prolong", &self.shard(claim.shard)).of(claim).time(deadline);
        let call = tokens.iter().fold(call, |call, token| call.arg(format!("{}:{}", token.epoch.0, token.seq)));
        Ok(u32::try_from(self.router.ask(call).await?.num()?).unwrap_or(u32::MAX))
    }

    async fn block_host(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
        self.hold(claim, host, "block", until).await
    }

    async fn hosts(&self, claim: &Claim, _now: Timestamp) -> Result<Vec<HostSummary>> {
        self.host_list(claim).await
    }

    async fn load(&self, shard: ShardId) -> Result<ShardLoad> {
        self.shard_load(shard).await
    }

    async fn host(&self, host: &Host) -> Result<Option<HostSummary>> {
        self.one_host(host).await
    }

    async fn url(&self, id: JobId, url: &CanonicalUrl) -> Result<Option<UrlEntry>> {
        self.standing(id, url).await
    }

    async fn put_robots(&self, claim: &Claim, origin: &Origin, record: &RobotsRecord) -> Result<()> {
        self.keep_robots(claim, origin, record).await
    }

    async fn robots(&self, origin: &Origin) -> Result<Option<RobotsRecord>> {
        self.read_robots(origin).await
    }

    async fn known_pages(
        &self,
        tenant: &TenantId,
        identity: [u8; 16],
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, Candidate)>> {
        self.known(tenant, identity, after, limit).await
    }

    async fn verify(&self) -> Result<Vec<String>> {
        self.verify_all().await
    }
}
