//! Other nodes as seen through the link.

use argiope_protocol::{ErrorCode, NodeName, Role};
use std::time::Duration;
use uuid::Uuid;

/// A node at the other end of a session: who it is was proved before the session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: NodeName,
    /// Names this run of its process.
    pub(crate) boot: Uuid,
    /// What it does; roles of a later version are left out.
    pub(crate) roles: Vec<Role>,
}

/// Where a node can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerAddress {
    /// Its name; `None` for a seed, whose name is learnt when it answers.
    pub(crate) name: Option<NodeName>,
    /// Its boot, when it is known.
    pub(crate) boot: Option<Uuid>,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

/// Whether calls to a peer have a chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// Heard of within the last 3 s.
    Connected,
    /// Silent for 3 s; at 5 s its session is closed.
    Suspect,
    /// No session.
    Down,
}

impl PeerState {
    /// All of them.
    pub(crate) const ALL: &'static [Self] = &[Self::Connected, Self::Suspect, Self::Down];

    /// The stable word for it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// How things stand with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerStatus {
    /// Its name.
    pub(crate) name: NodeName,
    /// Its boot, when it is known.
    pub(crate) boot: Option<Uuid>,
    /// Whether calls have a chance.
    pub(crate) state: PeerState,
    /// Time of the last heartbeat there and back.
    pub(crate) rtt: Option<Duration>,
    /// Unanswered envelopes and their bytes.
    pub(crate) in_flight: (usize, u64),
    /// Why it, or we, refused to be linked the last time.
    pub(crate) last_refusal: Option<(ErrorCode, String)>,
}
