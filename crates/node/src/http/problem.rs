//! Errors as `application/problem+json` (RFC 9457): the same code, causes and next step that a command prints.

use crate::errors::CliError;
use argiope_protocol::ErrorCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    error: CliError,
}

/// As it is written, and read by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// Names the code (RFC 9457 wants a URI).
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What the code means.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened.
    pub(crate) detail: String,
    /// The code, e.g. `AR0005`.
    pub(crate) code: String,
    /// Why, outermost first; of a request with mistakes each of them.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) next: String,
}

impl Problem {
    /// An error with another status than its code's.
    pub(crate) const fn with_status(status: StatusCode, error: CliError) -> Self {
        Self { status, error }
    }

    /// A request that is not understood, with all its mistakes.
    pub(crate) fn invalid(mistakes: Vec<String>) -> Self {
        let noun = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
        let error = CliError::new(ErrorCode::RequestInvalid, format!("the request has {} {noun}", mistakes.len()));
        mistakes.into_iter().fold(error, CliError::because).into()
    }
}

impl<T: Into<CliError>> From<T> for Problem {
    fn from(error: T) -> Self {
        let error = error.into();
        Self { status: status_of(error.code), error }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        if status.is_server_error() && error.code != ErrorCode::NodeBusy {
            tracing::error!(code = %error.code, causes = ?error.causes, "a request failed: {}", error.message);
        }
        let body = Body {
            kind: format!("urn:argiope:error:{}", error.code),
            title: error.code.title().to_owned(),
            status: status.as_u16(),
            detail: error.message,
            code: error.code.code().to_owned(),
            causes: error.causes,
            next: error.next,
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if error.code == ErrorCode::NodeBusy {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl Body {
    /// The error that a node told.
    pub(crate) fn into_error(self) -> CliError {
        CliError::told(&self.code, self.detail, self.causes, self.next)
    }
}

/// The HTTP status of a code: the only table.
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Usage | ErrorCode::Config | ErrorCode::InvalidUrl | ErrorCode::RequestInvalid => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::KeyRefused => StatusCode::UNAUTHORIZED,
        ErrorCode::EgressDenied => StatusCode::FORBIDDEN,
        ErrorCode::UnknownJob | ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::JobEnded | ErrorCode::IdempotencyConflict | ErrorCode::NameTaken | ErrorCode::SharedStores => {
            StatusCode::CONFLICT
        }
        ErrorCode::ContactMissing | ErrorCode::NothingToCrawl => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::DataDirLocked
        | ErrorCode::StoreUnavailable
        | ErrorCode::StoreReadOnly
        | ErrorCode::EmbedderUnavailable
        | ErrorCode::EndpointUnreachable
        | ErrorCode::Interrupted
        | ErrorCode::LinkRefused
        | ErrorCode::LinkCertificate
        | ErrorCode::LinkCookie
        | ErrorCode::LinkCluster
        | ErrorCode::LinkVersion
        | ErrorCode::LinkClock
        | ErrorCode::NodeBusy => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DiskFull | ErrorCode::StoreFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::File
        | ErrorCode::DataDirNewer
        | ErrorCode::StoreCorrupt
        | ErrorCode::StoreNotDurable
        | ErrorCode::ModelMismatch
        | ErrorCode::PagesFailed
        | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_keeps_code_causes_and_advice_on_its_way() {
        for code in ErrorCode::ALL {
            let error = CliError::new(*code, "it happened").because("a").because("b").advise("do this");
            let response = Problem::from(error.clone()).into_response();
            assert!(response.status().is_client_error() || response.status().is_server_error(), "{code}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            let status = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: Body = serde_json::from_slice(&bytes).unwrap();
            assert_eq!((body.status, body.title.as_str()), (status, code.title()));
            assert_eq!(body.into_error(), error);
        }
    }

    #[test]
    fn mistakes_are_counted_and_listed() {
        let problem = Problem::invalid(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!((problem.status, problem.error.causes.len()), (StatusCode::BAD_REQUEST, 2));
        assert!(problem.error.message.contains("2 mistakes"));
    }
}
