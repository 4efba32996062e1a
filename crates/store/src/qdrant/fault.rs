//! What a server's error means for the caller.

use crate::Error;
use crate::error::ServerFault;
use qdrant_client::QdrantError;
use std::time::Duration;
use tonic::{Code, Status};

/// For a server that has too much to do and does not say for how long.
const DEFAULT_PAUSE: Duration = Duration::from_millis(100);
/// Characters of a server's message that are passed on: it may repeat the whole call.
const MAX_MESSAGE: usize = 300;

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: ServerFault,
    /// How long the server wants to be left alone.
    pub(super) pause: Option<Duration>,
    message: String,
}

impl Failure {
    pub(super) fn new(fault: ServerFault, message: impl Into<String>) -> Self {
        Self { fault, pause: None, message: message.into() }
    }

    /// No answer in time.
    pub(super) fn timeout(waited: Duration) -> Self {
        Self::new(ServerFault::Timeout, format!("no answer within {} ms", waited.as_millis()))
    }

    pub(super) fn of(error: QdrantError) -> Self {
        match error {
            QdrantError::ResourceExhaustedError { status, retry_after_seconds } => Self {
                pause: Some(Duration::from_secs(retry_after_seconds)),
                ..Self::new(ServerFault::Busy, message(&status))
            },
            QdrantError::ResponseError { status } => {
                let fault = fault(&status);
                let pause = (fault == ServerFault::Busy).then_some(DEFAULT_PAUSE);
                Self { pause, ..Self::new(fault, message(&status)) }
            }
            other => Self::new(ServerFault::Refused, other.to_string()),
        }
    }

    /// Whether it says that the server is not there.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self.fault, ServerFault::Unreachable | ServerFault::Timeout)
    }

    /// The error of the contract.
    pub(super) fn into_error(self, context: &'static str) -> Error {
        Error::Server { context, fault: self.fault, message: self.message }
    }
}

fn message(status: &Status) -> String {
    status.message().chars().take(MAX_MESSAGE).collect()
}

fn fault(status: &Status) -> ServerFault {
    match status.code() {
        Code::ResourceExhausted => ServerFault::Busy,
        Code::DeadlineExceeded => ServerFault::Timeout,
        // What the client says of a connection that broke or that its own timeout ended.
        Code::Unavailable | Code::Unknown | Code::Cancelled => ServerFault::Unreachable,
        Code::Internal if status.message().starts_with("Failed to connect") => ServerFault::Unreachable,
        Code::Internal | Code::DataLoss if status.message().to_ascii_lowercase().contains("no space") => {
            ServerFault::PersistenceFailed
        }
        Code::Internal | Code::Aborted | Code::DataLoss => ServerFault::Unavailable,
        Code::Unauthenticated | Code::PermissionDenied => ServerFault::AccessDenied,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => ServerFault::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_trying_again_helps() {
        let check = |status: Status, expected: ServerFault| {
            let failure = Failure::of(QdrantError::from(status));
            assert_eq!(failure.fault, expected);
            failure.into_error("test").is_retryable()
        };
        assert!(check(Status::unavailable("transport error"), ServerFault::Unreachable));
        assert!(check(Status::internal("Failed to connect to http://x"), ServerFault::Unreachable));
        assert!(check(Status::internal("WAL: no space left on device"), ServerFault::PersistenceFailed));
        assert!(check(Status::internal("shard is dead"), ServerFault::Unavailable));
        assert!(check(Status::resource_exhausted("slow down"), ServerFault::Busy));
        assert!(!check(Status::unauthenticated("no key"), ServerFault::AccessDenied));
        assert!(!check(Status::invalid_argument("wrong"), ServerFault::Refused));
    }

    #[test]
    fn the_server_says_how_long_it_wants_to_be_left_alone() {
        let mut status = Status::resource_exhausted("rate limit");
        status.metadata_mut().insert("retry-after", "7".parse().unwrap());
        assert_eq!(Failure::of(QdrantError::from(status)).pause, Some(Duration::from_secs(7)));
        let status = Status::resource_exhausted("x".repeat(10_000));
        let failure = Failure::of(QdrantError::from(status));
        assert_eq!((failure.pause, failure.message.len()), (Some(DEFAULT_PAUSE), MAX_MESSAGE));
    }
}
