//! Jobs by the names that people give them.

use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use argiope_store::FrontierStore;
use argiope_store::frontier::JobRecord;

/// The job with this id, or whose id begins so; `last` is the newest one.
///
/// # Errors
/// `AR0005` when there is none, or more than one.
pub(crate) async fn find_job(frontier: &dyn FrontierStore, text: &str) -> Result<JobRecord> {
    let mut jobs = frontier.jobs().await?;
    let wanted = text.to_ascii_lowercase();
    if wanted == "last" {
        return jobs.pop().ok_or_else(|| unknown_job(text));
    }
    jobs.retain(|job| !wanted.is_empty() && job.id.to_string().starts_with(&wanted));
    match jobs.len() {
        0 => Err(unknown_job(text)),
        1 => jobs.pop().ok_or_else(|| unknown_job(text)),
        n_jobs => Err(CliError::new(ErrorCode::UnknownJob, format!("{n_jobs} jobs begin with {text:?}"))
            .advise("give more characters of the id; `argiope jobs` lists them")),
    }
}

/// No job is called so.
pub(crate) fn unknown_job(text: &str) -> CliError {
    CliError::new(ErrorCode::UnknownJob, format!("there is no job {text:?}"))
}
