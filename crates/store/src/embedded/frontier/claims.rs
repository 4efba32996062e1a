//! Who may write for a shard.

use super::ledger::Work;
use super::rows::{ClaimRow, LeaseRow, Place};
use super::table::{Step, View};
use super::{hosts, keys, lease};
use crate::{Error, Result};
use argiope_protocol::{Claim, Epoch, NodeName, ShardId, Timestamp};
use std::ops::ControlFlow;
use std::time::Duration;

/// Leases of a dead process that one claim takes back; the rest follow with each host's next lease.
const MAX_TAKEN_BACK: usize = 10_000;

pub(super) fn claim(
    step: &mut Step<'_>,
    shard: ShardId,
    node: &NodeName,
    ttl: Duration,
    min_epoch: Epoch,
    now: Timestamp,
) -> Result<Option<Claim>> {
    let key = keys::claim(shard.number());
    let old: Option<ClaimRow> = step.hot(&key)?;
    let open = step.session().open;
    let is_held = |row: &ClaimRow| row.open == open && !row.is_released && row.expires_at > now && row.node != *node;
    if old.as_ref().is_some_and(is_held) {
        return Ok(None);
    }
    let after_old = old.map_or(Epoch(1), |row| row.epoch.next());
    let epoch = after_old.max(min_epoch).max(Epoch(step.meta.epoch_floor));
    step.meta.epoch_high = step.meta.epoch_high.max(epoch.0);
    let expires_at = now.after(ttl);
    step.put_hot(&key, &ClaimRow { node: node.clone(), epoch, expires_at, open, is_released: false })?;
    take_back_lost(step, shard.number(), now)?;
    Ok(Some(Claim { shard, node: node.clone(), epoch, expires_at }))
}

pub(super) fn renew(step: &mut Step<'_>, claim: &Claim, ttl: Duration, now: Timestamp) -> Result<Claim> {
    let mut row = check(step, claim)?;
    row.expires_at = now.after(ttl);
    step.put_hot(&keys::claim(claim.shard.number()), &row)?;
    Ok(Claim { expires_at: row.expires_at, ..claim.clone() })
}

pub(super) fn release(step: &mut Step<'_>, claim: &Claim) -> Result<()> {
    let mut row = check(step, claim)?;
    row.is_released = true;
    step.put_hot(&keys::claim(claim.shard.number()), &row)
}

/// Who holds the shard now.
pub(super) fn owner(view: &impl View, shard: ShardId, now: Timestamp) -> Result<Option<Claim>> {
    let row: Option<ClaimRow> = view.hot(&keys::claim(shard.number()))?;
    let open = view.session().open;
    let row = row.filter(|row| row.open == open && !row.is_released && row.expires_at > now);
    Ok(row.map(|row| Claim { shard, node: row.node, epoch: row.epoch, expires_at: row.expires_at }))
}

/// The claim's row, or `Fenced`.
pub(super) fn check(view: &impl View, claim: &Claim) -> Result<ClaimRow> {
    let row: Option<ClaimRow> = view.hot(&keys::claim(claim.shard.number()))?;
    let is_current = |row: &ClaimRow| {
        row.epoch == claim.epoch && row.node == claim.node && !row.is_released && row.open == view.session().open
    };
    row.filter(is_current).ok_or(Error::Fenced(claim.shard))
}

/// Requeues what a dead process had leased.
fn take_back_lost(step: &mut Step<'_>, shard: u8, now: Timestamp) -> Result<()> {
    let open = step.session().open;
    let mut lost: Vec<LeaseRow> = Vec::new();
    step.scan_prefix(&keys::leases(shard), &mut |key, bytes| {
        let row: LeaseRow = super::record::unseal(key, bytes)?;
        if row.open == open {
            return Ok(ControlFlow::Continue(()));
        }
        lost.push(row);
        Ok(if lost.len() < MAX_TAKEN_BACK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for row in lost {
        let mut work = Work::load(step, row.job, row.page)?;
        let Place::Leased { token, .. } = work.url.place else {
            return Err(super::ledger::torn("a lease names a URL that is not leased"));
        };
        let mut host = hosts::load(step, row.host)?;
        lease::take_back(step, &mut work, &mut host, token, now)?;
        work.save(step)?;
        step.put_hot(&keys::host(row.host), &host)?;
    }
    Ok(())
}
