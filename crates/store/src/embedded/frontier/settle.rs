//! The end of a lease.

use super::ledger::Work;
use super::rows::{LeaseRow, Place};
use super::table::{Step, View};
use super::{claims, hosts, keys, lease};
use crate::Result;
use crate::frontier::SettleAnswer;
use argiope_protocol::{Claim, Fate, LeaseToken, Timestamp};
use std::time::Duration;

/// Wait after the first failure is twice this.
const BACKOFF_BASE: Duration = Duration::from_secs(5);
/// Longest wait between attempts (DESIGN §5).
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);

pub(super) fn settle(
    step: &mut Step<'_>,
    claim: &Claim,
    token: LeaseToken,
    fate: Fate,
    now: Timestamp,
) -> Result<SettleAnswer> {
    end(step, claim, token, |step, work| {
        let Fate::Failed(reason, retry_at) = fate else { return settled(step, work, fate) };
        if !reason.is_worth_retrying() || work.url.attempts >= work.head.max_attempts {
            return settled(step, work, fate);
        }
        let not_before = retry_at.unwrap_or_else(|| now.after(backoff(work.url.attempts)));
        requeued(step, work, not_before, now)
    })
}

pub(super) fn defer(
    step: &mut Step<'_>,
    claim: &Claim,
    token: LeaseToken,
    not_before: Timestamp,
    now: Timestamp,
) -> Result<SettleAnswer> {
    end(step, claim, token, |step, work| {
        work.url.attempts = work.url.attempts.saturating_sub(1);
        requeued(step, work, not_before, now)
    })
}

/// Finds the lease, forgets it, and lets `decide` move its URL.
fn end(
    step: &mut Step<'_>,
    claim: &Claim,
    token: LeaseToken,
    decide: impl FnOnce(&mut Step<'_>, &mut Work) -> Result<SettleAnswer>,
) -> Result<SettleAnswer> {
    claims::check(step, claim)?;
    let row: Option<LeaseRow> = step.get(&keys::lease(claim.shard.number(), token))?;
    let Some(row) = row.filter(|row| row.open == step.session().open) else { return Ok(SettleAnswer::Stale) };
    let mut work = Work::load(step, row.job, row.page)?;
    let mut host = hosts::load(step, row.host)?;
    let answer = decide(step, &mut work)?;
    lease::remove(step, &mut host, token)?;
    work.save(step)?;
    step.put_hot(&keys::host(row.host), &host)?;
    Ok(answer)
}

fn settled(step: &mut Step<'_>, work: &mut Work, fate: Fate) -> Result<SettleAnswer> {
    work.move_to(step, Place::Ended(fate))?;
    Ok(SettleAnswer::Ended)
}

fn requeued(step: &mut Step<'_>, work: &mut Work, not_before: Timestamp, now: Timestamp) -> Result<SettleAnswer> {
    let is_queued = work.requeue(step, not_before, now)?;
    Ok(if is_queued { SettleAnswer::Requeued { not_before } } else { SettleAnswer::Ended })
}

/// `2^attempts × 5 s`, at most an hour.
fn backoff(attempts: u8) -> Duration {
    BACKOFF_BASE.saturating_mul(1 << u32::from(attempts).min(20)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        for (attempts, seconds) in [(1, 10), (2, 20), (3, 40), (9, 2_560), (10, 3_600), (255, 3_600)] {
            assert_eq!(backoff(attempts), Duration::from_secs(seconds), "{attempts}");
        }
    }
}
