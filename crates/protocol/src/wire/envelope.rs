//! One message between two nodes that know each other.
//!
//! Layout: version (u16, little endian), kind (u8), correlation (u64, little endian), then what it is about as
//! postcard, then the body to the end. The first eleven bytes keep their places in every version, so that even an
//! envelope of an unknown kind can be answered.

use super::WireError;
use crate::ids::{Epoch, JobId, ShardId, TenantId};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of an envelope, header included. Large bytes never travel in messages (DESIGN §3); 1 MiB holds a batch of
/// chunks' text and keeps a window of envelopes affordable.
pub const MAX_ENVELOPE_BYTES: usize = 1024 * 1024;

const HEADER_BYTES: usize = 11;

/// What an envelope is for. The numbers are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Asks for something; answered by one `Reply` or `Refusal`.
    Call = 1,
    /// The answer to a call.
    Reply = 2,
    /// The call was not done; the body is a [`RefusalBody`].
    Refusal = 3,
    /// Asks for a sign of life.
    Ping = 4,
    /// The sign of life.
    Pong = 5,
    /// How many bytes of replies arrived since the last one; the body is a u64, little endian.
    Ack = 6,
    /// The sender leaves after this; answered by a `Pong`.
    Bye = 7,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Call, Self::Reply, Self::Refusal, Self::Ping, Self::Pong, Self::Ack, Self::Bye];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// One message between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is for.
    pub kind: Kind,
    /// Names a call within a session; its answer bears the same.
    pub correlation: u64,
    /// Whose work it is.
    pub tenant: TenantId,
    /// The job, where it is about one.
    pub job: Option<JobId>,
    /// The shard, where it is about one.
    pub shard: Option<ShardId>,
    /// Epoch of the sender's claim of that shard.
    pub epoch: Epoch,
    /// After this moment of the sender's clock nobody waits for an answer.
    pub deadline: Timestamp,
    /// Trace context as the sender's telemetry wrote it.
    pub trace: Option<Vec<u8>>,
    /// What is asked or answered.
    pub body: Bytes,
}

/// What an envelope is about, as version 1 writes it.
#[derive(Serialize, Deserialize)]
struct About {
    tenant: TenantId,
    job: Option<JobId>,
    shard: Option<ShardId>,
    epoch: Epoch,
    deadline: Timestamp,
    trace: Option<Vec<u8>>,
}

impl Envelope {
    /// An envelope of the link itself, about nothing.
    #[must_use]
    pub fn bare(kind: Kind, correlation: u64, body: Bytes) -> Self {
        let (tenant, epoch, deadline) = (TenantId::default(), Epoch::default(), Timestamp::MAX);
        Self { kind, correlation, tenant, job: None, shard: None, epoch, deadline, trace: None, body }
    }

    /// Appends its bytes to `out`, written in `version`.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] above [`MAX_ENVELOPE_BYTES`]; `out` is empty then.
    pub fn encode_into(&self, version: u16, out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        out.reserve(HEADER_BYTES + 96 + self.body.len().min(MAX_ENVELOPE_BYTES));
        out.extend_from_slice(&version.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.correlation.to_le_bytes());
        let about = About {
            tenant: self.tenant.clone(),
            job: self.job,
            shard: self.shard,
            epoch: self.epoch,
            deadline: self.deadline,
            trace: self.trace.clone(),
        };
        *out = postcard::to_extend(&about, std::mem::take(out)).map_err(|_| WireError::Malformed)?;
        let bytes = out.len() - start + self.body.len();
        if bytes > MAX_ENVELOPE_BYTES {
            out.clear();
            return Err(WireError::TooLarge { bytes, max: MAX_ENVELOPE_BYTES });
        }
        out.extend_from_slice(&self.body);
        Ok(())
    }

    /// Reads an envelope; its body shares `bytes`. `speaks` is the oldest and the newest version taken.
    ///
    /// # Errors
    /// When it is too large, of another version, of an unknown kind, or malformed.
    pub fn decode(bytes: &Bytes, speaks: (u16, u16)) -> Result<Self, WireError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(WireError::TooLarge { bytes: bytes.len(), max: MAX_ENVELOPE_BYTES });
        }
        let (found, rest) = bytes.split_first_chunk::<2>().ok_or(WireError::Malformed)?;
        let found = u16::from_le_bytes(*found);
        if found < speaks.0 || found > speaks.1 {
            return Err(WireError::Version { found, oldest: speaks.0, newest: speaks.1 });
        }
        let (&[number], rest) = rest.split_first_chunk::<1>().ok_or(WireError::Malformed)?;
        let (correlation, rest) = rest.split_first_chunk::<8>().ok_or(WireError::Malformed)?;
        let correlation = u64::from_le_bytes(*correlation);
        let kind = Kind::of(number).ok_or(WireError::UnknownKind { kind: number, correlation })?;
        let (about, body) = postcard::take_from_bytes::<About>(rest).map_err(|_| WireError::Malformed)?;
        let About { tenant, job, shard, epoch, deadline, trace } = about;
        let body = bytes.slice_ref(body);
        Ok(Self { kind, correlation, tenant, job, shard, epoch, deadline, trace, body })
    }
}

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalBody {
    /// What programs go by. Numbers below 100 are the link's own.
    pub code: u16,
    /// What people read.
    pub message: String,
}

impl RefusalBody {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        // Serialising a number and a text into memory has no way to fail.
        Bytes::from(postcard::to_stdvec(self).unwrap_or_default())
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        postcard::take_from_bytes(bytes).map(|(body, _)| body).map_err(|_| WireError::Malformed)
    }
}
