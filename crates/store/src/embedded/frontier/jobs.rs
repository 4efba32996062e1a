//! Jobs: made, moved between states, retried.

use super::keys;
use super::ledger::{self, Work, head, torn};
use super::record::unseal;
use super::rows::{HostJobRow, JobHead, JobRow, Place, UrlRow};
use super::table::{Step, View};
use crate::frontier::{JobRecord, RunningJob};
use crate::{Error, Result};
use argiope_protocol::{CanonicalUrl, Fate, JobCounters, JobId, JobSpec, JobState, PageKey, SkipReason, Timestamp};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

pub(super) fn create(step: &mut Step<'_>, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<bool> {
    if step.has(&keys::job_number(&id))? {
        return Ok(false);
    }
    let number = step.meta.next_job;
    step.meta.next_job += 1;
    let head = JobHead {
        id,
        tenant: spec.tenant.clone(),
        state: JobState::Running,
        ended_at: None,
        max_pages: spec.limits.max_pages,
        max_attempts: spec.limits.max_attempts,
        counters: JobCounters::default(),
        reasons: BTreeMap::new(),
        rejected: BTreeMap::new(),
    };
    step.put_hot(&keys::job_number(&id), &number)?;
    step.put(&keys::job(number), &JobRow { id, spec: spec.clone(), created_at: now, anchors: Vec::new() })?;
    step.put_hot(&keys::job_head(number), &head)?;
    Ok(true)
}

/// The job's number.
pub(super) fn number(view: &impl View, id: JobId) -> Result<u32> {
    view.hot(&keys::job_number(&id))?.ok_or(Error::UnknownJob(id))
}

fn row(view: &impl View, number: u32) -> Result<JobRow> {
    view.get(&keys::job(number))?.ok_or_else(|| torn("a job is missing"))
}

fn record_of(row: JobRow, head: JobHead) -> JobRecord {
    let JobRow { id, spec, created_at, anchors } = row;
    let JobHead { state, ended_at, counters, reasons, rejected, .. } = head;
    JobRecord { id, spec, state, created_at, ended_at, counters, reasons, rejected, anchors }
}

pub(super) fn record(view: &impl View, id: JobId) -> Result<JobRecord> {
    let number = number(view, id)?;
    Ok(record_of(row(view, number)?, head(view, number)?))
}

/// All jobs with their numbers.
pub(super) fn all(view: &impl View) -> Result<Vec<(u32, JobRecord)>> {
    let mut rows: Vec<(u32, JobRow)> = Vec::new();
    view.scan_prefix(&[keys::tag::JOB], &mut |key, bytes| {
        let number = keys::number_at(key, 0).ok_or_else(|| torn("a job's key is short"))?;
        rows.push((number, unseal(key, bytes)?));
        Ok(ControlFlow::Continue(()))
    })?;
    rows.into_iter().map(|(number, row)| Ok((number, record_of(row, head(view, number)?)))).collect()
}

pub(super) fn list(view: &impl View) -> Result<Vec<JobRecord>> {
    let mut records: Vec<JobRecord> = all(view)?.into_iter().map(|(_, record)| record).collect();
    records.sort_by_key(|record| (record.created_at, record.id));
    Ok(records)
}

/// Running jobs; their versions are hashes, since nothing here counts changes.
pub(super) fn running(view: &impl View) -> Result<Vec<RunningJob>> {
    let running = list(view)?.into_iter().filter(|record| record.state == JobState::Running);
    let read = |record: JobRecord| {
        let spec = serde_json::to_vec(&record.spec).map_err(|error| Error::engine("encode job", error))?;
        let version = xxhash_rust::xxh3::xxh3_64(&spec);
        Ok(RunningJob { id: record.id, version, n_anchors: record.anchors.len() as u64 })
    };
    running.map(read).collect()
}

pub(super) fn update(step: &mut Step<'_>, id: JobId, spec: &JobSpec) -> Result<()> {
    let number = number(step, id)?;
    let (mut row, mut head) = (row(step, number)?, head(step, number)?);
    if head.is_final() {
        return Ok(());
    }
    row.spec = JobSpec { limits: spec.limits, politeness: spec.politeness, ..row.spec };
    row.spec.retain = spec.retain;
    row.spec.sitemaps = spec.sitemaps;
    head.max_pages = spec.limits.max_pages;
    head.max_attempts = spec.limits.max_attempts;
    step.put(&keys::job(number), &row)?;
    step.put_hot(&keys::job_head(number), &head)
}

