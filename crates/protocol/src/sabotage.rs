//! Defects that a test build makes on demand, so that a test can show that it would notice them.
//!
//! Only for tests. Without the feature `sabotage`, which no other feature turns on, nothing can be armed and every
//! question is answered with `false` when the program is compiled. With it, a fault is armed by name before the first
//! lease; the binary does that from `ARGIOPE_SABOTAGE` and says so. `tests/it/sabotage.rs` builds such a binary.

#[cfg(feature = "sabotage")]
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(feature = "sabotage")]
static ARMED: AtomicU8 = AtomicU8::new(0);

/// What can be made otherwise than it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The frontier answers as if no host had a gate; blocks after `Retry-After` hold.
    Gate,
    /// The egress client writes a request's head without asking its start window.
    Window,
    /// The store takes writes of claims that another node's claim has replaced, and a node goes on using a claim whose time
    /// has run out. Of a cluster on Redis only: alone, no claim has a time and nobody replaces it.
    Fence,
    /// Nothing breaks: the program says what a later version may say. It offers one more version of the wire, adds to
    /// greetings, calls and its record in the list of nodes, and sends messages of kinds that nobody knows.
    Next,
}

impl Fault {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Gate, Self::Window, Self::Fence, Self::Next];

    /// Its name in `ARGIOPE_SABOTAGE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Window => "window",
            Self::Fence => "fence",
            Self::Next => "next",
        }
    }

    /// Makes the part fail from now on.
    #[cfg(feature = "sabotage")]
    pub fn arm(self) {
        ARMED.fetch_or(self.bit(), Ordering::Relaxed);
    }

    /// Whether the part has to fail.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn is_armed(self) -> bool {
        ARMED.load(Ordering::Relaxed) & self.bit() != 0
    }

    /// Whether the part has to fail: never.
    #[cfg(not(feature = "sabotage"))]
    #[must_use]
    pub const fn is_armed(self) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}
