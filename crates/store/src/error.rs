//! What can go wrong in a store, and whether trying again helps.

use argiope_protocol::{ErrorCode, ShardId};

/// Result of a store call.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write named an epoch that is no longer the shard's: another owner took over.
    #[error("shard {0} has another owner")]
    Fenced(ShardId),
    /// Another process holds the data directory.
    #[error("data directory is in use by {holder}")]
    Locked {
        /// What the lock file says of its holder.
        holder: String,
    },
    /// The data was written by a newer version of this program.
    #[error("{what} has format {found}, this program knows up to {known}")]
    Newer {
        /// Which part.
        what: &'static str,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A record does not match its checksum, or cannot be decoded.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// Which record.
        what: String,
        /// How it shows.
        detail: String,
    },
    /// The disk is full or nearly so; nothing was written.
    #[error("disk has {free_bytes} bytes left, {needed_bytes} must stay free")]
    DiskFull {
        /// Free now.
        free_bytes: u64,
        /// The reserve.
        needed_bytes: u64,
    },
    /// The vector index was made with another model or dimension.
    #[error("index holds vectors of {found}, the configured model is {wanted}")]
    ModelMismatch {
        /// Model and dimension in the index.
        found: String,
        /// Model and dimension asked for.
        wanted: String,
    },
    /// A server that a store uses refuses, or cannot be reached.
    #[error("{context}: {message}")]
    Server {
        /// What was being done.
        context: &'static str,
        /// What it means.
        fault: ServerFault,
        /// What the server, or the way to it, said.
        message: String,
    },
    /// The store is not set to keep what `durability` promises.
    #[error("{detail}")]
    NotDurable {
        /// What is set and what is needed.
        detail: String,
    },
    /// No such job.
    #[error("there is no job {0}")]
    UnknownJob(argiope_protocol::JobId),
    /// The engine below failed; the store must be re-opened when `is_poisoned`.
    #[error("{context}: {message}")]
    Engine {
        /// What was being done.
        context: &'static str,
        /// What the engine said.
        message: String,
        /// Whether every later call will fail until the store is opened again.
        is_poisoned: bool,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What a server's refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFault {
    /// Its memory limit is reached; what frees memory still works.
    OutOfMemory,
    /// It takes no writes: it is a replica, or became one.
    ReadOnly,
    /// It reads its data after a start.
    Loading,
    /// Nobody serves these keys now: a failover or a move of slots is under way.
    Unavailable,
    /// It cannot write its data to disk, or not to as many replicas as it should, and takes no writes until it can.
    PersistenceFailed,
    /// There is no connection, or it broke; the outcome of the call is not known.
    Unreachable,
    /// No answer in time; the outcome of the call is not known.
    Timeout,
    /// It has too much to do and takes fewer or smaller calls only.
    Busy,
    /// Wrong credentials, or they do not allow the call.
    AccessDenied,
    /// Anything else that it refused.
    Refused,
}

impl ServerFault {
    /// Whether it may pass by itself, or by what an operator does.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        !matches!(self, Self::AccessDenied | Self::Refused)
    }
}

impl Error {
    /// An engine's error that a later call may not meet again.
    pub fn engine(context: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Engine { context, message: error.to_string(), is_poisoned: false }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Engine { is_poisoned: false, .. } => true,
            Self::Server { fault, .. } => fault.is_passing(),
            _ => false,
        }
    }

    /// The code shown to users.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Locked { .. } => ErrorCode::DataDirLocked,
            Self::Newer { .. } => ErrorCode::DataDirNewer,
            Self::Corrupt { .. } => ErrorCode::StoreCorrupt,
            Self::DiskFull { .. } => ErrorCode::DiskFull,
            Self::ModelMismatch { .. } => ErrorCode::ModelMismatch,
            Self::UnknownJob(_) => ErrorCode::UnknownJob,
            Self::Server { fault: ServerFault::OutOfMemory, .. } => ErrorCode::StoreFull,
            Self::Server { fault: ServerFault::ReadOnly | ServerFault::PersistenceFailed, .. } => {
                ErrorCode::StoreReadOnly
            }
            Self::NotDurable { .. } => ErrorCode::StoreNotDurable,
            Self::Server { .. } | Self::Fenced(_) | Self::Engine { .. } | Self::Closed => ErrorCode::StoreUnavailable,
        }
    }
}
