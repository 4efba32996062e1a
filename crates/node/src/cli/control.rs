//! `argiope pause | resume | cancel | retry ID`.

use super::settings::Reach;
use super::{Context, jobs, run};
use crate::boot::{self, Running};
use crate::control::{self, Answer, Request};
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobState};
use clap::Args;

/// A verb that only moves a job.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The job's id or its first characters; `last` is the newest.
    #[arg(value_name = "ID")]
    id: String,
}

/// A verb that moves a job and crawls on.
#[derive(Debug, Args)]
pub(crate) struct Crawling {
    #[command(flatten)]
    named: Named,
    /// Only move the job; the next `crawl` or `resume` works on it.
    #[arg(long)]
    no_crawl: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Pauses a job.
pub(crate) async fn pause(arguments: Named, context: &Context) -> Result<u8> {
    move_to(arguments, context, JobState::Paused).await
}

/// Cancels a job.
pub(crate) async fn cancel(arguments: Named, context: &Context) -> Result<u8> {
    move_to(arguments, context, JobState::Cancelled).await
}

async fn move_to(arguments: Named, context: &Context, state: JobState) -> Result<u8> {
    let request = Request::Move { id: arguments.id.clone(), state };
    let moved = match control::ask(&context.config.data_dir, &request).await? {
        Some(Answer::Jobs(jobs)) => jobs.into_iter().next(),
        _ => None,
    };
    let record = match moved {
        Some(record) => record,
        None => {
            let (stores, job) = jobs::open_for(context, &arguments.id).await?;
            stores.frontier.set_job_state(job.id, state, boot::now()).await?
        }
    };
    context.output.text(format!("job {} is {}", record.id, record.state.code()));
    context.output.object(&jobs::to_json(&record));
    if record.state == state { Ok(0) } else { Err(ended(&record.state, &arguments.id)) }
}

/// Resumes a job and crawls on.
pub(crate) async fn resume(arguments: Crawling, context: &Context) -> Result<u8> {
    let (stores, job) = jobs::open_for(context, &arguments.named.id).await?;
    if matches!(job.state, JobState::Finished | JobState::Cancelled) {
        return Err(ended(&job.state, &arguments.named.id));
    }
    let record = stores.frontier.set_job_state(job.id, JobState::Running, boot::now()).await?;
    context.output.text(format!("job {} goes on", record.id));
    if arguments.no_crawl {
        context.output.object(&jobs::to_json(&record));
        return Ok(0);
    }
    stores.pause_others(job.spec.identity()).await?;
    let mut running = Running::start(&context.config, stores).await?;
    let submitted = running.submit(record.spec).await?;
    run::to_the_end(&mut running, submitted.job, context).await
}

/// Puts failed URLs back and crawls on.
pub(crate) async fn retry(arguments: Crawling, context: &Context) -> Result<u8> {
    let (stores, job) = jobs::open_for(context, &arguments.named.id).await?;
    let n_urls = stores.frontier.retry_failed(job.id, boot::now()).await?;
    context.output.text(format!("{n_urls} failed URLs of job {} are queued again", job.id));
    context.output.object(&serde_json::json!({ "event": "retried", "job": job.id, "urls": n_urls }));
    if arguments.no_crawl || n_urls == 0 {
        return Ok(0);
    }
    stores.pause_others(job.spec.identity()).await?;
    let mut running = Running::start(&context.config, stores).await?;
    let submitted = running.submit(job.spec).await?;
    run::to_the_end(&mut running, submitted.job, context).await
}

fn ended(state: &JobState, id: &str) -> CliError {
    CliError::new(ErrorCode::Usage, format!("job {id} is {} and stays so", state.code()))
        .advise("`argiope crawl` with the same seeds crawls it again; `argiope retry ID` tries failed pages again")
}
