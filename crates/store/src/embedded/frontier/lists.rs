//! Answers that change nothing: lists of URLs, hosts, known pages.

use super::ledger::torn;
use super::record::unseal;
use super::rows::{HostJobRow, Place, UrlRow};
use super::table::View;
use super::{claims, hosts, jobs, keys, lease, ledger};
use crate::Result;
use crate::frontier::{HostSummary, ShardLoad, UrlEntry, UrlFilter};
use argiope_protocol::{
    Candidate, Claim, Host, JobId, JobState, PageKey, RejectReason, ShardId, TenantId, Timestamp, UrlSource,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Most rows that one list answers, whatever was asked for: bounds its memory.
const MAX_LIST: usize = 10_000;

pub(super) fn urls(
    view: &impl View,
    id: JobId,
    filter: UrlFilter,
    after: Option<PageKey>,
    limit: usize,
) -> Result<Vec<(PageKey, UrlEntry)>> {
    let job = jobs::number(view, id)?;
    let mut list = Vec::new();
    scan_urls(view, job, after, &mut |page, url| {
        if list.len() >= limit.min(MAX_LIST) {
            return Ok(ControlFlow::Break(()));
        }
        if passes(filter, &url.place) {
            list.push((page, url.entry()?));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(list)
}

fn scan_urls(
    view: &impl View,
    job: u32,
    after: Option<PageKey>,
    visit: &mut dyn FnMut(PageKey, UrlRow) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let prefix = keys::urls(job);
    let mut from = after.map_or_else(|| prefix.clone(), |page| keys::url(job, &page));
    if after.is_some() {
        from.push(0);
    }
    view.scan(&from, &keys::end_of(&prefix), &mut |key, bytes| {
        visit(keys::page_of(key).ok_or_else(|| torn("a URL's key is short"))?, unseal(key, bytes)?)
    })
}

const fn passes(filter: UrlFilter, place: &Place) -> bool {
    filter.takes(if let Place::Ended(fate) = place { Some(fate) } else { None })
}

pub(super) fn reject_samples(view: &impl View, id: JobId) -> Result<BTreeMap<RejectReason, Vec<String>>> {
    let job = jobs::number(view, id)?;
    let mut samples = BTreeMap::new();
    view.scan_prefix(&keys::samples_of(job), &mut |key, bytes| {
        let code = key.get(5..).unwrap_or_default();
        let reason = RejectReason::ALL.iter().find(|reason| reason.code().as_bytes() == code);
        if let Some(reason) = reason {
            samples.insert(*reason, unseal(key, bytes)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(samples)
}

pub(super) fn known_pages(
    view: &impl View,
    tenant: &TenantId,
    identity: [u8; 16],
    after: Option<PageKey>,
    limit: usize,
) -> Result<Vec<(PageKey, Candidate)>> {
    let limit = limit.min(MAX_LIST);
    let mut known: BTreeMap<PageKey, Candidate> = BTreeMap::new();
    for (job, record) in jobs::all(view)? {
        if record.spec.tenant != *tenant || record.spec.identity() != identity {
            continue;
        }
        let mut n_found = 0;
        scan_urls(view, job, after, &mut |page, url| {
            if n_found >= limit {
                return Ok(ControlFlow::Break(()));
            }
            if passes(UrlFilter::Pages, &url.place) {
                n_found += 1;
                let candidate = url.candidate()?;
                known.insert(page, Candidate { source: UrlSource::Known, redirect_chain: Vec::new(), ..candidate });
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(known.into_iter().take(limit).collect())
}

pub(super) fn url(view: &impl View, id: JobId, page: &PageKey) -> Result<Option<UrlEntry>> {
    let job = jobs::number(view, id)?;
    let row: Option<UrlRow> = view.get(&keys::url(job, page))?;
    row.map(|row| row.entry()).transpose()
}

/// What of each job waits at each host below a prefix of shard, or shard and host.
fn shares_below(view: &impl View, prefix: &[u8]) -> Result<BTreeMap<u32, Vec<(u32, HostJobRow)>>> {
    let mut shares: BTreeMap<u32, Vec<(u32, HostJobRow)>> = BTreeMap::new();
    view.scan_prefix(prefix, &mut |key, bytes| {
        let short = || torn("a host's key is short");
        let share: HostJobRow = unseal(key, bytes)?;
        if share.n_queued > 0 || share.n_leased > 0 {
            let host = keys::number_at(key, 1).ok_or_else(short)?;
            shares.entry(host).or_default().push((keys::number_at(key, 5).ok_or_else(short)?, share));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(shares)
}

pub(super) fn load(view: &impl View, shard: ShardId) -> Result<ShardLoad> {
    let mut load = ShardLoad::default();
    let mut running: BTreeMap<u32, bool> = BTreeMap::new();
    for shares in shares_below(view, &keys::host_jobs_of_shard(shard.number()))?.into_values() {
        let (n_queued, n_leased) = count(view, &shares, &mut running)?;
        load.n_hosts += 1;
        load.n_queued += n_queued;
        load.n_leased += u64::from(n_leased);
    }
    Ok(load)
}

pub(super) fn host(view: &impl View, host: &Host) -> Result<Option<HostSummary>> {
    let shard = ShardId::of_host(host);
    let Some(number) = hosts::number(view, shard, host)? else { return Ok(None) };
    let shares = shares_below(view, &keys::host_jobs(shard.number(), number))?;
    let shares = shares.into_values().next().unwrap_or_default();
    summary(view, number, &shares, &mut BTreeMap::new()).map(Some)
}

pub(super) fn hosts(view: &impl View, claim: &Claim) -> Result<Vec<HostSummary>> {
    claims::check(view, claim)?;
    let shares = shares_below(view, &keys::host_jobs_of_shard(claim.shard.number()))?;
    let mut running: BTreeMap<u32, bool> = BTreeMap::new();
    let mut summaries = Vec::with_capacity(shares.len());
    for (number, shares) in shares {
        summaries.push(summary(view, number, &shares, &mut running)?);
    }
    summaries.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(summaries)
}

fn summary(
    view: &impl View,
    number: u32,
    shares: &[(u32, HostJobRow)],
    running: &mut BTreeMap<u32, bool>,
) -> Result<HostSummary> {
    let row = hosts::load(view, number)?;
    let (n_queued, n_leased) = count(view, shares, running)?;
    let first = queue(view, row.shard, number, 1, None)?.into_iter().next();
    let not_before = row.not_before();
    let host = row.name;
    Ok(HostSummary { host, n_queued, n_leased, not_before, next: first.map(|(_, candidate)| candidate.url) })
}

/// Queued URLs of running jobs, and leases.
fn count(view: &impl View, shares: &[(u32, HostJobRow)], running: &mut BTreeMap<u32, bool>) -> Result<(u64, u32)> {
    let (mut n_queued, mut n_leased) = (0, 0);
    for (job, share) in shares {
        if !running.contains_key(job) {
            running.insert(*job, ledger::head(view, *job)?.state == JobState::Running);
        }
        if running.get(job) == Some(&true) {
            n_queued += share.n_queued;
        }
        n_leased += share.n_leased;
    }
    Ok((n_queued, n_leased))
}

pub(super) fn peek(
    view: &impl View,
    claim: &Claim,
    host: &Host,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<(JobId, Candidate)>> {
    claims::check(view, claim)?;
    let Some(number) = hosts::number(view, claim.shard, host)? else { return Ok(Vec::new()) };
    queue(view, claim.shard.number(), number, limit.min(MAX_LIST), Some(now))
}

/// The host's queue in the order in which it would be leased. Without a time, retries that wait count too, last.
fn queue(
    view: &impl View,
    shard: u8,
    host: u32,
    limit: usize,
    now: Option<Timestamp>,
) -> Result<Vec<(JobId, Candidate)>> {
    let (mut turns, _) = lease::turns(view, shard, host)?;
    let mut queues: BTreeMap<u32, std::vec::IntoIter<UrlRow>> = BTreeMap::new();
    for turn in turns.iter().filter(|turn| turn.is_served()) {
        queues.insert(turn.job, job_queue(view, host, turn.job, limit, now)?.into_iter());
    }
    let mut clock = turns.iter().map(|turn| turn.share.last_turn).max().unwrap_or_default();
    let mut list = Vec::new();
    while list.len() < limit {
        let next = turns.iter_mut().find_map(|turn| Some((queues.get_mut(&turn.job)?.next()?, turn)));
        let Some((url, turn)) = next else { break };
        list.push((turn.head.id, url.candidate()?));
        clock += 1;
        turn.share.last_turn = clock;
        lease::order(&mut turns);
    }
    Ok(list)
}

/// A job's first URLs at a host: those that may be leased in order of service, at `None` then those that wait.
fn job_queue(view: &impl View, host: u32, job: u32, limit: usize, now: Option<Timestamp>) -> Result<Vec<UrlRow>> {
    let until = now.unwrap_or(Timestamp::ZERO);
    let mut list = rows_of(view, job, &keys::ready_of(host, job), limit, None)?;
    // Retries lie by time; of those that are due the best is not the first.
    let n_waiting = if now.is_some() { limit.max(lease::MAX_MOVED) } else { limit };
    list.extend(rows_of(view, job, &keys::waiting_of(host, job), n_waiting, now.map(|_| until))?);
    if now.is_some() {
        list.sort_by_key(UrlRow::rank);
    }
    list.truncate(limit);
    Ok(list)
}

fn rows_of(view: &impl View, job: u32, prefix: &[u8], limit: usize, due_at: Option<Timestamp>) -> Result<Vec<UrlRow>> {
    let mut pages: Vec<PageKey> = Vec::new();
    view.scan_prefix(prefix, &mut |key, bytes| {
        let is_due = due_at.is_none_or(|now| keys::long_at(key, 8).is_some_and(|until| until <= now.as_millis()));
        if pages.len() >= limit || !is_due {
            return Ok(ControlFlow::Break(()));
        }
        pages.push(unseal(key, bytes)?);
        Ok(ControlFlow::Continue(()))
    })?;
    let row = |page: PageKey| view.get(&keys::url(job, &page))?.ok_or_else(|| torn("a queued URL is missing"));
    pages.into_iter().map(row).collect()
}
