//! What crosses from node to node: first greetings on a new stream, then envelopes.
//!
//! Both are bytes from another process, possibly of another version: decoding answers an error, never a panic.
//! Greetings keep one format for ever, since nothing is agreed yet when they are read. Envelopes are written in the
//! version that the greetings agreed on. Files in `tests/golden/wire` hold bytes of every version that was released
//! and must decode for ever: add kinds and versions, never renumber or reorder.

mod envelope;
mod greeting;
#[cfg(test)]
mod tests;

pub use envelope::{Envelope, Kind, MAX_ENVELOPE_BYTES, RefusalBody};
pub use greeting::{Greeting, Hello, MAX_GREETING_BYTES, Reason};

/// Why bytes are not an envelope or a greeting, or an envelope cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is larger than what may cross.
    #[error("the message has {bytes} bytes, more than {max}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// It is written in a version that is not spoken here.
    #[error("version {found} of the wire is not spoken here, only {oldest} to {newest}")]
    Version {
        /// Its version.
        found: u16,
        /// The oldest version spoken here.
        oldest: u16,
        /// The newest version spoken here.
        newest: u16,
    },
    /// It is of a kind that a later version may know.
    #[error("messages of kind {kind} are not known here")]
    UnknownKind {
        /// The kind's number.
        kind: u8,
        /// To what the sender expects an answer.
        correlation: u64,
    },
    /// It ends too early or holds what cannot be.
    #[error("the message is malformed")]
    Malformed,
}

/// The newest version that two nodes both speak, each given as (oldest, newest).
#[must_use]
pub fn negotiate(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0.max(theirs.0)).then_some(newest)
}
