//! Jobs: made, listed, shown, moved, followed.

use super::{Answer, DEFAULT_ITEMS, MAX_CURSOR_BYTES, MAX_ITEMS, json, ok, whole};
use crate::api::{Created, JobView, List, Rejected, Retried, UrlView, page};
use crate::boot;
use crate::http::fields::{Body, Named, Query};
use crate::http::{App, Problem, sse};
use argiope_protocol::JobState;
use argiope_store::frontier::{JobRecord, UrlFilter};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};

/// Bytes of seeds that make a list full.
const FULL_BYTES: usize = 4 * 1024 * 1024;
/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 255;

const STATES: &[(&str, JobState)] = &[
    ("running", JobState::Running),
    ("paused", JobState::Paused),
    ("finished", JobState::Finished),
    ("cancelled", JobState::Cancelled),
];

const FILTERS: &[(&str, UrlFilter)] = &[
    ("all", UrlFilter::All),
    ("failed", UrlFilter::Failed),
    ("skipped", UrlFilter::Skipped),
    ("pages", UrlFilter::Pages),
    ("open", UrlFilter::Open),
];

pub(super) async fn create(State(app): State<App>, headers: HeaderMap, Body(mut fields): Body) -> Answer {
    let key = idempotency_key(&headers)?;
    let order = app.service().order(fields.rest()).map_err(Problem::invalid)?;
    let taken = app.service().take(order, key).await?;
    let how = taken.how.code();
    let status = if matches!(how, "new" | "recrawl") { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/jobs/{}", taken.job.id);
    let created = Created { how: how.to_owned(), warnings: taken.warnings, job: JobView::from(taken.job) };
    let mut response = json(status, &created)?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
    let wrong =
        || Problem::invalid(vec![format!("Idempotency-Key: must be 1 to {MAX_KEY_BYTES} printable characters")]);
    key.map(Some).ok_or_else(wrong)
}

pub(super) async fn list(State(app): State<App>, Query(mut fields): Query) -> Answer {
    let limit = fields.number("limit", 1..=MAX_ITEMS).unwrap_or(DEFAULT_ITEMS);
    let state = fields.choice("state", STATES);
    let after = fields.text("after", MAX_CURSOR_BYTES);
    let mut jobs = app.service().jobs().await?;
    if let Some(after) = after {
        match jobs.iter().position(|job| job.id.to_string() == after) {
            Some(place) => drop(jobs.drain(..=place)),
            None => fields.wrong("after", "must be what `next` said"),
        }
    }
    fields.finish()?;
    jobs.retain(|job| state.is_none_or(|state| job.state == state));
    let n_fitting = fitting(&jobs).min(usize::try_from(limit).unwrap_or(usize::MAX));
    let has_more = jobs.len() > n_fitting;
    jobs.truncate(n_fitting);
    let next = jobs.last().filter(|_| has_more).map(|job| job.id.to_string());
    ok(&List { items: jobs.into_iter().map(JobView::from).collect(), next })
}

/// Jobs until their seeds fill an answer, at least one.
fn fitting(jobs: &[JobRecord]) -> usize {
    let mut n_bytes = 0;
    let fits = |job: &&JobRecord| {
        let is_first = n_bytes == 0;
        n_bytes += 1 + job.spec.seeds.iter().map(|seed| seed.as_str().len()).sum::<usize>();
        is_first || n_bytes < FULL_BYTES
    };
    jobs.iter().take_while(fits).count()
}

pub(super) async fn show(State(app): State<App>, Named(id): Named) -> Answer {
    ok(&JobView::from(app.service().job(&id).await?))
}

pub(super) async fn pause(State(app): State<App>, Named(id): Named) -> Answer {
    move_to(&app, &id, JobState::Paused).await
}

pub(super) async fn cancel(State(app): State<App>, Named(id): Named) -> Answer {
    move_to(&app, &id, JobState::Cancelled).await
}

async fn move_to(app: &App, id: &str, state: JobState) -> Answer {
    let record: JobRecord = app.service().move_to(id, state).await?;
    if record.state != state {
        return Err(boot::ended(&record).into());
    }
    ok(&JobView::from(record))
}

pub(super) async fn resume(State(app): State<App>, Named(id): Named) -> Answer {
    ok(&JobView::from(app.service().resume(&id).await?))
}

pub(super) async fn retry(State(app): State<App>, Named(id): Named) -> Answer {
    let (job, urls) = app.service().retry(&id).await?;
    ok(&Retried { urls, job: JobView::from(job) })
}

pub(super) async fn urls(State(app): State<App>, Named(id): Named, Query(mut fields): Query) -> Answer {
    let filter = fields.choice("filter", FILTERS).unwrap_or(UrlFilter::All);
    let limit = fields.number("limit", 1..=MAX_ITEMS).unwrap_or(DEFAULT_ITEMS);
    let after = fields.parsed("after", page::CURSOR, page::parse_cursor);
    fields.finish()?;
    let job = app.service().job(&id).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let entries = app.service().urls(job.id, filter, after, limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|(key, _)| page::cursor(key));
    ok(&List { items: entries.into_iter().map(|(_, entry)| UrlView::from(entry)).collect(), next })
}

pub(super) async fn rejected(State(app): State<App>, Named(id): Named) -> Answer {
    let job = app.service().job(&id).await?;
    let mut samples = app.service().reject_samples(job.id).await?;
    let rejected = job.rejected.into_iter().map(|(reason, count)| Rejected {
        reason,
        count,
        samples: samples.remove(&reason).unwrap_or_default(),
    });
    whole(rejected.collect())
}

pub(super) async fn events(State(app): State<App>, Named(id): Named) -> Answer {
    let job = app.service().job(&id).await?;
    sse::follow(&app, job).await
}
