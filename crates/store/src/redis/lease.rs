//! Leases, gates and their ends.

use super::admit::check_shard;
use super::record::Record;
use super::server::Call;
use super::{RedisFrontier, codes};
use crate::frontier::{LeaseAnswer, LeaseRequest, RobotsRecord, SettleAnswer, StartAnswer};
use crate::{Error, Result};
use argiope_protocol::{Claim, Fate, Host, JobId, Lease, LeaseToken, Origin, ShardId, TenantId, Timestamp};
use std::time::Duration;

/// URLs that one call leases: bounds its time inside of Redis.
const MAX_LEASES: u16 = 100;

/// How a lease ends.
pub(super) enum End {
    /// With a fate.
    Settled(Fate),
    /// Given back unused, not to be leased before then.
    Deferred(Timestamp),
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(codes::MAX_MILLIS)
}

fn short() -> Error {
    Error::Corrupt { what: "answer of lease".to_owned(), detail: "it is short".to_owned() }
}

impl RedisFrontier {
    pub(super) async fn lease_one(&self, claim: &Claim, request: &LeaseRequest, now: Timestamp) -> Result<LeaseAnswer> {
        let deadline = codes::time(codes::millis(now.after(request.visibility)));
        let call = Call::new("lease", &self.shard(claim.shard)).of(claim).time(now).arg(request.host.as_str());
        let call = call.time(deadline).num(milliseconds(request.delay)).num(milliseconds(request.window));
        let mut parts = self
            .router
            .ask(call.num(request.max_in_flight).num(request.max_urls.min(MAX_LEASES)))
            .await?
            .list()?
            .into_iter();
        let mut next = || parts.next().ok_or_else(short);
        match next()?.text()?.as_str() {
            "wait" => Ok(LeaseAnswer::NotBefore(next()?.time()?)),
            "busy" => Ok(LeaseAnswer::Busy),
            "ok" => {
                let mut leases = Vec::new();
                while let Some(seq) = parts.next() {
                    let mut next = || parts.next().ok_or_else(short);
                    let (job, tenant, record) = (next()?.bytes()?, next()?.text()?, next()?.bytes()?);
                    let record = Record::read(&record)?;
                    leases.push(Lease {
                        token: LeaseToken { epoch: claim.epoch, seq: seq.num()? },
                        tenant: TenantId::try_new(tenant).map_err(|error| Error::engine("read tenant", error))?,
                        job: job_id(&job)?,
                        host: request.host.clone(),
                        candidate: record.candidate,
                        attempt: record.attempts,
                        deadline,
                    });
                }
                Ok(LeaseAnswer::Granted(leases))
            }
            _ => Ok(LeaseAnswer::Empty),
        }
    }

    pub(super) async fn end(&self, claim: &Claim, token: LeaseToken, end: End, now: Timestamp) -> Result<SettleAnswer> {
        let call = Call::new("settle", &self.shard(claim.shard)).of(claim).time(now);
        let call = call.arg(format!("{}:{}", token.epoch.0, token.seq));
        let call = match end {
            End::Settled(fate) => {
                let (is_worth, retry_at) = match fate {
                    Fate::Failed(reason, retry_at) => (reason.is_worth_retrying(), retry_at),
                    _ => (false, None),
                };
                let retry_at = retry_at.map(|at| codes::millis(at).to_string()).unwrap_or_default();
                let call = call.num(codes::fate_number(fate)).num(codes::retry_number(fate));
                call.num(is_worth).arg(retry_at).num(false)
            }
            End::Deferred(not_before) => call.arg("").num(0_u8).num(false).time(not_before).num(true),
        };
        let mut parts = self.router.ask(call).await?.list()?.into_iter();
        let mut next = || parts.next().ok_or_else(short);
        match next()?.text()?.as_str() {
            "queued" => Ok(SettleAnswer::Requeued { not_before: next()?.time()? }),
            "ended" => Ok(SettleAnswer::Ended),
            _ => Ok(SettleAnswer::Stale),
        }
    }

    pub(super) async fn start_one(
        &self,
        claim: &Claim,
        host: &Host,
        window: Duration,
        delay: Duration,
        now: Timestamp,
    ) -> Result<StartAnswer> {
        check_shard(claim.shard, host)?;
        let call = Call::new("start", &self.shard(claim.shard)).of(claim).time(now).arg(host.as_str());
        let reply = self.router.ask(call.num(milliseconds(window)).num(milliseconds(delay))).await?.time()?;
        Ok(if reply == Timestamp::ZERO { StartAnswer::Granted } else { StartAnswer::NotBefore(reply) })
    }

    /// Moves a host's `gate` or `block` to at least `until`.
    pub(super) async fn hold(&self, claim: &Claim, host: &Host, field: &'static str, until: Timestamp) -> Result<()> {
        check_shard(claim.shard, host)?;
        let call = Call::new("hold", &self.shard(claim.shard)).of(claim).arg(host.as_str()).arg(field).time(until);
        self.router.ask(call).await.map(drop)
    }

    pub(super) async fn keep_robots(&self, claim: &Claim, origin: &Origin, record: &RobotsRecord) -> Result<()> {
        check_shard(claim.shard, &origin.host)?;
        let bytes = postcard::to_stdvec(record).map_err(|error| Error::engine("encode robots.txt", error))?;
        let call = Call::new("put_robots", &self.shard(claim.shard)).of(claim).arg(origin.to_url_prefix()).arg(bytes);
        self.router.ask(call).await.map(drop)
    }

    pub(super) async fn read_robots(&self, origin: &Origin) -> Result<Option<RobotsRecord>> {
        let base = self.shard(ShardId::of_host(&origin.host));
        let call = Call::command("HGET", &base).arg(format!("{base}robots")).arg(origin.to_url_prefix());
        let reply = self.router.ask(call).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        let damaged = |error: postcard::Error| Error::Corrupt {
            what: format!("robots.txt of {}", origin.to_url_prefix()),
            detail: error.to_string(),
        };
        postcard::from_bytes(&reply.bytes()?).map(Some).map_err(damaged)
    }
}

/// A job's id from its bytes.
pub(super) fn job_id(bytes: &[u8]) -> Result<JobId> {
    let uuid = uuid::Uuid::from_slice(bytes).map_err(|error| Error::engine("read job id", error))?;
    Ok(JobId::from_uuid(uuid))
}
