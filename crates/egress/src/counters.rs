//! What the egress layer counts. The node exports it; nothing here knows of metrics.

use crate::policy::DenyRule;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// Monotone counters since the client was made.
        #[derive(Debug, Default)]
        pub struct EgressCounters {
            $($(#[$meta])* pub $name: AtomicU64,)+
            denials: [AtomicU64; DenyRule::ALL.len()],
        }

        impl EgressCounters {
            /// Name and value of each plain counter, in the order of declaration.
            #[must_use]
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

counters! {
    /// Requests whose head was handed to a connection.
    requests,
    /// Answers that were read to their end, or to the cap where that is no error.
    responses,
    /// Connections made, TLS included.
    connections_opened,
    /// Requests on a connection that had served one before.
    connections_reused,
    /// Names looked up in the DNS.
    dns_lookups,
    /// Names answered from the cache.
    dns_cache_hits,
    /// Body bytes as they came from the network.
    wire_bytes,
    /// Body bytes after decoding, those of answers that failed included.
    decoded_bytes,
    /// Times a start window had passed and a new start was asked for.
    windows_reopened,
    /// Times no new start was given.
    windows_missed,
    /// Times all connections to an address were in use.
    per_ip_busy,
}

impl EgressCounters {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn count_denial(&self, rule: DenyRule) {
        // The enum is declared in the order of ALL.
        if let Some(counter) = self.denials.get(rule as usize) {
            Self::add(counter, 1);
        }
    }

    /// Denials by rule.
    pub fn denials(&self) -> impl Iterator<Item = (DenyRule, u64)> + '_ {
        DenyRule::ALL.iter().zip(&self.denials).map(|(rule, counter)| (*rule, counter.load(Ordering::Relaxed)))
    }
}
