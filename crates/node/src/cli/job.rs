//! `argiope job ID`: one job's ledger and its URLs.

use super::{Context, jobs, output, summary};
use crate::control::Session;
use crate::errors::Result;
use argiope_protocol::Fate;
use argiope_store::frontier::{UrlEntry, UrlFilter, UrlState};
use clap::Args;

/// URLs fetched from the store at once.
const PAGE: usize = 1_000;

/// Arguments of `job`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The job's id or its first characters; `last` is the newest.
    #[arg(value_name = "ID")]
    id: String,
    /// Links that were never admitted: reasons, counts and samples.
    #[arg(long, group = "list")]
    rejected: bool,
    /// URLs that failed for good.
    #[arg(long, group = "list")]
    failed: bool,
    /// URLs that were skipped.
    #[arg(long, group = "list")]
    skipped: bool,
    /// Pages that are stored.
    #[arg(long, group = "list")]
    pages: bool,
    /// URLs that wait.
    #[arg(long, group = "list")]
    open: bool,
}

impl Arguments {
    const fn filter(&self) -> Option<UrlFilter> {
        match (self.failed, self.skipped, self.pages, self.open) {
            (true, ..) => Some(UrlFilter::Failed),
            (_, true, ..) => Some(UrlFilter::Skipped),
            (_, _, true, _) => Some(UrlFilter::Pages),
            (.., true) => Some(UrlFilter::Open),
            _ => None,
        }
    }
}

/// Prints the job.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let mut session = Session::new(&context.config);
    let job = session.job(&arguments.id).await?;
    if arguments.rejected {
        let samples = session.reject_samples(job.id).await?;
        for (reason, count) in &job.rejected {
            let urls = samples.get(reason).cloned().unwrap_or_default();
            context.output.text(format!("{count:>8}  {reason}"));
            urls.iter().for_each(|url| context.output.text(format!("            {url}")));
            context.output.object(&serde_json::json!({
                "event": "rejected", "reason": reason.code(), "count": count, "samples": urls,
            }));
        }
        return Ok(0);
    }
    if let Some(filter) = arguments.filter() {
        let mut after = None;
        loop {
            let entries = session.urls(job.id, filter, after, PAGE).await?;
            let Some((last, _)) = entries.last() else { return Ok(0) };
            after = Some(*last);
            entries.iter().for_each(|(_, entry)| print_entry(context, entry));
        }
    }
    context.output.object(&jobs::to_json(&job));
    let head = [
        vec!["job".to_owned(), job.id.to_string()],
        vec!["state".to_owned(), job.state.code().to_owned()],
        vec!["created".to_owned(), jobs::time(job.created_at)],
        vec!["ended".to_owned(), job.ended_at.map_or_else(|| "-".to_owned(), jobs::time)],
        vec!["seed".to_owned(), jobs::seeds(&job)],
    ];
    context.output.text(output::table(&head));
    context.output.text(summary::ledger(&job));
    Ok(0)
}

fn print_entry(context: &Context, entry: &UrlEntry) {
    let (state, reason) = state_of(entry.state.clone());
    let candidate = &entry.candidate;
    context.output.text(format!("{state:<10} {reason:<22} {}", candidate.url));
    context.output.object(&serde_json::json!({
        "event": "url", "url": candidate.url, "state": state, "reason": reason, "attempts": entry.attempts,
        "depth": candidate.depth, "kind": candidate.kind, "source": candidate.source,
    }));
}

fn state_of(state: UrlState) -> (&'static str, String) {
    match state {
        UrlState::Queued { not_before } => ("queued", format!("until {}", jobs::time(not_before))),
        UrlState::Leased { deadline } => ("leased", format!("until {}", jobs::time(deadline))),
        UrlState::Ended(Fate::Stored) => ("stored", String::new()),
        UrlState::Ended(Fate::Unchanged) => ("unchanged", String::new()),
        UrlState::Ended(Fate::Skipped(reason)) => ("skipped", reason.to_string()),
        UrlState::Ended(Fate::Failed(reason, _)) => ("failed", reason.to_string()),
    }
}
