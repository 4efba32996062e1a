//! How other commands reach a data directory while a crawl holds it: a Unix socket inside the directory.
//!
//! One request a connection: a JSON line to the crawl, a JSON line back. The socket has the directory's
//! protection (0700), so who may read the data may steer the crawl, and nobody else.

mod client;
mod server;
mod session;

use client::ask;
pub(crate) use server::Server;
pub(crate) use session::Session;

use crate::api::PagePart;
use crate::boot::{Findings, Found, MAX_PAGES, Question, Service};
use crate::errors::CliError;
use argiope_protocol::{JobId, JobState, PageKey, RejectReason};
use argiope_store::frontier::{JobRecord, UrlEntry, UrlFilter};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a request: a question has at most 4 KiB.
const MAX_REQUEST_BYTES: u64 = 16 * 1024;
/// Bytes of an answer: a hundred hits, ten thousand jobs, or some thousand pages.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Longest an exchange may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Longest that comparing may take: it reads everything that is kept.
const VERIFY_DEADLINE: Duration = Duration::from_mins(30);

/// What is asked. Jobs are named as a user does: id, its beginning, or `last`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub(crate) enum Request {
    /// All jobs.
    Jobs,
    /// One job.
    Job {
        /// Its name.
        id: String,
    },
    /// Move a job: pause or cancel.
    Move {
        /// Its name.
        id: String,
        /// Where to.
        state: JobState,
    },
    /// Let a job go on in the running crawl.
    Resume {
        /// Its name.
        id: String,
    },
    /// Try a job's failed URLs again in the running crawl.
    Retry {
        /// Its name.
        id: String,
    },
    /// URLs of a job.
    Urls {
        /// Which job.
        job: JobId,
        /// Which of them.
        filter: UrlFilter,
        /// Where the last answer ended.
        after: Option<PageKey>,
        /// At most.
        limit: usize,
    },
    /// Samples of rejected links.
    RejectSamples {
        /// Which job.
        job: JobId,
    },
    /// Pages of a job, with their Markdown.
    Pages {
        /// Which job.
        job: JobId,
        /// Where the last answer ended.
        after: Option<PageKey>,
    },
    /// Compare the stores.
    Verify {
        /// Leave strays.
        keep: bool,
    },
    /// A question to the index.
    Search(Question),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Jobs, oldest first.
    Jobs(Vec<JobRecord>),
    /// One job, as it is now.
    Job(Box<JobRecord>),
    /// A job whose failed URLs wait again.
    Retried {
        /// The job.
        job: Box<JobRecord>,
        /// How many.
        n_urls: u64,
    },
    /// URLs in key order.
    Urls(Vec<(PageKey, UrlEntry)>),
    /// Samples by reason.
    RejectSamples(Vec<(RejectReason, Vec<String>)>),
    /// Pages in key order.
    Pages(PagePart),
    /// What was compared.
    Verified(Findings),
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

impl Request {
    /// Longest the answer may take.
    const fn deadline(&self) -> Duration {
        match self {
            Self::Verify { .. } => VERIFY_DEADLINE,
            _ => DEADLINE,
        }
    }

    /// The answer of the process that holds the data directory.
    async fn answer(self, service: &Service) -> crate::errors::Result<Answer> {
        Ok(match self {
            Self::Jobs => Answer::Jobs(service.jobs().await?),
            Self::Job { id } => Answer::Job(Box::new(service.job(&id).await?)),
            Self::Move { id, state } => Answer::Job(Box::new(service.move_to(&id, state).await?)),
            Self::Resume { id } => Answer::Job(Box::new(service.resume(&id).await?)),
            Self::Retry { id } => {
                let (job, n_urls) = service.retry(&id).await?;
                Answer::Retried { job: Box::new(job), n_urls }
            }
            Self::Urls { job, filter, after, limit } => Answer::Urls(service.urls(job, filter, after, limit).await?),
            Self::RejectSamples { job } => {
                Answer::RejectSamples(service.reject_samples(job).await?.into_iter().collect())
            }
            Self::Pages { job, after } => Answer::Pages(service.pages(job, after, MAX_PAGES, true).await?),
            Self::Verify { keep } => Answer::Verified(service.verify(keep).await?),
            Self::Search(question) => Answer::Hits(service.search(question).await?),
        })
    }
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
        Err(CliError::told(&code, message, causes, next))
    }
}

fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::ErrorCode;

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
