//! The contract's calls, each handed to the module that keeps it.

use super::{EmbeddedFrontier, admit, claims, hosts, jobs, lease, lists, settle, verify};
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
impl FrontierStore for EmbeddedFrontier {
    async fn claim(
        &self,
        shard: ShardId,
        node: &NodeName,
        ttl: Duration,
        min_epoch: Epoch,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        let node = node.clone();
        self.write(move |step| claims::claim(step, shard, &node, ttl, min_epoch, now)).await
    }

    async fn renew(&self, claim: &Claim, ttl: Duration, now: Timestamp) -> Result<Claim> {
        let claim = claim.clone();
        self.write(move |step| claims::renew(step, &claim, ttl, now)).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        let claim = claim.clone();
        self.write(move |step| claims::release(step, &claim)).await
    }

    async fn owner(&self, shard: ShardId, now: Timestamp) -> Result<Option<Claim>> {
        self.read(move |view| claims::owner(view, shard, now)).await
    }

    async fn create_job(&self, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<bool> {
        let spec = spec.clone();
        self.write(move |step| jobs::create(step, id, &spec, now)).await
    }

    async fn update_job(&self, id: JobId, spec: &JobSpec) -> Result<()> {
        let spec = spec.clone();
        self.write(move |step| jobs::update(step, id, &spec)).await
    }

    async fn job(&self, id: JobId) -> Result<JobRecord> {
        self.read(move |view| jobs::record(view, id)).await
    }

    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        self.read(jobs::list).await
    }

    async fn running_jobs(&self) -> Result<Vec<RunningJob>> {
        self.read(jobs::running).await
    }

    async fn set_job_state(&self, id: JobId, state: JobState, now: Timestamp) -> Result<JobRecord> {
        self.write(move |step| jobs::set_state(step, id, state, now)).await
    }

    async fn finish_if_done(&self, id: JobId, now: Timestamp) -> Result<JobRecord> {
        self.write(move |step| jobs::finish_if_done(step, id, now)).await
    }

    async fn add_anchor(&self, id: JobId, anchor: &CanonicalUrl) -> Result<()> {
        let anchor = anchor.clone();
        self.write(move |step| jobs::add_anchor(step, id, &anchor)).await
    }

    async fn retry_failed(&self, id: JobId, now: Timestamp) -> Result<u64> {
        self.write(move |step| jobs::retry_failed(step, id, now)).await
    }

    async fn list_urls(
        &self,
        id: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>> {
        self.read(move |view| lists::urls(view, id, filter, after, limit)).await
    }

    async fn reject_samples(&self, id: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
        self.read(move |view| lists::reject_samples(view, id)).await
    }

    async fn admit(
        &self,
        claim: &Claim,
        job: JobId,
        candidates: Vec<Candidate>,
        rejects: RejectTally,
        now: Timestamp,
    ) -> Result<AdmitReport> {
        let claim = claim.clone();
        self.write(move |step| admit::admit(step, &claim, job, &candidates, &rejects, now)).await
    }

    async fn peek(&self, claim: &Claim, host: &Host, limit: usize, now: Timestamp) -> Result<Vec<(JobId, Candidate)>> {
        let (claim, host) = (claim.clone(), host.clone());
        self.read(move |view| lists::peek(view, &claim, &host, limit, now)).await
    }

    async fn discard(
        &self,
        claim: &Claim,
        job: JobId,
        pages: Vec<PageKey>,
        fate: Fate,
        _now: Timestamp,
    ) -> Result<u32> {
        let claim = claim.clone();
        self.write(move |step| {
            claims::check(step, &claim)?;
            jobs::discard(step, claim.shard.number(), job, &pages, fate)
        })
        .await
    }

    async fn lease(&self, claim: &Claim, request: &LeaseRequest, now: Timestamp) -> Result<LeaseAnswer> {
        let (claim, request) = (claim.clone(), request.clone());
        self.write(move |step| lease::lease(step, &claim, &request, now)).await
    }

    async fn start(
        &self,
        claim: &Claim,
        host: &Host,
        window: Duration,
        delay: Duration,
        now: Timestamp,
    ) -> Result<StartAnswer> {
        let (claim, host) = (claim.clone(), host.clone());
        self.write(move |step| hosts::start(step, &claim, &host, window, delay, now)).await
    }

    async fn push_gate(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
        let (claim, host) = (claim.clone(), host.clone());
        self.write(move |step| hosts::push_gate(step, &claim, &host, until)).await
    }

    async fn settle(&self, claim: &Claim, token: LeaseToken, fate: Fate, now: Timestamp) -> Result<SettleAnswer> {
        let claim = claim.clone();
        self.write(move |step| settle::settle(step, &claim, token, fate, now)).await
    }

    async fn defer(
        &self,
        claim: &Claim,
        token: LeaseToken,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<SettleAnswer> {
        let claim = claim.clone();
        self.write(move |step| settle::defer(step, &claim, token, not_before, now)).await
    }

    async fn prolong(&self, claim: &Claim, tokens: Vec<LeaseToken>, deadline: Timestamp) -> Result<u32> {
        let claim = claim.clone();
        self.write(move |step| lease::prolong(step, &claim, &tokens, deadline)).await
    }

    async fn block_host(&self, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
        let (claim, host) = (claim.clone(), host.clone());
        self.write(move |step| hosts::block(step, &claim, &host, until)).await
    }

    async fn hosts(&self, claim: &Claim, _now: Timestamp) -> Result<Vec<HostSummary>> {
        let claim = claim.clone();
        self.read(move |view| lists::hosts(view, &claim)).await
    }

    async fn load(&self, shard: ShardId) -> Result<ShardLoad> {
        self.read(move |view| lists::load(view, shard)).await
    }

    async fn host(&self, host: &Host) -> Result<Option<HostSummary>> {
        let host = host.clone();
        self.read(move |view| lists::host(view, &host)).await
    }

    async fn url(&self, id: JobId, url: &CanonicalUrl) -> Result<Option<UrlEntry>> {
        let page = PageKey::of(url);
        self.read(move |view| lists::url(view, id, &page)).await
    }

    async fn put_robots(&self, claim: &Claim, origin: &Origin, record: &RobotsRecord) -> Result<()> {
        let (claim, origin, record) = (claim.clone(), origin.clone(), record.clone());
        self.write(move |step| hosts::put_robots(step, &claim, &origin, &record)).await
    }

    async fn robots(&self, origin: &Origin) -> Result<Option<RobotsRecord>> {
        let origin = origin.clone();
        self.read(move |view| hosts::robots(view, &origin)).await
    }

    async fn known_pages(
        &self,
        tenant: &TenantId,
        identity: [u8; 16],
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, Candidate)>> {
        let tenant = tenant.clone();
        self.read(move |view| lists::known_pages(view, &tenant, identity, after, limit)).await
    }

    async fn verify(&self) -> Result<Vec<String>> {
        self.read(verify::verify).await
    }
}
