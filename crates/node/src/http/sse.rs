//! A job's way as server-sent events: its ledger once a second, what the engine of this process tells of it, its end.
//!
//! Each event's data is one JSON object, the same that `argiope crawl --json` prints. A slow reader holds back nothing:
//! the stream is pulled, what the engine tells meanwhile is kept up to its bound and then counted as `lagged`.

use super::metrics::OpenStream;
use super::{App, Problem, STREAMS};
use crate::api::JobView;
use crate::boot::{Events, Service};
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobCounters, JobId};
use argiope_store::frontier::JobRecord;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// Between two looks at the ledger.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A comment at least this often, so that whoever lies between knows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The stream of one job.
pub(super) async fn follow(app: &App, job: JobRecord) -> std::result::Result<Response, Problem> {
    let full = |_| CliError::new(ErrorCode::NodeBusy, "as many streams are open as the node serves");
    let place = STREAMS.try_acquire().map_err(full)?;
    let events = app.service().events();
    let state = Following {
        service: app.service().clone(),
        job: job.id,
        events,
        told: None,
        waiting: VecDeque::new(),
        is_over: false,
        stopping: app.inner.stopping.clone(),
        look: ticks(LOOK_EVERY, Duration::ZERO),
        heartbeat: ticks(HEARTBEAT, HEARTBEAT),
        _counted: app.inner.metrics.stream(),
        _place: place,
    };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), state))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn ticks(every: Duration, first: Duration) -> tokio::time::Interval {
    let mut ticks = if first.is_zero() { interval(every) } else { interval_at(Instant::now() + first, every) };
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Following {
    service: Service,
    job: JobId,
    events: Option<Events>,
    /// The ledger as it was told last.
    told: Option<JobCounters>,
    waiting: VecDeque<String>,
    is_over: bool,
    stopping: watch::Receiver<bool>,
    look: tokio::time::Interval,
    heartbeat: tokio::time::Interval,
    _counted: OpenStream,
    _place: SemaphorePermit<'static>,
}

/// What the stream waited for.
enum Step {
    Look,
    Events(Vec<Value>),
    Silent,
    Heartbeat,
    Stop,
}

impl Following {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            if self.is_over {
                return None;
            }
            match self.step().await {
                Step::Look => self.look_at_ledger().await,
                Step::Events(events) => self.tell(events).await,
                // The engine ended; the ledger is looked at all the same.
                Step::Silent => self.events = None,
                Step::Heartbeat => self.waiting.push_back(":\n\n".to_owned()),
                Step::Stop => {
                    self.waiting.push_back(event(&json!({ "event": "stopping", "job": self.job })));
                    self.is_over = true;
                }
            }
        }
    }

    async fn step(&mut self) -> Step {
        let events = async {
            match &mut self.events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|is_stopping| *is_stopping) => Step::Stop,
            events = events => events.map_or(Step::Silent, Step::Events),
            _ = self.look.tick() => Step::Look,
            _ = self.heartbeat.tick() => Step::Heartbeat,
        }
    }

    /// Its own progress is told from the ledger, which is the truth; an end is looked up at once.
    async fn tell(&mut self, events: Vec<Value>) {
        let id = self.job.to_string();
        let mut has_ended = false;
        let mut text = String::new();
        for told in events {
            let job = &told["job"];
            let is_ours = job.is_null() || *job == id.as_str();
            match told["event"].as_str() {
                Some("progress") => {}
                Some("job_ended") => has_ended |= is_ours,
                _ if is_ours => text.push_str(&event(&told)),
                _ => {}
            }
        }
        if !text.is_empty() {
            self.waiting.push_back(text);
        }
        if has_ended {
            self.look_at_ledger().await;
        }
    }

    async fn look_at_ledger(&mut self) {
        match self.service.job_by_id(self.job).await {
            Ok(record) => self.told_of(record),
            Err(error) => self.fail(&error),
        }
    }

    fn told_of(&mut self, record: JobRecord) {
        if self.told != Some(record.counters) {
            self.told = Some(record.counters);
            let mut progress = json!(record.counters);
            progress["event"] = "progress".into();
            progress["job"] = self.job.to_string().into();
            progress["state"] = record.state.code().into();
            self.waiting.push_back(event(&progress));
        }
        let is_final =
            matches!(record.state, argiope_protocol::JobState::Finished | argiope_protocol::JobState::Cancelled);
        if is_final && record.counters.leased == 0 {
            self.waiting.push_back(event(&json!({ "event": "end", "job": JobView::from(record) })));
            self.is_over = true;
        }
    }

    /// A store that is away for a moment is no end; a job that is gone is.
    fn fail(&mut self, error: &CliError) {
        if error.code == ErrorCode::UnknownJob {
            self.is_over = true;
        } else {
            tracing::debug!(job = %self.job, %error, "job ledger not readable, looking again");
        }
    }
}

/// JSON has no line breaks outside of strings, and none in them, so one data line holds it.
fn event(data: &Value) -> String {
    let name = data["event"].as_str().unwrap_or("message");
    format!("event: {name}\ndata: {data}\n\n")
}

/// Reads a stream: whole events come out as the JSON of their data.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    line: Vec<u8>,
}

/// Bytes of one event; one with a job's whole record is far below.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

impl Reader {
    /// Adds bytes and answers the events that they complete. Comments and names are passed over.
    ///
    /// # Errors
    /// When an event is too long or no JSON.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Value>> {
        let odd = |cause: String| CliError::new(ErrorCode::EndpointUnreachable, "the stream is odd").because(cause);
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > MAX_EVENT_BYTES {
                return Err(odd(format!("an event has more than {MAX_EVENT_BYTES} bytes")));
            }
            self.line.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                break;
            }
            let line = std::mem::take(&mut self.line);
            if let Some(data) = line.strip_prefix(b"data: ") {
                events.push(serde_json::from_slice(data).map_err(|error| odd(error.to_string()))?);
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written_however_they_are_cut() {
        let events = [json!({ "event": "progress", "n": 1 }), json!({ "event": "url", "url": "a\nb" })];
        let text = format!("{}:\n\n{}", event(&events[0]), event(&events[1]));
        for size in [1, 2, 7, text.len()] {
            let mut reader = Reader::default();
            let read: Vec<Value> = text.as_bytes().chunks(size).flat_map(|bytes| reader.read(bytes).unwrap()).collect();
            assert_eq!(read, events, "{size}");
        }
    }
}
