//! Requests that other nodes do for this one: their places at their hosts, until word comes that they are over.

use super::slot::{Health, HostSlot};
use argiope_protocol::{LeaseToken, ShardId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Places by lease. Bounded by the credit of the nodes that fetch.
#[derive(Default)]
pub(super) struct Lent {
    slots: Mutex<BTreeMap<(ShardId, LeaseToken), (HostSlot, Instant)>>,
}

impl Lent {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ShardId, LeaseToken), (HostSlot, Instant)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the place until word comes, or until the exchange must be over.
    pub(super) fn keep(&self, shard: ShardId, token: LeaseToken, slot: HostSlot, until: Instant) {
        self.lock().insert((shard, token), (slot, until));
    }

    /// The exchange is over; a word that comes twice or too late changes nothing.
    pub(super) fn end(&self, shard: ShardId, token: LeaseToken, health: Health) {
        let slot = self.lock().remove(&(shard, token));
        if let Some((slot, _)) = slot {
            slot.free(health);
        }
    }

    /// Frees the places of exchanges of which no word came in time: the other node died, or is cut off.
    pub(super) fn expire(&self, now: Instant) {
        let mut slots = self.lock();
        let silent: Vec<_> = slots.iter().filter(|(_, (_, until))| *until <= now).map(|(entry, _)| *entry).collect();
        let silent: Vec<_> = silent.iter().filter_map(|entry| slots.remove(entry)).collect();
        drop(slots);
        // Outside the lock: a place that goes tells its domain's actor.
        drop(silent);
    }
}
