//! Offers of URLs to a job.

use super::rows::{HostJobRow, JobHead, Place, UrlRow};
use super::table::{Step, View};
use super::{claims, hosts, jobs, keys, ledger};
use crate::Result;
use crate::frontier::{AdmitReport, MAX_REJECT_SAMPLES, RejectTally};
use argiope_protocol::{Candidate, Claim, Host, JobId, PageKey, RejectReason, ShardId, Timestamp};
use std::collections::BTreeMap;

/// Characters of a sample that are kept.
const MAX_SAMPLE_CHARS: usize = 500;

/// One host's part of an offer.
struct Share {
    number: u32,
    row: HostJobRow,
    n_queued: u32,
}

pub(super) fn admit(
    step: &mut Step<'_>,
    claim: &Claim,
    id: JobId,
    candidates: &[Candidate],
    rejects: &RejectTally,
    now: Timestamp,
) -> Result<AdmitReport> {
    claims::check(step, claim)?;
    let job = jobs::number(step, id)?;
    let mut head = ledger::head(step, job)?;
    let mut report = AdmitReport::default();
    if head.is_final() || (candidates.is_empty() && rejects.counts.is_empty()) {
        return Ok(report);
    }
    let mut shares = shares_of(step, claim.shard, job, candidates)?;
    let mut rejects = rejects.clone();
    for candidate in candidates {
        let Some(share) = shares.get_mut(&candidate.url.host()) else { continue };
        let page = PageKey::of(&candidate.url);
        if step.has(&keys::url(job, &page))? {
            report.n_seen += 1;
        } else if head.counters.pages_in_budget() >= head.max_pages {
            report.n_over_budget += 1;
            rejects.add(RejectReason::OverBudget, candidate.url.as_str());
        } else {
            insert(step, (job, page), claim.shard, candidate, &mut head, share, now)?;
        }
    }
    for (host, share) in shares.into_iter().filter(|(_, share)| share.n_queued > 0) {
        step.put_hot(&keys::host_job(claim.shard.number(), share.number, job), &share.row)?;
        report.queued.insert(host, share.n_queued);
    }
    keep_rejects(step, job, &mut head, &rejects)?;
    step.put_hot(&keys::job_head(job), &head)?;
    Ok(report)
}

/// The hosts of an offer, each checked before the first is written.
fn shares_of(step: &mut Step<'_>, shard: ShardId, job: u32, candidates: &[Candidate]) -> Result<BTreeMap<Host, Share>> {
    let mut names: Vec<Host> = Vec::new();
    for host in candidates.iter().map(|candidate| candidate.url.host()) {
        if names.last() != Some(&host) {
            names.push(host);
        }
    }
    names.sort_unstable();
    names.dedup();
    for host in &names {
        hosts::check_shard(shard, host)?;
    }
    let mut shares = BTreeMap::new();
    for host in names {
        let number = hosts::intern(step, shard, &host)?;
        let row = step.hot(&keys::host_job(shard.number(), number, job))?.unwrap_or_default();
        shares.insert(host, Share { number, row, n_queued: 0 });
    }
    Ok(shares)
}

fn insert(
    step: &mut Step<'_>,
    (job, page): (u32, PageKey),
    shard: ShardId,
    candidate: &Candidate,
    head: &mut JobHead,
    share: &mut Share,
    now: Timestamp,
) -> Result<()> {
    let url = UrlRow {
        url: candidate.url.as_str().to_owned(),
        kind: candidate.kind,
        source: candidate.source,
        depth: candidate.depth,
        redirect_chain: candidate.redirect_chain.clone(),
        shard: shard.number(),
        host: share.number,
        age: step.meta.next_age,
        attempts: 0,
        losses: 0,
        place: Place::Ready { since: now },
    };
    step.meta.next_age += 1;
    head.counters.discovered += 1;
    share.n_queued += 1;
    ledger::enter(step, (job, page), &url, head, &mut share.row)?;
    step.put(&keys::url(job, &page), &url)
}

/// Adds to the histogram, and to the samples while there is room.
fn keep_rejects(step: &mut Step<'_>, job: u32, head: &mut JobHead, rejects: &RejectTally) -> Result<()> {
    for (reason, count) in &rejects.counts {
        *head.rejected.entry(*reason).or_default() += count;
    }
    for (reason, offered) in rejects.samples.iter().filter(|(_, offered)| !offered.is_empty()) {
        let key = keys::samples(job, *reason);
        let mut samples: Vec<String> = step.get(&key)?.unwrap_or_default();
        let room = MAX_REJECT_SAMPLES.saturating_sub(samples.len());
        if room > 0 {
            samples.extend(offered.iter().take(room).map(|url| url.chars().take(MAX_SAMPLE_CHARS).collect()));
            step.put(&key, &samples)?;
        }
    }
    Ok(())
}
