//! Leases that this node works on: prolonged as long as it does, so that a short deadline brings back the URLs of a node that
//! died without taking away what waits for a slow store.

use argiope_protocol::{Host, Lease, LeaseToken, ShardId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Leases prolonged in one call.
const AT_ONCE: usize = 500;

/// The leases and their deadlines. Bounded by the credit between the stages.
#[derive(Default)]
pub(super) struct Held {
    leases: Mutex<BTreeMap<(ShardId, LeaseToken), Timestamp>>,
}

fn entry(host: &Host, token: LeaseToken) -> (ShardId, LeaseToken) {
    (ShardId::of_host(host), token)
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ShardId, LeaseToken), Timestamp>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody here works on it from now on.
    pub(super) fn add(&self, lease: &Lease) {
        self.lock().insert(entry(&lease.host, lease.token), lease.deadline);
    }

    /// Nobody here works on it any more.
    pub(super) fn remove(&self, lease: &Lease) {
        self.lock().remove(&entry(&lease.host, lease.token));
    }

    /// Those that end within `rest`, in parts of one shard each.
    pub(super) fn due(&self, now: Timestamp, rest: Duration) -> Vec<(ShardId, Vec<LeaseToken>)> {
        let mut parts: Vec<(ShardId, Vec<LeaseToken>)> = Vec::new();
        for ((shard, token), deadline) in &*self.lock() {
            if *deadline > now.after(rest) {
                continue;
            }
            match parts.last_mut() {
                Some((last, tokens)) if last == shard && tokens.len() < AT_ONCE => tokens.push(*token),
                _ => parts.push((*shard, vec![*token])),
            }
        }
        parts
    }

    /// Those of one shard.
    pub(super) fn of(&self, shard: ShardId) -> Vec<LeaseToken> {
        self.lock().keys().filter(|(of, _)| *of == shard).map(|(_, token)| *token).collect()
    }

    /// They were prolonged; what was settled meanwhile does not come back.
    pub(super) fn prolonged(&self, shard: ShardId, tokens: &[LeaseToken], deadline: Timestamp) {
        let mut leases = self.lock();
        for token in tokens {
            if let Some(known) = leases.get_mut(&(shard, *token)) {
                *known = deadline.max(*known);
            }
        }
    }

    /// Until when a lease is known to hold.
    pub(super) fn deadline(&self, lease: &Lease) -> Timestamp {
        self.lock().get(&entry(&lease.host, lease.token)).copied().unwrap_or(lease.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::testing::{at, host};
    use argiope_protocol::{Candidate, CanonicalUrl, Epoch, JobId, TenantId};

    fn lease(seq: u64, deadline: u64) -> Lease {
        let url = CanonicalUrl::parse("http://a.example/").expect("valid");
        Lease {
            token: LeaseToken { epoch: Epoch(1), seq },
            tenant: TenantId::default(),
            job: JobId::from_uuid(uuid::Uuid::nil()),
            host: host("a.example"),
            candidate: Candidate::seed(url),
            attempt: 1,
            deadline: at(deadline),
        }
    }

    #[test]
    fn what_ends_soon_is_due_until_it_is_prolonged_or_done() {
        let held = Held::default();
        let (soon, late) = (lease(1, 1_000), lease(2, 9_000));
        held.add(&soon);
        held.add(&late);
        let due = held.due(at(0), Duration::from_secs(5));
        let [(shard, tokens)] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!(tokens, &[soon.token]);
        held.prolonged(*shard, tokens, at(60_000));
        assert_eq!((held.due(at(0), Duration::from_secs(5)), held.deadline(&soon)), (vec![], at(60_000)));
        held.remove(&late);
        assert!(held.due(at(8_000), Duration::from_secs(5)).is_empty());
        held.prolonged(*shard, &[late.token], at(60_000));
        assert_eq!(held.deadline(&late), at(9_000), "it does not come back");
    }
}
