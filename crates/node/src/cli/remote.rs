//! A crawl that a node does: the same progress, summary and exit status, but Ctrl-C only detaches.

use super::run::{Progress, Stop, tell};
use super::summary::Ending;
use super::{Context, output};
use crate::api::JobView;
use crate::client::Endpoint;
use crate::config::{Source, given_settings};
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode, JobCounters, JobId};
use argiope_store::frontier::JobRecord;
use serde_json::Value;
use std::time::Instant;

/// Keys of flags that belong to whoever sends the requests.
const NODES_OWN: &[&str] =
    &["crawl.concurrency", "crawl.contact", "crawl.max_rate", "egress.allow_cidrs", "egress.resolve"];

/// Refuses flags that a node cannot be told: it would crawl otherwise than the user asked.
///
/// # Errors
/// `AR0001`.
pub(super) fn check_flags(context: &Context) -> Result<()> {
    let flags = NODES_OWN.iter().filter_map(|key| match &context.config.effective.get(key)?.source {
        Source::Flag(flag) => Some(*flag),
        _ => None,
    });
    let flags: Vec<&str> = flags.collect();
    if flags.is_empty() {
        return Ok(());
    }
    Err(CliError::new(ErrorCode::Usage, format!("{} cannot be told to a node", flags.join(", ")))
        .because("what may be reached, how fast and in whose name is the node's own configuration")
        .advise("set it in the configuration of the node, or crawl without an endpoint"))
}

/// Hands in the job and follows it to its end.
pub(super) async fn crawl(endpoint: &Endpoint, seeds: &[CanonicalUrl], context: &Context) -> Result<u8> {
    check_flags(context)?;
    let mut fields = given_settings(&context.config);
    fields.insert("seeds".to_owned(), seeds.iter().map(CanonicalUrl::as_str).collect());
    let created = endpoint.create(&Value::from(fields)).await?;
    created.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
    let job = created.job.id;
    if !context.output.is_json {
        output::note(format!("{} {job}", super::crawl::said(&created.how)));
    }
    context.output.object(&serde_json::json!({
        "event": "job_started", "job": job, "how": created.how, "endpoint": endpoint.url(),
    }));
    to_the_end(endpoint, job, context).await
}

async fn to_the_end(endpoint: &Endpoint, job: JobId, context: &Context) -> Result<u8> {
    let began = Instant::now();
    let mut stop = Stop::new()?;
    let progress = Progress::new(context);
    let mut follower = endpoint.follow(job);
    let mut hint = None;
    loop {
        let events = tokio::select! {
            biased;
            () = stop.requested() => {
                progress.clear();
                return Ok(detach(endpoint, job, context));
            }
            events = follower.next() => events.inspect_err(|_| progress.clear())?,
        };
        let (ends, events): (Vec<Value>, Vec<Value>) = events.into_iter().partition(|event| event["event"] == "end");
        tell(&events, job, context, &progress, &mut hint);
        let counters = events.iter().rev().find(|event| event["event"] == "progress");
        if let Some(counters) = counters.and_then(|event| serde_json::from_value::<JobCounters>(event.clone()).ok()) {
            progress.show(&counters);
        }
        if let Some(end) = ends.into_iter().next() {
            progress.clear();
            let ending =
                Ending { record: record_of(end)?, is_interrupted: false, elapsed: began.elapsed(), scope_hint: hint };
            context.output.text(ending.to_text(&context.place()));
            context.output.object(&ending.to_json(&context.place()));
            return Ok(ending.exit_status());
        }
    }
}

fn record_of(mut end: Value) -> Result<JobRecord> {
    let odd = |error| {
        CliError::new(ErrorCode::EndpointUnreachable, "the end of the job is told in an unknown way").because(error)
    };
    serde_json::from_value::<JobView>(end["job"].take()).map(JobRecord::from).map_err(odd)
}

/// The job goes on; says how to see and how to end it.
fn detach(endpoint: &Endpoint, job: JobId, context: &Context) -> u8 {
    let url = endpoint.url();
    output::note(format!(
        "detached: job {job} goes on at {url}\n  the same command follows it again\n  \
         `argiope job {job} --endpoint {url}` shows it\n  `argiope cancel {job} --endpoint {url}` gives it up"
    ));
    context.output.object(&serde_json::json!({ "event": "detached", "job": job, "endpoint": url }));
    ErrorCode::Interrupted.exit_code()
}
