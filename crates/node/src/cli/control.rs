//! `argiope pause | resume | cancel | retry ID`.

use super::settings::Reach;
use super::{Context, jobs, remote, run};
use crate::boot::{self, Running, Stores};
use crate::control::Session;
use crate::errors::Result;
use argiope_protocol::{JobId, JobSpec, JobState};
use argiope_store::frontier::JobRecord;
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
    /// Only move the job; the next `crawl` or `resume` works on it. A crawl that runs takes it up at once.
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
    let record = Session::new(&context.config).move_to(&arguments.id, state).await?;
    context.output.text(format!("job {} is {}", record.id, record.state.code()));
    context.output.object(&jobs::to_json(&record));
    if record.state == state { Ok(0) } else { Err(boot::ended(&record)) }
}

/// Resumes a job and crawls on, in the crawl that runs when there is one.
pub(crate) async fn resume(arguments: Crawling, context: &Context) -> Result<u8> {
    let id = &arguments.named.id;
    check_flags(context)?;
    if let Some(record) = Session::new(&context.config).resume(id).await? {
        context.output.text(format!("job {} goes on in the crawl that runs, with its settings", record.id));
        context.output.object(&jobs::to_json(&record));
        return Ok(0);
    }
    let (stores, job) = open_for(context, id).await?;
    boot::check_unended(&job)?;
    let record = stores.frontier.set_job_state(job.id, JobState::Running, boot::now()).await?;
    context.output.text(format!("job {} goes on", record.id));
    if arguments.no_crawl {
        context.output.object(&jobs::to_json(&record));
        return Ok(0);
    }
    crawl_on(stores, record.spec, context).await
}

/// Puts failed URLs back and crawls on, in the crawl that runs when there is one.
pub(crate) async fn retry(arguments: Crawling, context: &Context) -> Result<u8> {
    let id = &arguments.named.id;
    let told = |job: JobId, n_urls: u64| {
        context.output.text(format!("{n_urls} failed URLs of job {job} are queued again"));
        context.output.object(&serde_json::json!({ "event": "retried", "job": job, "urls": n_urls }));
    };
    check_flags(context)?;
    if let Some((job, n_urls)) = Session::new(&context.config).retry(id).await? {
        told(job.id, n_urls);
        return Ok(0);
    }
    let (stores, job) = open_for(context, id).await?;
    let n_urls = stores.frontier.retry_failed(job.id, boot::now()).await?;
    told(job.id, n_urls);
    if arguments.no_crawl || n_urls == 0 {
        return Ok(0);
    }
    crawl_on(stores, job.spec, context).await
}

async fn crawl_on(stores: Stores, spec: JobSpec, context: &Context) -> Result<u8> {
    stores.pause_others(spec.identity()).await?;
    let mut running = Running::start(&context.config, stores).await?;
    let submitted = running.submit(spec).await?;
    run::to_the_end(&mut running, submitted.job, context).await
}

/// A node is told nothing of how it reaches others.
fn check_flags(context: &Context) -> Result<()> {
    if context.config.client.is_some() { remote::check_flags(context) } else { Ok(()) }
}

/// Opens the stores of a data directory that must have jobs.
async fn open_for(context: &Context, id: &str) -> Result<(Stores, JobRecord)> {
    if !boot::has_data(&context.config) {
        return Err(boot::unknown_job(id));
    }
    let stores = Stores::open(&context.config).await?;
    let job = boot::find_job(stores.frontier.as_ref(), id).await?;
    Ok((stores, job))
}
