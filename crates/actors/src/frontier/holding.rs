//! What this node owns: claims, until when they count, and whether something of a shard is under way.

use super::shard::ShardMessage;
use argiope_protocol::sabotage::Fault;
use argiope_protocol::{Claim, ShardId};
use argiope_store::{Error, Result};
use ractor::ActorRef;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

/// Held by whatever may still start or end a request under a shard's claim.
#[derive(Clone)]
pub(super) struct Busy {
    _alive: Arc<()>,
}

/// A shard that this node owns.
#[derive(Clone)]
pub(super) struct Owned {
    pub(super) claim: Claim,
    /// Until when the claim counts on this node's own clock: a little less than in the store. `None`: as long as the process.
    good_until: Option<Instant>,
    actor: Option<ActorRef<ShardMessage>>,
    is_retiring: bool,
    busy: Arc<()>,
}

impl Owned {
    /// Tells the shard's actor; one that is being started looks into the store anyway.
    pub(super) fn tell(&self, message: ShardMessage) {
        if let Some(actor) = &self.actor {
            drop(actor.send_message(message));
        }
    }
}

/// The shards of this node.
#[derive(Default)]
pub(super) struct Holding {
    shards: RwLock<BTreeMap<ShardId, Owned>>,
}

impl Holding {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ShardId, Owned>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ShardId, Owned>> {
        self.shards.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard is ours under this claim.
    pub(super) fn take(&self, claim: Claim, good_until: Option<Instant>) {
        let owned = Owned { claim, good_until, actor: None, is_retiring: false, busy: Arc::default() };
        self.write().insert(owned.claim.shard, owned);
    }

    /// The claim counts for longer; one that was lost meanwhile is not taken up again.
    pub(super) fn prolong(&self, claim: &Claim, good_until: Option<Instant>) {
        if let Some(owned) = self.write().get_mut(&claim.shard)
            && owned.claim.epoch == claim.epoch
        {
            owned.claim = claim.clone();
            owned.good_until = good_until;
        }
    }

    /// The shard's (new) actor; `false` when the shard is not ours any more.
    pub(super) fn attach(&self, shard: ShardId, actor: ActorRef<ShardMessage>) -> bool {
        self.write().get_mut(&shard).map(|owned| owned.actor = Some(actor)).is_some()
    }

    /// Forgets the shard and stops its actor.
    pub(super) fn give_up(&self, shard: ShardId) -> Option<Claim> {
        let owned = self.write().remove(&shard)?;
        if let Some(actor) = owned.actor {
            actor.stop(Some("the shard has another owner".to_owned()));
        }
        Some(owned.claim)
    }

    /// Nothing of the shard starts any more; what is under way ends as usual.
    pub(super) fn retire(&self, shard: ShardId) {
        if let Some(owned) = self.write().get_mut(&shard) {
            owned.is_retiring = true;
        }
    }

    /// The shard, while its claim counts.
    pub(super) fn get(&self, shard: ShardId) -> Result<Owned> {
        let owned = self.read().get(&shard).cloned().ok_or(Error::Fenced(shard))?;
        if owned.good_until.is_some_and(|until| until <= Instant::now()) && !Fault::Fence.is_armed() {
            return Err(Error::Fenced(shard));
        }
        Ok(owned)
    }

    /// The right to start requests of the shard; `None` while it is handed over, or is not ours.
    pub(super) fn enter(&self, shard: ShardId) -> Option<Busy> {
        let owned = self.get(shard).ok().filter(|owned| !owned.is_retiring)?;
        Some(Busy { _alive: owned.busy })
    }

    /// Whether the shard is being handed over.
    pub(super) fn is_retiring(&self, shard: ShardId) -> bool {
        self.read().get(&shard).is_some_and(|owned| owned.is_retiring)
    }

    /// Whether something of the shard may still start or end a request.
    pub(super) fn is_busy(&self, shard: ShardId) -> bool {
        self.read().get(&shard).is_some_and(|owned| Arc::strong_count(&owned.busy) > 1)
    }

    /// Whether the shard is held under just this claim.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        self.read().get(&claim.shard).is_some_and(|owned| owned.claim.epoch == claim.epoch)
    }

    /// How many shards are held.
    pub(super) fn n_shards(&self) -> usize {
        self.read().len()
    }

    /// The claims of all shards, also those whose claim does not count for the moment.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.read().values().map(|owned| owned.claim.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{Epoch, NodeName, Timestamp};
    use std::time::Duration;

    fn claim(epoch: u64) -> Claim {
        Claim { shard: ShardId::new(7), node: NodeName::default(), epoch: Epoch(epoch), expires_at: Timestamp::ZERO }
    }

    #[test]
    fn a_claim_counts_until_its_time_and_is_not_revived() {
        let (holding, shard, now) = (Holding::default(), ShardId::new(7), Instant::now());
        assert!(holding.get(shard).is_err() && holding.enter(shard).is_none());
        holding.take(claim(1), Some(now));
        assert!(holding.get(shard).is_err(), "its time is over");
        holding.prolong(&claim(2), Some(now + Duration::from_secs(60)));
        assert!(holding.get(shard).is_err(), "another claim's renewal");
        holding.prolong(&claim(1), Some(now + Duration::from_secs(60)));
        assert!(holding.get(shard).is_ok());
        assert_eq!(holding.give_up(shard), Some(claim(1)));
        holding.prolong(&claim(1), None);
        assert!(holding.get(shard).is_err());
    }

    #[test]
    fn a_shard_that_is_handed_over_starts_nothing_and_is_busy_until_the_last_guard_goes() {
        let (holding, shard) = (Holding::default(), ShardId::new(7));
        holding.take(claim(1), None);
        let guard = holding.enter(shard).expect("it is ours");
        holding.retire(shard);
        assert!(holding.enter(shard).is_none() && holding.get(shard).is_ok() && holding.is_busy(shard));
        drop(guard);
        assert!(!holding.is_busy(shard) && holding.is_retiring(shard));
    }
}
