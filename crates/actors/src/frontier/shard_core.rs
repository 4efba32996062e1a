//! Decides which domains of a shard have an actor. Pure: a parked domain is an entry in a map.

use argiope_protocol::{Domain, Host, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Look again when the node has as many active domains as it may have.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Hosts may have something to do from then on.
    Ready(Vec<(Host, Timestamp)>),
    /// A domain's actor has nothing to do soon; it saw so many `Ready`.
    Idle { domain: Domain, n_ready: u64, waiting: BTreeMap<Host, Timestamp> },
    /// A domain's actor ended by itself; what its hosts wait for is read from the store again.
    Lost(Domain),
    /// The timer ran out.
    Wake,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Start an actor for the domain.
    Activate(Domain),
    /// Tell the domain's actor about a host.
    Forward(Domain, Host),
    /// Stop the domain's actor.
    Stop(Domain),
    /// Send `Wake` then.
    WakeAt(Timestamp),
    /// Read the hosts from the store again.
    Reload,
}

#[derive(Debug)]
enum DomainState {
    Active { n_ready: u64 },
    Parked(BTreeMap<Host, Timestamp>),
}

/// One shard.
#[derive(Debug, Default)]
pub(super) struct Core {
    domains: BTreeMap<Domain, DomainState>,
    due: BTreeSet<(Timestamp, Domain)>,
}

impl Core {
    /// `n_free` is how many more domains of the node may become active.
    pub(super) fn on(&mut self, event: Event, n_free: usize, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Ready(hosts) => hosts.into_iter().for_each(|(host, at)| self.ready(host, at, &mut effects)),
            Event::Idle { domain, n_ready, waiting } => self.idle(domain, n_ready, waiting, &mut effects),
            Event::Lost(domain) => {
                if matches!(self.domains.get(&domain), Some(DomainState::Active { .. })) {
                    self.domains.remove(&domain);
                    effects.push(Effect::Reload);
                }
            }
            Event::Wake => {}
        }
        self.activate_due(n_free, now, &mut effects);
        effects
    }

    fn ready(&mut self, host: Host, at: Timestamp, effects: &mut Vec<Effect>) {
        let domain = host.domain();
        match self.domains.entry(domain.clone()).or_insert_with(|| DomainState::Parked(BTreeMap::new())) {
            DomainState::Active { n_ready } => {
                *n_ready += 1;
                effects.push(Effect::Forward(domain, host));
            }
            DomainState::Parked(hosts) => {
                let due = hosts.entry(host).or_insert(at);
                *due = (*due).min(at);
                self.due.insert((*due, domain));
            }
        }
    }

    /// The actor goes only if it saw every `Ready` that was sent to it.
    fn idle(&mut self, domain: Domain, n_ready: u64, waiting: BTreeMap<Host, Timestamp>, effects: &mut Vec<Effect>) {
        match self.domains.get(&domain) {
            Some(DomainState::Active { n_ready: sent }) if *sent == n_ready => {}
            _ => return,
        }
        effects.push(Effect::Stop(domain.clone()));
        match waiting.values().min() {
            Some(due) => {
                self.due.insert((*due, domain.clone()));
                self.domains.insert(domain, DomainState::Parked(waiting));
            }
            None => drop(self.domains.remove(&domain)),
        }
    }

    fn activate_due(&mut self, n_free: usize, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut n_free = n_free;
        while let Some((at, domain)) = self.due.first().cloned() {
            if at > now {
                effects.push(Effect::WakeAt(at));
                return;
            }
            if n_free == 0 {
                effects.push(Effect::WakeAt(now.after(FULL_PAUSE)));
                return;
            }
            self.due.pop_first();
            // Entries of domains that became active or were parked anew are out of date.
            if !matches!(self.domains.get(&domain), Some(DomainState::Parked(_))) {
                continue;
            }
            let hosts = self.domains.insert(domain.clone(), DomainState::Active { n_ready: 0 });
            let Some(DomainState::Parked(hosts)) = hosts else { continue };
            n_free -= 1;
            effects.push(Effect::Activate(domain.clone()));
            for host in hosts.into_keys() {
                if let Some(DomainState::Active { n_ready }) = self.domains.get_mut(&domain) {
                    *n_ready += 1;
                }
                effects.push(Effect::Forward(domain.clone(), host));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::testing::{at, host};

    #[test]
    fn a_due_domain_is_activated_with_its_hosts() {
        let (a, b) = (host("a.x.example"), host("b.x.example"));
        let mut core = Core::default();
        let effects = core.on(Event::Ready(vec![(a.clone(), at(0)), (b.clone(), at(0))]), 9, at(0));
        let domain = a.domain();
        assert_eq!(
            effects,
            [Effect::Activate(domain.clone()), Effect::Forward(domain.clone(), a), Effect::Forward(domain, b)]
        );
    }

    #[test]
    fn an_idle_actor_stays_when_a_message_is_under_way() {
        let a = host("x.example");
        let domain = a.domain();
        let mut core = Core::default();
        core.on(Event::Ready(vec![(a.clone(), at(0))]), 9, at(0));
        core.on(Event::Ready(vec![(a.clone(), at(0))]), 9, at(0));
        let early = Event::Idle { domain: domain.clone(), n_ready: 1, waiting: BTreeMap::new() };
        assert_eq!(core.on(early, 9, at(1)), []);
        let informed = Event::Idle { domain: domain.clone(), n_ready: 2, waiting: BTreeMap::from([(a, at(5_000))]) };
        assert_eq!(core.on(informed, 9, at(1)), [Effect::Stop(domain.clone()), Effect::WakeAt(at(5_000))]);
        assert_eq!(core.on(Event::Wake, 9, at(5_000)).first(), Some(&Effect::Activate(domain)));
    }

    #[test]
    fn a_full_node_parks_domains() {
        let mut core = Core::default();
        let effects = core.on(Event::Ready(vec![(host("x.example"), at(0))]), 0, at(0));
        assert_eq!(effects, [Effect::WakeAt(at(200))]);
    }

    #[test]
    fn a_lost_actor_makes_the_shard_look_into_the_store() {
        let a = host("x.example");
        let mut core = Core::default();
        core.on(Event::Ready(vec![(a.clone(), at(0))]), 9, at(0));
        assert_eq!(core.on(Event::Lost(a.domain()), 9, at(0)), [Effect::Reload]);
        assert_eq!(core.on(Event::Lost(a.domain()), 9, at(0)), []);
    }
}
