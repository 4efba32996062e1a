//! Leases: given, taken back.

use super::ledger::{self, Work, torn};
use super::record::unseal;
use super::rows::{HostJobRow, HostRow, JobHead, LeaseRow, OutRow, Place};
use super::table::{Step, View};
use super::{claims, hosts, keys};
use crate::Result;
use crate::frontier::{LeaseAnswer, LeaseRequest, MAX_LOSSES};
use argiope_protocol::{Claim, FailReason, Fate, JobState, Lease, LeaseToken, PageKey, TenantId, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Leases of a host that one call takes back, and retries of a job that one call moves to the queue's front part.
pub(super) const MAX_MOVED: usize = 256;

pub(super) fn lease(step: &mut Step<'_>, claim: &Claim, request: &LeaseRequest, now: Timestamp) -> Result<LeaseAnswer> {
    claims::check(step, claim)?;
    let Some(number) = hosts::number(step, claim.shard, &request.host)? else { return Ok(LeaseAnswer::Empty) };
    let mut host = hosts::load(step, number)?;
    let n_taken_back = take_back_due(step, &mut host, now)?;
    let answer = if host.not_before() > now {
        LeaseAnswer::NotBefore(host.not_before())
    } else if host.leases.len() >= usize::from(request.max_in_flight) {
        LeaseAnswer::Busy
    } else {
        pick_all(step, claim, request, number, &mut host, now)?
    };
    if n_taken_back > 0 || matches!(answer, LeaseAnswer::Granted(_)) {
        step.put_hot(&keys::host(number), &host)?;
    }
    Ok(answer)
}

/// Moves the deadlines of leases that still hold.
pub(super) fn prolong(step: &mut Step<'_>, claim: &Claim, tokens: &[LeaseToken], deadline: Timestamp) -> Result<u32> {
    claims::check(step, claim)?;
    let (open, mut n_held) = (step.session().open, 0);
    for token in tokens {
        let row: Option<LeaseRow> = step.get(&keys::lease(claim.shard.number(), *token))?;
        let Some(row) = row.filter(|row| row.open == open) else { continue };
        n_held += 1;
        let mut host = hosts::load(step, row.host)?;
        let Some(out) = host.leases.iter_mut().find(|out| out.token == *token) else {
            return Err(torn("a lease is missing at its host"));
        };
        if out.deadline >= deadline {
            continue;
        }
        out.deadline = deadline;
        let mut work = Work::load(step, row.job, row.page)?;
        work.move_to(step, Place::Leased { token: *token, deadline })?;
        work.save(step)?;
        step.put_hot(&keys::host(row.host), &host)?;
    }
    Ok(n_held)
}

/// Takes back leases that expired, or that an earlier process held.
fn take_back_due(step: &mut Step<'_>, host: &mut HostRow, now: Timestamp) -> Result<usize> {
    let open = step.session().open;
    let is_due = |out: &&OutRow| out.open != open || out.deadline <= now;
    let due: Vec<OutRow> = host.leases.iter().filter(is_due).take(MAX_MOVED).copied().collect();
    for out in &due {
        let row: LeaseRow =
            step.get(&keys::lease(host.shard, out.token))?.ok_or_else(|| torn("a host's lease is missing"))?;
        let mut work = Work::load(step, row.job, row.page)?;
        take_back(step, &mut work, host, out.token, now)?;
        work.save(step)?;
    }
    Ok(due.len())
}

/// Takes one lease back that was lost with its holder: it gives its attempt back but counts as a loss. The caller writes `work`
/// and `host`.
pub(super) fn take_back(
    step: &mut Step<'_>,
    work: &mut Work,
    host: &mut HostRow,
    token: LeaseToken,
    now: Timestamp,
) -> Result<()> {
    remove(step, host, token)?;
    work.url.attempts = work.url.attempts.saturating_sub(1);
    work.url.losses = work.url.losses.saturating_add(1);
    if work.url.losses >= MAX_LOSSES {
        return work.move_to(step, Place::Ended(Fate::Failed(FailReason::LeaseLost, None)));
    }
    work.requeue(step, now, now).map(|_| ())
}

/// Forgets a lease's row and its place at the host.
pub(super) fn remove(step: &mut Step<'_>, host: &mut HostRow, token: LeaseToken) -> Result<()> {
    host.leases.retain(|out| out.token != token);
    step.remove(&keys::lease(host.shard, token)).map(|_| ())
}

/// A job that has, or had, URLs at the host.
pub(super) struct Turn {
    pub(super) job: u32,
    pub(super) share: HostJobRow,
    pub(super) head: JobHead,
}

impl Turn {
    /// Whether anything of it may be leased, now or later.
    pub(super) fn is_served(&self) -> bool {
        self.head.state == JobState::Running && self.share.n_queued > 0
    }
}

/// The host's live jobs, the next first: the tenant served longest ago, of it the job served longest
/// ago. Also the numbers of jobs that ended and have nothing here any more.
pub(super) fn turns(view: &impl View, shard: u8, host: u32) -> Result<(Vec<Turn>, Vec<u32>)> {
    let mut shares: Vec<(u32, HostJobRow)> = Vec::new();
    view.scan_prefix(&keys::host_jobs(shard, host), &mut |key, bytes| {
        let job = keys::number_at(key, 5).ok_or_else(|| torn("a host's key is short"))?;
        shares.push((job, view.hot_in_scan(key, bytes)?));
        Ok(ControlFlow::Continue(()))
    })?;
    let (mut live, mut dead) = (Vec::new(), Vec::new());
    for (job, share) in shares {
        let head = ledger::head(view, job)?;
        if head.is_final() && share.n_queued == 0 && share.n_leased == 0 {
            dead.push(job);
        } else {
            live.push(Turn { job, share, head });
        }
    }
    order(&mut live);
    Ok((live, dead))
}

/// Sorts by the round robin. A tenant was last served when any of its jobs was.
pub(super) fn order(turns: &mut [Turn]) {
    let mut served: BTreeMap<TenantId, u64> = BTreeMap::new();
    for turn in &*turns {
        let last = served.entry(turn.head.tenant.clone()).or_default();
        *last = turn.share.last_turn.max(*last);
    }
    turns.sort_by(|a, b| {
        let rank = |turn: &Turn| (served.get(&turn.head.tenant).copied(), turn.head.tenant.clone());
        rank(a).cmp(&rank(b)).then((a.share.last_turn, a.job).cmp(&(b.share.last_turn, b.job)))
    });
}

/// Why nothing was picked.
enum Nothing {
    Empty,
    NotBefore(Timestamp),
}

fn pick_all(
    step: &mut Step<'_>,
    claim: &Claim,
    request: &LeaseRequest,
    number: u32,
    host: &mut HostRow,
    now: Timestamp,
) -> Result<LeaseAnswer> {
    let wanted = if request.delay.is_zero() { request.max_urls.max(1) } else { 1 };
    let mut leases = Vec::new();
    while leases.len() < usize::from(wanted) && host.leases.len() < usize::from(request.max_in_flight) {
        match pick(step, claim, request, number, host, now)? {
            Ok(lease) => leases.push(lease),
            Err(Nothing::Empty) if leases.is_empty() => return Ok(LeaseAnswer::Empty),
            Err(Nothing::NotBefore(at)) if leases.is_empty() => return Ok(LeaseAnswer::NotBefore(at)),
            Err(_) => break,
        }
    }
    Ok(LeaseAnswer::Granted(leases))
}

fn pick(
    step: &mut Step<'_>,
    claim: &Claim,
    request: &LeaseRequest,
    number: u32,
    host: &mut HostRow,
    now: Timestamp,
) -> Result<std::result::Result<Lease, Nothing>> {
    let (turns, dead) = turns(step, host.shard, number)?;
    for job in dead {
        step.remove(&keys::host_job(host.shard, number, job))?;
    }
    let mut earliest: Option<Timestamp> = None;
    for turn in turns.into_iter().filter(Turn::is_served) {
        let next_due = promote(step, number, turn.job, now)?;
        if let Some(page) = first_ready(step, number, turn.job)? {
            return grant(step, claim, request, (number, host), (turn.job, page), now).map(Ok);
        }
        earliest = [earliest, next_due].into_iter().flatten().min();
    }
    Ok(Err(earliest.map_or(Nothing::Empty, Nothing::NotBefore)))
}

/// Moves retries whose time has come into the order of service. Answers when the next one is due.
fn promote(step: &mut Step<'_>, host: u32, job: u32, now: Timestamp) -> Result<Option<Timestamp>> {
    let mut due: Vec<PageKey> = Vec::new();
    let mut next = None;
    step.scan_prefix(&keys::waiting_of(host, job), &mut |key, bytes| {
        let until = Timestamp::from_millis(keys::long_at(key, 8).ok_or_else(|| torn("a queue key is short"))?);
        if until > now || due.len() >= MAX_MOVED {
            next = Some(until);
            return Ok(ControlFlow::Break(()));
        }
        due.push(unseal(key, bytes)?);
        Ok(ControlFlow::Continue(()))
    })?;
    for page in due {
        let mut work = Work::load(step, job, page)?;
        let Place::Waiting { until } = work.url.place else { return Err(torn("a waiting URL does not wait")) };
        work.move_to(step, Place::Ready { since: until })?;
        work.save(step)?;
    }
    Ok(next)
}

fn first_ready(view: &impl View, host: u32, job: u32) -> Result<Option<PageKey>> {
    let mut first = None;
    view.scan_prefix(&keys::ready_of(host, job), &mut |key, bytes| {
        first = Some(unseal(key, bytes)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

fn grant(
    step: &mut Step<'_>,
    claim: &Claim,
    request: &LeaseRequest,
    (number, host): (u32, &mut HostRow),
    (job, page): (u32, PageKey),
    now: Timestamp,
) -> Result<Lease> {
    let mut work = Work::load(step, job, page)?;
    let candidate = work.url.candidate()?;
    let open = step.session().open;
    let token = LeaseToken { epoch: claim.epoch, seq: step.meta.next_lease };
    step.meta.next_lease += 1;
    let deadline = now.after(request.visibility);
    work.url.attempts = work.url.attempts.saturating_add(1);
    work.move_to(step, Place::Leased { token, deadline })?;
    host.turns += 1;
    work.share.last_turn = host.turns;
    work.save(step)?;
    host.start(request.window, request.delay, now);
    host.leases.push(OutRow { token, deadline, open });
    step.put(&keys::lease(host.shard, token), &LeaseRow { job, page, host: number, open })?;
    Ok(Lease {
        token,
        tenant: work.head.tenant.clone(),
        job: work.head.id,
        host: request.host.clone(),
        candidate,
        attempt: work.url.attempts,
        deadline,
    })
}
