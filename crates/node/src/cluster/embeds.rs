//! Texts that other nodes embed for this one: whom to ask.

use argiope_protocol::NodeName;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Orders at one node at once: half of the calls that it handles for a peer at a time, so that shards are served beside.
const MAX_ORDERS: u32 = 8;
/// Pause before a node is asked again that had no credit left.
const FULL: Duration = Duration::from_millis(200);
/// The same for one that cannot be reached.
const AWAY: Duration = Duration::from_secs(1);
/// The same for one that does not embed with this model.
const OTHER: Duration = Duration::from_secs(10);

/// Why a node is not asked for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// It has no credit left.
    Full,
    /// It does not answer.
    Away,
    /// It does not embed with this model, or does not know how.
    Other,
}

/// Whom to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This node.
    Node(NodeName),
    /// There are some, but all of them have enough to do.
    Busy,
    /// There are none.
    None,
}

/// The orders of this node. Bounded by the number of nodes.
#[derive(Debug, Default)]
pub(super) struct Embeds {
    nodes: Mutex<BTreeMap<NodeName, Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    n_orders: u32,
    rest: Option<(Rest, Instant)>,
}

impl Embeds {
    /// Of nodes that have the role, the one with the fewest orders.
    pub(super) fn choose(&self, candidates: &[NodeName], now: Instant) -> Choice {
        let mut nodes = self.lock();
        nodes.retain(|name, asked| asked.n_orders > 0 || candidates.contains(name));
        let (mut best, mut is_busy) = (None, false);
        for name in candidates {
            let asked = nodes.entry(name.clone()).or_default();
            match asked.rest.filter(|(_, until)| now < *until) {
                Some((Rest::Full, _)) => is_busy = true,
                Some((Rest::Away | Rest::Other, _)) => {}
                None if asked.n_orders >= MAX_ORDERS => is_busy = true,
                None if best.is_none_or(|(n_orders, _)| asked.n_orders < n_orders) => {
                    best = Some((asked.n_orders, name))
                }
                None => {}
            }
        }
        match best {
            Some((_, name)) => Choice::Node(name.clone()),
            None if is_busy => Choice::Busy,
            None => Choice::None,
        }
    }

    /// An order at a node, over when this is dropped.
    pub(super) fn order(&self, node: &NodeName) -> Order<'_> {
        self.lock().entry(node.clone()).or_default().n_orders += 1;
        Order { embeds: self, node: node.clone() }
    }

    /// Does not ask a node for a while.
    pub(super) fn rest(&self, node: &NodeName, why: Rest, now: Instant) {
        let pause = match why {
            Rest::Full => FULL,
            Rest::Away => AWAY,
            Rest::Other => OTHER,
        };
        self.lock().entry(node.clone()).or_default().rest = Some((why, now + pause));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeName, Asked>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order under way.
pub(super) struct Order<'a> {
    embeds: &'a Embeds,
    node: NodeName,
}

impl Drop for Order<'_> {
    fn drop(&mut self) {
        if let Some(asked) = self.embeds.lock().get_mut(&self.node) {
            asked.n_orders = asked.n_orders.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_with_the_fewest_orders_is_asked_and_none_too_often() {
        let (embeds, now) = (Embeds::default(), Instant::now());
        let names = ["a", "b"].map(|name| NodeName::try_new(name).expect("valid"));
        assert_eq!(embeds.choose(&[], now), Choice::None);
        let first = embeds.order(&names[0]);
        assert_eq!(embeds.choose(&names, now), Choice::Node(names[1].clone()));
        let second: Vec<Order<'_>> = (0..MAX_ORDERS).map(|_| embeds.order(&names[1])).collect();
        assert_eq!(embeds.choose(&names, now), Choice::Node(names[0].clone()));
        assert_eq!(embeds.choose(&names[1..], now), Choice::Busy);
        drop(second);
        assert_eq!(embeds.choose(&names, now), Choice::Node(names[1].clone()));
        drop(first);
    }

    #[test]
    fn a_node_that_said_no_rests() {
        let (embeds, now) = (Embeds::default(), Instant::now());
        let name = [NodeName::try_new("a").expect("valid")];
        let check = |why, expected| {
            embeds.rest(&name[0], why, now);
            assert_eq!(embeds.choose(&name, now), expected);
            assert_eq!(embeds.choose(&name, now + OTHER), Choice::Node(name[0].clone()));
        };
        check(Rest::Full, Choice::Busy);
        check(Rest::Away, Choice::None);
        check(Rest::Other, Choice::None);
    }
}