pub(super) fn add_anchor(step: &mut Step<'_>, id: JobId, anchor: &CanonicalUrl) -> Result<()> {
    let number = number(step, id)?;
    let mut row = row(step, number)?;
    if row.anchors.contains(anchor) {
        return Ok(());
    }
    row.anchors.push(anchor.clone());
    step.put(&keys::job(number), &row)
}

pub(super) fn set_state(step: &mut Step<'_>, id: JobId, state: JobState, now: Timestamp) -> Result<JobRecord> {
    let number = number(step, id)?;
    let mut head = head(step, number)?;
    let is_allowed = match state {
        JobState::Finished => head.counters.is_finished(),
        JobState::Running | JobState::Paused | JobState::Cancelled => true,
    };
    if !head.is_final() && is_allowed && head.state != state {
        head.state = state;
        head.ended_at = head.is_final().then_some(now);
        step.put_hot(&keys::job_head(number), &head)?;
        if state == JobState::Cancelled {
            let cancelled = Place::Ended(Fate::Skipped(SkipReason::Cancelled));
            move_where(step, number, |url| url.place.is_queued(), |url| _ = url, cancelled)?;
        }
    }
    record(step, id)
}

pub(super) fn finish_if_done(step: &mut Step<'_>, id: JobId, now: Timestamp) -> Result<JobRecord> {
    set_state(step, id, JobState::Finished, now)
}

pub(super) fn retry_failed(step: &mut Step<'_>, id: JobId, now: Timestamp) -> Result<u64> {
    let number = number(step, id)?;
    let mut head = head(step, number)?;
    if head.state == JobState::Cancelled || head.counters.failed == 0 {
        return Ok(0);
    }
    head.state = JobState::Running;
    head.ended_at = None;
    step.put_hot(&keys::job_head(number), &head)?;
    let is_failed = |url: &UrlRow| matches!(url.place, Place::Ended(Fate::Failed(..)));
    let fresh = |url: &mut UrlRow| (url.attempts, url.losses) = (0, 0);
    move_where(step, number, is_failed, fresh, Place::queued(now, now))
}

/// Moves all URLs of a job that are so, in one step. Answers how many.
fn move_where(
    step: &mut Step<'_>,
    job: u32,
    is_moved: impl Fn(&UrlRow) -> bool,
    edit: impl Fn(&mut UrlRow),
    to: Place,
) -> Result<u64> {
    let mut pages: Vec<PageKey> = Vec::new();
    step.scan_prefix(&keys::urls(job), &mut |key, bytes| {
        if is_moved(&unseal::<UrlRow>(key, bytes)?) {
            pages.push(keys::page_of(key).ok_or_else(|| torn("a URL's key is short"))?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut head = head(step, job)?;
    let mut shares: BTreeMap<(u8, u32), HostJobRow> = BTreeMap::new();
    for page in &pages {
        let mut url: UrlRow = step.get(&keys::url(job, page))?.ok_or_else(|| torn("a URL is missing"))?;
        let place = (url.shard, url.host);
        edit(&mut url);
        let share = match shares.entry(place) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(step.hot(&keys::host_job(place.0, place.1, job))?.unwrap_or_default()),
        };
        ledger::move_url(step, (job, *page), &mut url, to, &mut head, share)?;
    }
    for ((shard, host), share) in shares {
        step.put_hot(&keys::host_job(shard, host, job), &share)?;
    }
    step.put_hot(&keys::job_head(job), &head)?;
    Ok(pages.len() as u64)
}

/// Ends queued URLs of a shard without a fetch.
pub(super) fn discard(step: &mut Step<'_>, shard: u8, id: JobId, pages: &[PageKey], fate: Fate) -> Result<u32> {
    let number = number(step, id)?;
    let mut n_ended = 0;
    for page in pages {
        let url: Option<UrlRow> = step.get(&keys::url(number, page))?;
        if !url.is_some_and(|url| url.shard == shard && url.place.is_queued()) {
            continue;
        }
        let mut work = Work::load(step, number, *page)?;
        work.move_to(step, Place::Ended(fate))?;
        work.save(step)?;
        n_ended += 1;
    }
    Ok(n_ended)
}
