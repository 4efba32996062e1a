//! What storage must do to hold pages: five calls on named objects.
//!
//! Names are paths of `[a-z0-9._-]` with `/` between their parts. An object is seen whole or not at all, and a write
//! is durable when it is answered. A call that timed out may have been done.

use crate::Result;
use argiope_protocol::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Instant;

/// Tells one content of a name from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(pub(super) String);

/// An object as it was read.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) tag: Tag,
}

/// When a write may happen; decided in the same step as the write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing has the name.
    Absent,
    /// The object is the one that was read.
    Unchanged(Tag),
    /// Whatever is there.
    Always,
}

/// Storage that several nodes share.
#[async_trait]
pub(super) trait Place: Send + Sync + 'static {
    /// The object; `None` when there is none.
    async fn get(&self, name: &str, until: Instant) -> Result<Option<Object>>;
    /// Writes an object; `false` when it was not the time (see [`When`]), or somebody else wrote at the same moment.
    /// `false` for [`When::Absent`] means besides that what is there is durable.
    async fn put(&self, name: &str, bytes: Bytes, when: When, until: Instant) -> Result<bool>;
    /// Removes an object. One that is not there is no error.
    async fn delete(&self, name: &str, until: Instant) -> Result<()>;
    /// Names in `folder` (which ends in `/`) and the folders in it, in byte order, after the full name `after`. Fewer
    /// than `limit` only at the end.
    async fn list(&self, folder: &str, after: Option<&str>, limit: usize, until: Instant) -> Result<Vec<String>>;
    /// When the object was written, by the storage's clock; `None` when there is none.
    async fn written_at(&self, name: &str, until: Instant) -> Result<Option<Timestamp>>;
    /// Removes what crashed writers left in the storage's own corners before this time; answers how much.
    async fn tidy(&self, before: Timestamp, until: Instant) -> Result<u64>;
}
