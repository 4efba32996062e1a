//! Answers of the DNS, kept for a while. Bounded in number and in age.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Names kept: 10,000 names of 30 bytes with 4 addresses are about 2 MB.
const MAX_NAMES: usize = 10_000;
/// A name with a time to live of 0 would be asked for at each page.
const MIN_TTL: Duration = Duration::from_secs(30);
/// A host that moves is followed within the hour.
const MAX_TTL: Duration = Duration::from_secs(3_600);

#[derive(Debug, Default)]
pub(super) struct Cache {
    names: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    expires_at: Instant,
}

impl Cache {
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Vec<IpAddr>> {
        self.names.get(name).filter(|entry| entry.expires_at > now).map(|entry| entry.addresses.clone())
    }

    /// When full, drops what has expired, and if that is nothing, the entry that expires first.
    pub(super) fn put(&mut self, name: &str, addresses: Vec<IpAddr>, ttl: Duration, now: Instant) {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(name) {
            self.names.retain(|_, entry| entry.expires_at > now);
            if self.names.len() >= MAX_NAMES {
                let first = self.names.iter().min_by_key(|(_, entry)| entry.expires_at).map(|(name, _)| name.clone());
                first.and_then(|name| self.names.remove(&name));
            }
        }
        let expires_at = now + ttl.clamp(MIN_TTL, MAX_TTL);
        self.names.insert(name.to_owned(), Entry { addresses, expires_at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_live_between_the_bounds_and_the_cache_stays_bounded() {
        let now = Instant::now();
        let mut cache = Cache::default();
        let address = vec![IpAddr::from([192, 0, 2, 1])];
        cache.put("short", address.clone(), Duration::ZERO, now);
        cache.put("long", address.clone(), Duration::from_secs(1_000_000), now);
        assert!(cache.get("short", now + MIN_TTL / 2).is_some());
        assert!(cache.get("short", now + MIN_TTL).is_none());
        assert!(cache.get("long", now + MAX_TTL / 2).is_some());
        assert!(cache.get("long", now + MAX_TTL).is_none());
        for number in 0..MAX_NAMES + 5 {
            cache.put(&number.to_string(), address.clone(), Duration::from_secs(60), now);
        }
        assert_eq!(cache.names.len(), MAX_NAMES);
        assert!(cache.get("short", now).is_none(), "what expires first makes room");
    }
}
