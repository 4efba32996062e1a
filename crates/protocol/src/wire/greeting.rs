//! The first messages on a new stream, before either side trusts the other.
//!
//! The dialler says `Hello`, the other answers with its own; the dialler proves that it knows the cookie, the other
//! welcomes it with its own proof. Either may refuse instead, with a reason, and closes the stream then. Layout: four
//! letters, the kind's number, then postcard; what follows it is ignored, so that a later version may add to it.

use super::WireError;
use crate::error::ErrorCode;
use crate::ids::NodeName;
use crate::sabotage::Fault;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of a greeting. A hello has about 300.
pub const MAX_GREETING_BYTES: usize = 4 * 1024;

/// Tells the link from other things that may be dialled by mistake.
const MAGIC: &[u8; 4] = b"ARGL";

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Name of its cluster.
    pub cluster: String,
    /// Its own name.
    pub name: NodeName,
    /// Names this run of its process.
    pub boot: Uuid,
    /// Oldest and newest version of the wire that it speaks.
    pub wire: (u16, u16),
    /// Words of its roles; unknown ones are those of a later version.
    pub roles: Vec<String>,
    /// Its wall clock.
    pub clock: Timestamp,
    /// Drawn anew for each stream, so that no proof fits twice.
    pub nonce: [u8; 32],
    /// What stands before every envelope that the other node sends it in this session.
    pub token: [u8; 16],
}

/// Why a node does not talk to another. The numbers are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// It belongs to another cluster.
    Cluster = 1,
    /// The two have no version of the wire in common.
    Version = 2,
    /// The clocks differ too much.
    Clock = 3,
    /// Another node of this name is alive.
    NameTaken = 4,
    /// Its certificate is not accepted, or is that of another name.
    Certificate = 5,
    /// The cookies differ.
    Cookie = 6,
    /// It dialled itself.
    Itself = 7,
    /// The two are linked already.
    Duplicate = 8,
    /// The node is stopping.
    Stopping = 9,
    /// What it said was not understood.
    Malformed = 10,
    /// Another node answers at this address than was expected there.
    WrongName = 11,
}

impl Reason {
    const ALL: [Self; 11] = [
        Self::Cluster,
        Self::Version,
        Self::Clock,
        Self::NameTaken,
        Self::Certificate,
        Self::Cookie,
        Self::Itself,
        Self::Duplicate,
        Self::Stopping,
        Self::Malformed,
        Self::WrongName,
    ];

    /// The error that an operator meets.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Cluster => ErrorCode::LinkCluster,
            Self::Version => ErrorCode::LinkVersion,
            Self::Clock => ErrorCode::LinkClock,
            Self::Certificate => ErrorCode::LinkCertificate,
            Self::Cookie => ErrorCode::LinkCookie,
            Self::NameTaken | Self::Itself | Self::Duplicate | Self::Stopping | Self::Malformed | Self::WrongName => {
                ErrorCode::LinkRefused
            }
        }
    }
}

/// One of the first messages on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// Who speaks.
    Hello(Hello),
    /// The dialler knows the cookie.
    Proof([u8; 32]),
    /// So does the other, and the session may begin.
    Welcome([u8; 32]),
    /// There will be no session. The text is for people.
    Refuse(Reason, String),
}

impl Greeting {
    const HELLO: u8 = 1;
    const PROOF: u8 = 2;
    const WELCOME: u8 = 3;
    const REFUSE: u8 = 4;

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, rest) = match self {
            Self::Hello(hello) => (Self::HELLO, postcard::to_stdvec(hello)),
            Self::Proof(proof) => (Self::PROOF, postcard::to_stdvec(proof)),
            Self::Welcome(proof) => (Self::WELCOME, postcard::to_stdvec(proof)),
            Self::Refuse(reason, text) => (Self::REFUSE, postcard::to_stdvec(&(*reason as u8, text))),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.push(kind);
        // Serialising plain values into memory has no way to fail.
        bytes.extend_from_slice(&rest.unwrap_or_default());
        if Fault::Next.is_armed() {
            bytes.extend_from_slice(b"what a later version adds");
        }
        bytes
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none of ours. A reason that a later version gives reads as [`Reason::Malformed`] with its text.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        fn read<'a, T: Deserialize<'a>>(rest: &'a [u8]) -> Result<T, WireError> {
            postcard::take_from_bytes(rest).map(|(value, _)| value).map_err(|_| WireError::Malformed)
        }
        if bytes.len() > MAX_GREETING_BYTES {
            return Err(WireError::TooLarge { bytes: bytes.len(), max: MAX_GREETING_BYTES });
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(WireError::Malformed)?;
        match rest.split_first().ok_or(WireError::Malformed)? {
            (&Self::HELLO, rest) => read(rest).map(Self::Hello),
            (&Self::PROOF, rest) => read(rest).map(Self::Proof),
            (&Self::WELCOME, rest) => read(rest).map(Self::Welcome),
            (&Self::REFUSE, rest) => {
                let (number, text): (u8, String) = read(rest)?;
                let reason = Reason::ALL.into_iter().find(|reason| *reason as u8 == number);
                Ok(Self::Refuse(reason.unwrap_or(Reason::Malformed), text))
            }
            (kind, _) => Err(WireError::UnknownKind { kind: *kind, correlation: 0 }),
        }
    }
}
