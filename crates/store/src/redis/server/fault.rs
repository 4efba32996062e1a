//! What a server's error means for the caller.

use crate::Error;
use crate::error::ServerFault;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The error of the contract for a server's error.
pub(super) fn error(context: &'static str, error: &RedisError) -> Error {
    Error::Server { context, fault: fault(error), message: error.to_string() }
}

/// No answer in time.
pub(super) fn timeout(context: &'static str, waited: std::time::Duration) -> Error {
    let message = format!("no answer within {} ms", waited.as_millis());
    Error::Server { context, fault: ServerFault::Timeout, message }
}

fn fault(error: &RedisError) -> ServerFault {
    if error.is_timeout() {
        return ServerFault::Timeout;
    }
    match error.code() {
        Some("OOM") => return ServerFault::OutOfMemory,
        Some("MISCONF" | "NOREPLICAS") => return ServerFault::PersistenceFailed,
        Some("NOAUTH" | "WRONGPASS") => return ServerFault::AccessDenied,
        _ => {}
    }
    // An error inside of a function is told in the text.
    let detail = error.detail().unwrap_or_default();
    if detail.contains("OOM command not allowed") {
        return ServerFault::OutOfMemory;
    }
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => ServerFault::ReadOnly,
            ServerErrorKind::BusyLoading => ServerFault::Loading,
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => ServerFault::Unavailable,
            ServerErrorKind::NoPerm => ServerFault::AccessDenied,
            _ => ServerFault::Refused,
        },
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => ServerFault::Unreachable,
        ErrorKind::AuthenticationFailed => ServerFault::AccessDenied,
        _ => ServerFault::Refused,
    }
}

/// The server does not know the library or script: it is new, or came back without it.
pub(super) fn is_unknown_library(error: &RedisError) -> bool {
    let is_missing_script = error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
    is_missing_script || error.detail().is_some_and(|detail| detail.contains("Function not found"))
}

/// Whether the connection is of no use any more.
pub(super) fn is_broken(error: &RedisError) -> bool {
    matches!(fault(error), ServerFault::Unreachable | ServerFault::Timeout | ServerFault::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let of = |code: &str, text: &str| fault(&redis::make_extension_error(code.to_owned(), Some(text.to_owned())));
        assert_eq!(of("OOM", "command not allowed when used memory > 'maxmemory'"), ServerFault::OutOfMemory);
        assert_eq!(of("MISCONF", "Redis is configured to save RDB snapshots"), ServerFault::PersistenceFailed);
        assert_eq!(of("NOREPLICAS", "Not enough good replicas to write."), ServerFault::PersistenceFailed);
        assert_eq!(of("WRONGPASS", "invalid"), ServerFault::AccessDenied);
        assert_eq!(of("ODD", "never heard of"), ServerFault::Refused);
    }
}
