//! How other commands reach a data directory while a crawl holds it: a Unix socket inside the directory.
//!
//! One request a connection: a JSON line to the crawl, a JSON line back. The socket has the directory's
//! protection (0700), so who may read the data may steer the crawl, and nobody else.

mod client;
mod server;

pub(crate) use client::ask;
pub(crate) use server::Server;

use crate::boot::{Found, Question};
use crate::errors::CliError;
use argiope_protocol::{ErrorCode, JobState};
use argiope_store::frontier::JobRecord;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a request: a question has at most 4 KiB.
const MAX_REQUEST_BYTES: u64 = 16 * 1024;
/// Bytes of an answer: a hundred hits or ten thousand jobs.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Longest an exchange may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub(crate) enum Request {
    /// All jobs.
    Jobs,
    /// Move a job; the id as a user gives it.
    Move {
        /// Id, its beginning, or `last`.
        id: String,
        /// Where to.
        state: JobState,
    },
    /// A question to the index.
    Search(Question),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Jobs, oldest first; one for a move.
    Jobs(Vec<JobRecord>),
    /// Hits, best first.
    Hits(Vec<Found>),
    /// It cannot be done.
    Refused {
        /// The code, e.g. `AR0005`.
        code: String,
        /// What happened.
        message: String,
        /// Why.
        causes: Vec<String>,
        /// What to do.
        next: String,
    },
}

impl Answer {
    fn refuse(error: CliError) -> Self {
        Self::Refused {
            code: error.code.code().to_owned(),
            message: error.message,
            causes: error.causes,
            next: error.next,
        }
    }

    /// The answer, or the error that the crawl met.
    fn accept(self) -> crate::errors::Result<Self> {
        let Self::Refused { code, message, causes, next } = self else { return Ok(self) };
        let code = ErrorCode::ALL.iter().find(|known| known.code() == code).copied().unwrap_or(ErrorCode::Internal);
        let error = CliError::new(code, message).advise(next);
        Err(causes.into_iter().fold(error, CliError::because))
    }
}

fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_causes_and_advice() {
        let error =
            CliError::new(ErrorCode::UnknownJob, "there is no job \"x\"").because("a").because("b").advise("do this");
        let line = serde_json::to_string(&Answer::refuse(error.clone())).unwrap();
        let back: Answer = serde_json::from_str(&line).unwrap();
        assert_eq!(back.accept().unwrap_err(), error);
    }

    #[test]
    fn requests_are_flat_json_lines() {
        let request = Request::Move { id: "last".to_owned(), state: JobState::Paused };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"verb":"move","id":"last","state":"paused"}"#);
    }
}
