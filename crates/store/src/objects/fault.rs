//! Errors of shared storage.

use crate::Error;
use crate::error::ServerFault;
use std::time::Duration;

/// Characters of a storage's message that are passed on.
const MAX_MESSAGE: usize = 300;

/// The storage refuses or is away.
pub(super) fn server(context: &'static str, fault: ServerFault, message: impl std::fmt::Display) -> Error {
    Error::Server { context, fault, message: message.to_string().chars().take(MAX_MESSAGE).collect() }
}

/// No answer in time.
pub(super) fn timeout(context: &'static str, waited: Duration) -> Error {
    server(context, ServerFault::Timeout, format_args!("no answer within {} ms", waited.as_millis()))
}

/// An object that is not what was written under its name.
pub(super) fn corrupt(name: &str, detail: impl std::fmt::Display) -> Error {
    Error::Corrupt { what: format!("object {name}"), detail: detail.to_string() }
}
