//! Decides for one domain which host takes a turn when. Pure.

use super::slot::Health;
use argiope_protocol::{Host, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A domain that has nothing to do for longer than this gives its actor up.
const PASSIVATE_BEYOND: Duration = Duration::from_secs(2);
/// Pause after the store or the robots fetch could not answer.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// Look again when all leases of a host are out.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
/// Failures in a row before a host is parked.
const PARK_AFTER: u32 = 3;
const FIRST_PARK: Duration = Duration::from_secs(5);
const LAST_PARK: Duration = Duration::from_hours(1);
/// Longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// What a look at the head of a host's queue found: the next turns need no look of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    /// URLs at the head that robots.txt allows.
    pub(super) n_urls: usize,
    /// The delay that their origins ask for.
    pub(super) delay: Duration,
}

/// How a host's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A lease went to the fetcher; so much is known of the URLs behind it.
    Dispatched(Cleared),
    /// Something else was done (robots, discards); another turn may follow at once.
    Again,
    /// Nothing may start before then.
    NotBefore(Timestamp),
    /// All leases of the host are out.
    Busy,
    /// Nothing is queued.
    Empty,
    /// A store did not answer.
    Trouble,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A host may have something to do.
    Ready(Host),
    /// A turn ended.
    TurnEnded(Host, Turn),
    /// A request is about to be handed to the fetcher.
    SlotTaken(Host),
    /// A request's exchange is over.
    SlotFreed(Host, Health),
    /// The timer ran out.
    Wake,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Take a turn for the host, which has room for so many requests, and of whose queue so much is known.
    TakeTurn(Host, u16, Cleared),
    /// Nothing of the host before then, durably.
    Block(Host, Timestamp),
    /// Send `Wake` then.
    WakeAt(Timestamp),
    /// Nothing to do soon: these hosts wait until then.
    Passivate(BTreeMap<Host, Timestamp>),
}

#[derive(Debug, Default)]
struct HostState {
    has_work: bool,
    is_in_turn: bool,
    /// Something came in since the turn began: what the turn saw of the queue is out of date.
    is_outdated: bool,
    n_requests: u16,
    n_failures: u32,
    due: Timestamp,
    cleared: Cleared,
}

/// One domain.
#[derive(Debug, Default)]
pub(super) struct Core {
    hosts: BTreeMap<Host, HostState>,
}

impl Core {
    pub(super) fn on(&mut self, event: Event, per_host: u16, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Ready(host) => {
                let state = self.hosts.entry(host).or_default();
                state.has_work = true;
                state.is_outdated = state.is_in_turn;
                state.due = state.due.min(now);
            }
            Event::TurnEnded(host, turn) => self.hosts.entry(host).or_default().end_turn(turn, now),
            Event::SlotTaken(host) => self.hosts.entry(host).or_default().n_requests += 1,
            Event::SlotFreed(host, health) => {
                let state = self.hosts.entry(host.clone()).or_default();
                state.n_requests = state.n_requests.saturating_sub(1);
                if let Some(until) = state.judge(health, now) {
                    effects.push(Effect::Block(host, until));
                }
            }
            Event::Wake => {}
        }
        self.plan(per_host, now, &mut effects);
        effects
    }

    /// Starts the turns that are due, then says when to look again or that nothing is left to do here.
    fn plan(&mut self, per_host: u16, now: Timestamp, effects: &mut Vec<Effect>) {
        for (host, state) in &mut self.hosts {
            if state.has_work && !state.is_in_turn && state.n_requests < per_host && state.due <= now {
                state.is_in_turn = true;
                effects.push(Effect::TakeTurn(host.clone(), per_host - state.n_requests, state.cleared));
            }
        }
        let is_engaged = self.hosts.values().any(|state| state.is_in_turn || state.n_requests > 0);
        let waiting =
            self.hosts.iter().filter(|(_, state)| state.has_work && !state.is_in_turn && state.n_requests < per_host);
        let next = waiting.clone().map(|(_, state)| state.due).min();
        if !is_engaged && next.is_none_or(|due| due > now.after(PASSIVATE_BEYOND)) {
            effects.push(Effect::Passivate(waiting.map(|(host, state)| (host.clone(), state.due)).collect()));
        } else if let Some(due) = next {
            effects.push(Effect::WakeAt(due));
        }
    }
}

impl HostState {
    fn end_turn(&mut self, turn: Turn, now: Timestamp) {
        self.is_in_turn = false;
        self.cleared = if let Turn::Dispatched(cleared) = turn { cleared } else { Cleared::default() };
        match turn {
            _ if std::mem::take(&mut self.is_outdated) => self.due = now,
            Turn::Dispatched(_) | Turn::Again => self.due = now,
            Turn::NotBefore(at) => self.due = at,
            Turn::Busy => self.due = now.after(BUSY_PAUSE),
            Turn::Empty => self.has_work = false,
            Turn::Trouble => self.due = now.after(TROUBLE_PAUSE),
        }
    }

