//! The one way a URL moves: its row, its queue entry, the job's ledger and the host's share change together.

use super::keys;
use super::rows::{HostJobRow, JobHead, Place, UrlRow};
use super::table::{Step, View};
use crate::{Error, Result};
use argiope_protocol::{Fate, JobState, PageKey, SkipReason, Timestamp};

/// A URL with the two counters that move with it. Load, move, save.
pub(super) struct Work {
    pub(super) job: u32,
    pub(super) page: PageKey,
    pub(super) url: UrlRow,
    pub(super) head: JobHead,
    pub(super) share: HostJobRow,
}

impl Work {
    pub(super) fn load(view: &impl View, job: u32, page: PageKey) -> Result<Self> {
        let url: UrlRow = view.get(&keys::url(job, &page))?.ok_or_else(|| torn("a URL is missing"))?;
        let head = head(view, job)?;
        let share = view.hot(&keys::host_job(url.shard, url.host, job))?.unwrap_or_default();
        Ok(Self { job, page, url, head, share })
    }

    /// Moves the URL and writes its row.
    pub(super) fn move_to(&mut self, step: &mut Step<'_>, to: Place) -> Result<()> {
        move_url(step, (self.job, self.page), &mut self.url, to, &mut self.head, &mut self.share)
    }

    /// Writes the counters.
    pub(super) fn save(&self, step: &mut Step<'_>) -> Result<()> {
        step.put_hot(&keys::job_head(self.job), &self.head)?;
        step.put_hot(&keys::host_job(self.url.shard, self.url.host, self.job), &self.share)
    }

    /// Puts the URL back to the queue, or ends it when its job was cancelled.
    pub(super) fn requeue(&mut self, step: &mut Step<'_>, not_before: Timestamp, now: Timestamp) -> Result<bool> {
        let is_cancelled = self.head.state == JobState::Cancelled;
        let cancelled = Place::Ended(Fate::Skipped(SkipReason::Cancelled));
        self.move_to(step, if is_cancelled { cancelled } else { Place::queued(not_before, now) })?;
        Ok(!is_cancelled)
    }
}

/// The job's head.
pub(super) fn head(view: &impl View, job: u32) -> Result<JobHead> {
    view.hot(&keys::job_head(job))?.ok_or_else(|| torn("a job's ledger is missing"))
}

/// Rows that contradict each other.
pub(super) fn torn(detail: &str) -> Error {
    Error::Corrupt { what: "frontier".to_owned(), detail: detail.to_owned() }
}

/// Moves a URL. The caller writes `head` and `share`.
pub(super) fn move_url(
    step: &mut Step<'_>,
    (job, page): (u32, PageKey),
    url: &mut UrlRow,
    to: Place,
    head: &mut JobHead,
    share: &mut HostJobRow,
) -> Result<()> {
    leave(step, job, url, head, share)?;
    url.place = to;
    enter(step, (job, page), url, head, share)?;
    step.put(&keys::url(job, &page), url)
}

/// Takes the URL out of the place where it is.
fn leave(step: &mut Step<'_>, job: u32, url: &UrlRow, head: &mut JobHead, share: &mut HostJobRow) -> Result<()> {
    let queue_key = queue_key(job, url);
    match url.place {
        Place::Ready { .. } | Place::Waiting { .. } => {
            if !step.remove(&queue_key.unwrap_or_default())? {
                return Err(torn("a queued URL has no queue entry"));
            }
            take_one(&mut head.counters.queued)?;
            take_one(&mut share.n_queued)
        }
        Place::Leased { .. } => {
            share.n_leased = share.n_leased.checked_sub(1).ok_or_else(|| torn("a host's count of leases is wrong"))?;
            take_one(&mut head.counters.leased)
        }
        Place::Ended(fate) => {
            take_one(fate_counter(head, fate))?;
            if let Some(code) = reason_code(fate) {
                let count = head.reasons.entry(code.to_owned()).or_default();
                take_one(count)?;
                if *count == 0 {
                    head.reasons.remove(code);
                }
            }
            Ok(())
        }
    }
}

/// Puts the URL where its row says it is.
pub(super) fn enter(
    step: &mut Step<'_>,
    (job, page): (u32, PageKey),
    url: &UrlRow,
    head: &mut JobHead,
    share: &mut HostJobRow,
) -> Result<()> {
    match url.place {
        Place::Ready { .. } | Place::Waiting { .. } => {
            head.counters.queued += 1;
            share.n_queued += 1;
            if let Some(key) = queue_key(job, url) {
                step.put(&key, &page)?;
            }
        }
        Place::Leased { .. } => {
            head.counters.leased += 1;
            share.n_leased += 1;
        }
        Place::Ended(fate) => {
            *fate_counter(head, fate) += 1;
            if let Some(code) = reason_code(fate) {
                *head.reasons.entry(code.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// Key of a queued URL's queue entry.
pub(super) fn queue_key(job: u32, url: &UrlRow) -> Option<keys::Key> {
    match url.place {
        Place::Ready { .. } => Some(keys::ready(url.host, job, url.rank())),
        Place::Waiting { until } => Some(keys::waiting(url.host, job, until.as_millis(), url.age)),
        Place::Leased { .. } | Place::Ended(_) => None,
    }
}

const fn fate_counter(head: &mut JobHead, fate: Fate) -> &mut u64 {
    match fate {
        Fate::Stored => &mut head.counters.stored,
        Fate::Unchanged => &mut head.counters.unchanged,
        Fate::Skipped(_) => &mut head.counters.skipped,
        Fate::Failed(..) => &mut head.counters.failed,
    }
}

/// The code under which an ended URL is counted.
pub(super) const fn reason_code(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Stored | Fate::Unchanged => None,
        Fate::Skipped(reason) => Some(reason.code()),
        Fate::Failed(reason, _) => Some(reason.code()),
    }
}

fn take_one(count: &mut u64) -> Result<()> {
    *count = count.checked_sub(1).ok_or_else(|| torn("a counter would fall below zero"))?;
    Ok(())
}
