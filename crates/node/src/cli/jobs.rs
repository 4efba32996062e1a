//! `argiope jobs`: what was crawled here.

use super::{Context, output};
use crate::control::Session;
use crate::errors::Result;
use argiope_protocol::Timestamp;
use argiope_store::frontier::JobRecord;

/// Lists all jobs, oldest first.
pub(crate) async fn run(context: &Context) -> Result<u8> {
    let jobs = Session::new(&context.config).jobs().await?;
    let mut rows = vec![
        ["JOB", "STATE", "CREATED", "STORED", "UNCHANGED", "SKIPPED", "FAILED", "OPEN", "SEED"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for job in &jobs {
        let counters = job.counters;
        let open = counters.queued + counters.leased;
        let numbers = [counters.stored, counters.unchanged, counters.skipped, counters.failed, open];
        let mut row = vec![job.id.to_string(), job.state.code().to_owned(), time(job.created_at)];
        row.extend(numbers.iter().map(u64::to_string));
        row.push(seeds(job));
        rows.push(row);
        context.output.object(&to_json(job));
    }
    if jobs.is_empty() {
        context.output.text(format!("No jobs in {}.", context.place().text));
    } else {
        context.output.text(output::table(&rows));
    }
    Ok(0)
}

/// A job as one object.
pub(crate) fn to_json(job: &JobRecord) -> serde_json::Value {
    let mut object = serde_json::json!({
        "event": "job", "job": job.id, "state": job.state.code(),
        "created_at": time(job.created_at), "ended_at": job.ended_at.map(time),
        "spec": job.spec, "reasons": job.reasons,
        "rejected": job.rejected.iter().map(|(reason, n)| (reason.code(), *n)).collect::<std::collections::BTreeMap<_, _>>(),
    });
    super::summary::add_counters(&mut object, &job.counters);
    object
}

/// The first seed, and how many more there are.
pub(crate) fn seeds(job: &JobRecord) -> String {
    let first = job.spec.seeds.first().map_or("", |url| url.as_str());
    match job.spec.seeds.len() {
        0 | 1 => first.to_owned(),
        n_seeds => format!("{first} (+{})", n_seeds - 1),
    }
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