    /// Counts failures in a row; answers until when the host is parked.
    fn judge(&mut self, health: Health, now: Timestamp) -> Option<Timestamp> {
        let backoff = |failures: u32| FIRST_PARK.saturating_mul(2_u32.saturating_pow(failures)).min(LAST_PARK);
        match health {
            Health::Unknown => None,
            Health::Fine => {
                self.n_failures = 0;
                None
            }
            Health::Trouble => {
                self.n_failures += 1;
                (self.n_failures >= PARK_AFTER).then(|| now.after(backoff(self.n_failures - PARK_AFTER)))
            }
            Health::Overloaded(asked) => {
                self.n_failures += 1;
                Some(now.after(asked.map_or_else(|| backoff(self.n_failures - 1), |pause| pause.min(MAX_RETRY_AFTER))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::testing::{at, host};

    fn take_turn(host: &Host) -> Effect {
        Effect::TakeTurn(host.clone(), 1, Cleared::default())
    }

    #[test]
    fn one_turn_and_one_request_at_a_time() {
        let a = host("a.example");
        let mut core = Core::default();
        assert_eq!(core.on(Event::Ready(a.clone()), 1, at(0)), [take_turn(&a)]);
        assert_eq!(core.on(Event::Ready(a.clone()), 1, at(1)), []);
        assert_eq!(core.on(Event::SlotTaken(a.clone()), 1, at(2)), []);
        assert_eq!(core.on(Event::TurnEnded(a.clone(), Turn::Dispatched(Cleared::default())), 1, at(2)), []);
        assert_eq!(core.on(Event::SlotFreed(a.clone(), Health::Fine), 1, at(3)), [take_turn(&a)]);
    }

    #[test]
    fn an_exchange_that_ends_before_its_turn_frees_its_slot() {
        let a = host("a.example");
        let mut core = Core::default();
        core.on(Event::Ready(a.clone()), 1, at(0));
        core.on(Event::SlotTaken(a.clone()), 1, at(0));
        assert_eq!(core.on(Event::SlotFreed(a.clone(), Health::Fine), 1, at(1)), []);
        assert_eq!(
            core.on(Event::TurnEnded(a.clone(), Turn::Dispatched(Cleared::default())), 1, at(2)),
            [take_turn(&a)]
        );
    }

    #[test]
    fn what_a_look_found_is_handed_to_the_next_turn_and_forgotten_when_one_ends_otherwise() {
        let a = host("a.example");
        let cleared = Cleared { n_urls: 7, delay: Duration::from_secs(2) };
        let mut core = Core::default();
        core.on(Event::Ready(a.clone()), 2, at(0));
        core.on(Event::SlotTaken(a.clone()), 2, at(0));
        let next = core.on(Event::TurnEnded(a.clone(), Turn::Dispatched(cleared)), 2, at(1));
        assert_eq!(next, [Effect::TakeTurn(a.clone(), 1, cleared)]);
        assert_eq!(core.on(Event::TurnEnded(a.clone(), Turn::Again), 2, at(2)), [take_turn(&a)]);
    }

    #[test]
    fn what_comes_in_during_a_turn_gets_another_turn() {
        for turn in [Turn::Empty, Turn::NotBefore(at(9_000))] {
            let a = host("a.example");
            let mut core = Core::default();
            core.on(Event::Ready(a.clone()), 1, at(0));
            core.on(Event::Ready(a.clone()), 1, at(1));
            assert_eq!(core.on(Event::TurnEnded(a.clone(), turn), 1, at(2)), [take_turn(&a)], "{turn:?}");
        }
    }

    #[test]
    fn a_far_gate_passivates_and_a_near_one_wakes() {
        let a = host("a.example");
        let mut core = Core::default();
        core.on(Event::Ready(a.clone()), 1, at(0));
        let near = core.on(Event::TurnEnded(a.clone(), Turn::NotBefore(at(1_000))), 1, at(0));
        assert_eq!(near, [Effect::WakeAt(at(1_000))]);
        assert_eq!(core.on(Event::Wake, 1, at(1_000)), [take_turn(&a)]);
        let far = core.on(Event::TurnEnded(a.clone(), Turn::NotBefore(at(9_000))), 1, at(1_000));
        assert_eq!(far, [Effect::Passivate(BTreeMap::from([(a, at(9_000))]))]);
    }

    #[test]
    fn a_host_in_trouble_is_parked_longer_each_time() {
        let a = host("a.example");
        let mut core = Core::default();
        let mut parked = Vec::new();
        for _ in 0..5 {
            core.on(Event::SlotTaken(a.clone()), 1, at(0));
            for effect in core.on(Event::SlotFreed(a.clone(), Health::Trouble), 1, at(0)) {
                if let Effect::Block(_, until) = effect {
                    parked.push(until.as_millis());
                }
            }
        }
        assert_eq!(parked, [5_000, 10_000, 20_000]);
    }

    #[test]
    fn retry_after_is_obeyed() {
        let a = host("a.example");
        let mut core = Core::default();
        let effects = core.on(Event::SlotFreed(a.clone(), Health::Overloaded(Some(Duration::from_secs(7)))), 1, at(0));
        assert_eq!(effects.first(), Some(&Effect::Block(a, at(7_000))));
    }
}
