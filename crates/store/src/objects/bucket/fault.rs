//! What an answer of an S3 server means for the caller.

use super::super::fault::server;
use crate::Error;
use crate::error::ServerFault;
use ::http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

/// An answer that is a refusal, with what the server says of it.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {text}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Code and message of the answer.
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let said: Vec<String> = ["Code", "Message"].into_iter().filter_map(element).collect();
        Self { status, text: if said.is_empty() { body.chars().take(200).collect() } else { said.join(": ") } }
    }

    fn fault(&self) -> ServerFault {
        match self.status.as_u16() {
            429 | 503 => ServerFault::Busy,
            408 | 504 => ServerFault::Timeout,
            507 => ServerFault::PersistenceFailed,
            401 | 403 => ServerFault::AccessDenied,
            // A bucket that is gone is a mistake to be mended, and what was crawled must wait for it.
            404 | 409 | 500.. => ServerFault::Unavailable,
            _ => ServerFault::Refused,
        }
    }
}

pub(super) fn of(context: &'static str, error: &object_store::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut transport = None;
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return server(context, refusal.fault(), refusal);
        }
        transport = error.downcast_ref::<HttpError>().or(transport);
        cause = error.source();
    }
    if let Some(error) = transport {
        let fault = match error.kind() {
            HttpErrorKind::Timeout => ServerFault::Timeout,
            _ => ServerFault::Unreachable,
        };
        return server(context, fault, innermost(error));
    }
    let fault = match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ServerFault::AccessDenied
        }
        object_store::Error::NotFound { .. } => ServerFault::Unavailable,
        _ => ServerFault::Refused,
    };
    server(context, fault, error)
}

/// The outer errors only say that there was one.
fn innermost(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_trying_again_helps() {
        let check = |status: u16, expected: ServerFault| {
            let status = StatusCode::from_u16(status).unwrap();
            let body = b"<?xml?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
            let source = HttpError::new(HttpErrorKind::Unknown, Refusal::new(status, body));
            let error = object_store::Error::Generic { store: "S3", source: Box::new(source) };
            let Error::Server { fault, message, .. } = of("test", &error) else { panic!("{status}") };
            assert_eq!(fault, expected, "{status}");
            assert!(message.ends_with("SlowDown: Reduce your rate."), "{message}");
        };
        check(503, ServerFault::Busy);
        check(500, ServerFault::Unavailable);
        check(507, ServerFault::PersistenceFailed);
        check(404, ServerFault::Unavailable);
        check(403, ServerFault::AccessDenied);
        check(400, ServerFault::Refused);
    }
}
