//! What crosses the link, as callers and handlers see it.

use super::peers::Peer;
use argiope_protocol::wire::RefusalBody;
use argiope_protocol::{Epoch, JobId, ShardId, TenantId};
use async_trait::async_trait;
use bytes::Bytes;

/// Something that one node asks of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Whose work it is.
    pub(crate) tenant: TenantId,
    /// The job, where it is about one.
    pub(crate) job: Option<JobId>,
    /// The shard, where it is about one.
    pub(crate) shard: Option<ShardId>,
    /// Epoch of the caller's claim of that shard.
    pub(crate) epoch: Epoch,
    /// Trace context as telemetry wrote it, a few dozen bytes.
    pub(crate) trace: Option<Vec<u8>>,
    /// The question itself; with the rest it may have 1 MiB.
    pub(crate) body: Bytes,
}

impl Request {
    /// A question without context.
    #[cfg(test)]
    pub(crate) fn of(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// A handler's or the link's "no".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub(crate) struct Refusal {
    /// What programs go by. Numbers below 100 are the link's own, the rest is the application's.
    pub(crate) code: u16,
    /// What people read; cut at 512 bytes.
    pub(crate) message: String,
}

impl Refusal {
    /// The deadline passed before the call was handled, or while it was.
    pub(crate) const EXPIRED: u16 = 1;
    /// The node is stopping.
    pub(crate) const STOPPING: u16 = 2;
    /// The message is of a kind or version that the peer does not know.
    pub(crate) const VERSION: u16 = 3;
    /// The answer does not fit into an envelope.
    pub(crate) const ANSWER_TOO_LARGE: u16 = 4;
    /// The handler panicked.
    pub(crate) const PANICKED: u16 = 5;
    /// The first number that belongs to the application.
    pub(crate) const FIRST_OF_APPLICATION: u16 = 100;

    /// A refusal.
    pub(crate) fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Whether the same call may succeed later, as far as the link knows.
    pub(crate) const fn is_retryable(&self) -> bool {
        matches!(self.code, Self::EXPIRED | Self::STOPPING)
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut message = self.message.clone();
        if message.len() > 512 {
            let end = (0..=512).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
        }
        RefusalBody { code: self.code, message }.encode()
    }

    /// What a peer wrote; a refusal that cannot be read is one all the same.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        match RefusalBody::decode(bytes) {
            Ok(RefusalBody { code, message }) => Self { code, message },
            Err(error) => Self::new(Self::VERSION, format!("a refusal that cannot be read: {error}")),
        }
    }
}

/// Answers what other nodes ask. At most [`MAX_HANDLERS`](super::serve::MAX_HANDLERS) calls of a peer are under way at
/// once; the rest waits.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one question. The future is dropped when the caller's deadline has passed or its session has ended, so
    /// whatever must not stop halfway belongs into a task of its own.
    async fn handle(&self, from: &Peer, request: Request) -> Result<Bytes, Refusal>;
}
