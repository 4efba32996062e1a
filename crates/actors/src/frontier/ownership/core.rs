//! Decides which shards are claimed, kept and handed over. Pure.

use argiope_protocol::cluster::rendezvous;
use argiope_protocol::{Epoch, NodeName, ShardId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Claims asked for at once.
const MAX_CLAIMING: usize = 64;
/// Shards handed over at once: each is without an owner for a moment.
const MAX_RETIRING: usize = 16;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The nodes that own shards, or should.
    Nodes(BTreeSet<NodeName>),
    /// A claim was answered: its epoch, or nothing while somebody else holds the shard or the store is away.
    Claimed(ShardId, Option<Epoch>),
    /// A claim is somebody else's now.
    Lost(ShardId),
    /// Nothing of a shard is under way any more.
    Retired(ShardId),
    /// A claim was given up.
    Released(ShardId),
    /// The store restarted or failed over: no claim holds any more, and its history may have lost its end.
    Void,
    /// Time to try again.
    Tick,
    /// This node is to own nothing any more.
    Leave,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Claim the shard with an epoch of at least this.
    Claim(ShardId, Epoch),
    /// Let nothing of the shard start any more, and say when nothing is under way.
    Retire(ShardId),
    /// Give the claim up.
    Release(ShardId),
    /// Forget the shard at once: it is not ours.
    Drop(ShardId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Claiming,
    Owned,
    Retiring,
    Releasing,
}

/// The shards of a node.
#[derive(Debug)]
pub(super) struct Core {
    me: NodeName,
    /// A claim's life: how long void claims of other nodes may still be counted on by them.
    ttl: Duration,
    wanted: BTreeSet<ShardId>,
    phases: BTreeMap<ShardId, Phase>,
    /// Not claimed again before the next tick.
    refused: BTreeSet<ShardId>,
    highest: BTreeMap<ShardId, Epoch>,
    quiet_until: Timestamp,
    is_leaving: bool,
}

impl Core {
    /// A node that owns nothing yet.
    pub(super) fn new(me: NodeName, ttl: Duration) -> Self {
        Self {
            me,
            ttl,
            wanted: BTreeSet::new(),
            phases: BTreeMap::new(),
            refused: BTreeSet::new(),
            highest: BTreeMap::new(),
            quiet_until: Timestamp::ZERO,
            is_leaving: false,
        }
    }

    /// A node that owns everything already, since it is alone.
    pub(super) fn alone(me: NodeName, ttl: Duration) -> Self {
        let wanted: BTreeSet<ShardId> = ShardId::all().collect();
        let phases = wanted.iter().map(|shard| (*shard, Phase::Owned)).collect();
        Self { wanted, phases, ..Self::new(me, ttl) }
    }

    /// Whether nothing is owned or under way.
    pub(super) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    pub(super) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Nodes(nodes) => {
                let is_mine = |shard: &ShardId| rendezvous(*shard, &nodes) == Some(&self.me);
                self.wanted = ShardId::all().filter(is_mine).collect();
            }
            Event::Claimed(shard, epoch) => self.claimed(shard, epoch, &mut effects),
            Event::Lost(shard) => {
                self.phases.remove(&shard);
                self.refused.insert(shard);
                effects.push(Effect::Drop(shard));
            }
            Event::Retired(shard) => {
                if self.phases.get(&shard) == Some(&Phase::Retiring) {
                    self.phases.insert(shard, Phase::Releasing);
                    effects.push(Effect::Release(shard));
                }
            }
            Event::Released(shard) => {
                if self.phases.get(&shard) == Some(&Phase::Releasing) {
                    self.phases.remove(&shard);
                }
            }
            Event::Void => {
                self.quiet_until = now.after(self.ttl);
                effects.extend(self.phases.keys().map(|shard| Effect::Drop(*shard)));
                self.phases.clear();
            }
            Event::Tick => self.refused.clear(),
            Event::Leave => self.is_leaving = true,
        }
        self.plan(now, &mut effects);
        effects
    }

    fn claimed(&mut self, shard: ShardId, epoch: Option<Epoch>, effects: &mut Vec<Effect>) {
        let is_awaited = self.phases.get(&shard) == Some(&Phase::Claiming);
        match epoch {
            Some(epoch) => {
                let highest = self.highest.entry(shard).or_default();
                *highest = epoch.max(*highest);
                // A claim of before the store's restart, answered after it.
                let is_owned = is_awaited && !self.is_leaving;
                if is_owned {
                    self.phases.insert(shard, Phase::Owned);
                } else {
                    self.phases.remove(&shard);
                    effects.push(Effect::Drop(shard));
                }
            }
            None if is_awaited => {
                self.phases.remove(&shard);
                self.refused.insert(shard);
            }
            None => {}
        }
    }

    fn count(&self, phase: Phase) -> usize {
        self.phases.values().filter(|one| **one == phase).count()
    }

    fn plan(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let (wanted, is_leaving) = (&self.wanted, self.is_leaving);
        let is_due = |(shard, phase): (&ShardId, &Phase)| {
            (*phase == Phase::Owned && (is_leaving || !wanted.contains(shard))).then_some(*shard)
        };
        let n_free = MAX_RETIRING.saturating_sub(self.count(Phase::Retiring) + self.count(Phase::Releasing));
        let retiring: Vec<ShardId> = self.phases.iter().filter_map(is_due).take(n_free).collect();
        for shard in retiring {
            self.phases.insert(shard, Phase::Retiring);
            effects.push(Effect::Retire(shard));
        }
        if self.is_leaving || now < self.quiet_until {
            return;
        }
        let n_free = MAX_CLAIMING.saturating_sub(self.count(Phase::Claiming));
        let is_free = |shard: &&ShardId| !self.phases.contains_key(shard) && !self.refused.contains(shard);
        let claiming: Vec<ShardId> = self.wanted.iter().filter(is_free).take(n_free).copied().collect();
        for shard in claiming {
            self.phases.insert(shard, Phase::Claiming);
            effects.push(Effect::Claim(shard, self.highest.get(&shard).copied().unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::testing::at;

    const TTL: Duration = Duration::from_secs(5);

    fn name(text: &str) -> NodeName {
        NodeName::try_new(text).expect("valid")
    }

    fn nodes(names: &[&str]) -> Event {
        Event::Nodes(names.iter().map(|text| name(text)).collect())
    }

    /// Answers every claim, end and release at once, until nothing is left to do.
    fn settle(core: &mut Core, effects: Vec<Effect>, now: Timestamp) -> Vec<Effect> {
        let mut seen = effects.clone();
        let mut open = effects;
        while let Some(effect) = open.pop() {
            let event = match effect {
                Effect::Claim(shard, least) => Event::Claimed(shard, Some(least.next())),
                Effect::Retire(shard) => Event::Retired(shard),
                Effect::Release(shard) => Event::Released(shard),
                Effect::Drop(_) => continue,
            };
            let more = core.on(event, now);
            seen.extend(more.iter().copied());
            open.extend(more);
        }
        seen
    }

    fn owned(core: &Core) -> BTreeSet<ShardId> {
        core.phases.iter().filter(|(_, phase)| **phase == Phase::Owned).map(|(shard, _)| *shard).collect()
    }

    #[test]
    fn nodes_divide_the_shards_and_a_newcomer_gets_its_part() {
        let (mut a, mut b) = (Core::new(name("a"), TTL), Core::new(name("b"), TTL));
        let first = a.on(nodes(&["a"]), at(0));
        assert_eq!(first.len(), MAX_CLAIMING);
        settle(&mut a, first, at(0));
        assert_eq!(owned(&a).len(), 256);
        let handed = a.on(nodes(&["a", "b"]), at(1));
        assert_eq!(handed.len(), MAX_RETIRING, "some at a time");
        settle(&mut a, handed, at(1));
        let asked = b.on(nodes(&["a", "b"]), at(1));
        settle(&mut b, asked, at(1));
        assert_eq!(owned(&a).intersection(&owned(&b)).count(), 0);
        assert_eq!(owned(&a).len() + owned(&b).len(), 256);
    }

    #[test]
    fn a_refused_claim_is_asked_for_again_with_the_next_tick() {
        let mut core = Core::new(name("a"), TTL);
        let asked = core.on(nodes(&["a"]), at(0));
        let Some(Effect::Claim(shard, _)) = asked.first().copied() else { panic!("{asked:?}") };
        let more = core.on(Event::Claimed(shard, None), at(0));
        assert!(!more.contains(&Effect::Claim(shard, Epoch(0))));
        assert!(core.on(Event::Tick, at(1_000)).is_empty(), "others are claimed meanwhile");
        let other = asked[1];
        let Effect::Claim(other, _) = other else { panic!("{other:?}") };
        assert!(core.on(Event::Claimed(other, Some(Epoch(1))), at(1_000)).contains(&Effect::Claim(shard, Epoch(0))));
    }

    #[test]
    fn after_a_failover_all_is_dropped_and_claimed_later_with_higher_epochs() {
        let mut core = Core::new(name("a"), TTL);
        let asked = core.on(nodes(&["a"]), at(0));
        settle(&mut core, asked, at(0));
        let dropped = core.on(Event::Void, at(100));
        assert_eq!(dropped.len(), 256);
        assert!(core.is_empty() && core.on(Event::Tick, at(5_000)).is_empty());
        assert_eq!(core.on(Event::Tick, at(5_100)).first(), Some(&Effect::Claim(ShardId::new(0), Epoch(1))));
        let late = core.on(Event::Claimed(ShardId::new(200), Some(Epoch(9))), at(5_200));
        assert!(late.contains(&Effect::Drop(ShardId::new(200))), "a claim of before the failover");
    }

    #[test]
    fn a_node_that_leaves_ends_with_nothing_and_claims_nothing() {
        let mut core = Core::alone(name("a"), TTL);
        let effects = core.on(Event::Leave, at(0));
        let seen = settle(&mut core, effects, at(0));
        assert!(core.is_empty());
        assert!(!seen.iter().any(|effect| matches!(effect, Effect::Claim(..))));
        assert!(core.on(nodes(&["a"]), at(1)).is_empty());
    }

    #[test]
    fn a_lost_claim_is_dropped_at_once() {
        let mut core = Core::alone(name("a"), TTL);
        assert_eq!(core.on(Event::Lost(ShardId::new(3)), at(0)), [Effect::Drop(ShardId::new(3))]);
        assert!(core.on(Event::Retired(ShardId::new(3)), at(0)).is_empty());
    }
}
