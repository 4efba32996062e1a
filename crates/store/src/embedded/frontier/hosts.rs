//! Hosts: their numbers, gates and blocks.

use super::claims;
use super::keys;
use super::ledger::torn;
use super::rows::HostRow;
use super::table::{Step, View};
use crate::frontier::{RobotsRecord, StartAnswer};
use crate::{Error, Result};
use argiope_protocol::sabotage::Fault;
use argiope_protocol::{Claim, Host, Origin, ShardId, Timestamp};
use std::time::Duration;

/// The number of a host that the shard knows.
pub(super) fn number(view: &impl View, shard: ShardId, host: &Host) -> Result<Option<u32>> {
    view.hot(&keys::host_number(shard.number(), host.as_str()))
}

/// Refuses a host that belongs to another shard: its gate would exist twice.
pub(super) fn check_shard(shard: ShardId, host: &Host) -> Result<()> {
    if ShardId::of_host(host) == shard {
        return Ok(());
    }
    Err(Error::engine("use host", format!("{host} does not belong to shard {shard}")))
}

/// The number of a host, a new one when the shard does not know it yet.
pub(super) fn intern(step: &mut Step<'_>, shard: ShardId, host: &Host) -> Result<u32> {
    if let Some(number) = number(step, shard, host)? {
        return Ok(number);
    }
    check_shard(shard, host)?;
    let number = step.meta.next_host;
    step.meta.next_host += 1;
    let row = HostRow {
        name: host.clone(),
        shard: shard.number(),
        gate: Timestamp::ZERO,
        blocked_until: Timestamp::ZERO,
        delay_ms: 0,
        open: step.session().open,
        turns: 0,
        leases: Vec::new(),
    };
    step.put_hot(&keys::host_number(shard.number(), host.as_str()), &number)?;
    step.put_hot(&keys::host(number), &row)?;
    Ok(number)
}

/// The host's row. After a new open its gate is at least the open's time plus its last delay: the dead process
/// may have begun a request that nobody remembers.
pub(super) fn load(view: &impl View, number: u32) -> Result<HostRow> {
    let mut row: HostRow = view.hot(&keys::host(number))?.ok_or_else(|| torn("a host is missing"))?;
    let session = view.session();
    if row.open != session.open {
        row.gate = row.gate.max(session.opened_at.after(Duration::from_millis(row.delay_ms)));
        row.open = session.open;
    }
    Ok(row)
}

impl HostRow {
    /// Earliest next start.
    pub(super) fn not_before(&self) -> Timestamp {
        let gate = if Fault::Gate.is_armed() { Timestamp::ZERO } else { self.gate };
        gate.max(self.blocked_until)
    }

    /// Moves the gate for a start that may happen until `now + window`. Without a delay no spacing is promised, so
    /// the window must not become one: it would hold a host to `1 / window` starts a second.
    pub(super) fn start(&mut self, window: Duration, delay: Duration, now: Timestamp) {
        let latest_start = if delay.is_zero() { now } else { now.after(window) };
        self.gate = self.gate.max(latest_start.after(delay));
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    }
}

pub(super) fn start(
    step: &mut Step<'_>,
    claim: &Claim,
    host: &Host,
    window: Duration,
    delay: Duration,
    now: Timestamp,
) -> Result<StartAnswer> {
    claims::check(step, claim)?;
    let number = intern(step, claim.shard, host)?;
    let mut row = load(step, number)?;
    if row.not_before() > now {
        return Ok(StartAnswer::NotBefore(row.not_before()));
    }
    row.start(window, delay, now);
    step.put_hot(&keys::host(number), &row)?;
    Ok(StartAnswer::Granted)
}

pub(super) fn push_gate(step: &mut Step<'_>, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
    change(step, claim, host, |row| row.gate = row.gate.max(until))
}

pub(super) fn block(step: &mut Step<'_>, claim: &Claim, host: &Host, until: Timestamp) -> Result<()> {
    change(step, claim, host, |row| row.blocked_until = row.blocked_until.max(until))
}

fn change(step: &mut Step<'_>, claim: &Claim, host: &Host, edit: impl FnOnce(&mut HostRow)) -> Result<()> {
    claims::check(step, claim)?;
    let number = intern(step, claim.shard, host)?;
    let mut row = load(step, number)?;
    edit(&mut row);
    step.put_hot(&keys::host(number), &row)
}

pub(super) fn put_robots(step: &mut Step<'_>, claim: &Claim, origin: &Origin, record: &RobotsRecord) -> Result<()> {
    claims::check(step, claim)?;
    step.put_robots(origin.to_url_prefix().as_bytes(), record)
}

pub(super) fn robots(view: &impl View, origin: &Origin) -> Result<Option<RobotsRecord>> {
    view.robots(origin.to_url_prefix().as_bytes())
}
