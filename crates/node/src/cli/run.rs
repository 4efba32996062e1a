//! Follows a job to its end: progress, events, Ctrl-C, summary. Shared by `crawl`, `resume`, `retry` and `demo`.

use super::summary::{Ending, scope_hint};
use super::{Context, output};
use crate::boot::Running;
use crate::errors::Result;
use argiope_protocol::{JobCounters, JobId};
use argiope_store::frontier::JobRecord;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the progress bar looks at the ledger.
const TICK: Duration = Duration::from_millis(500);
/// Events are printed together, this far apart: at 1,000 pages a second one by one they would wake a thread for each.
const EVENTS_REST: Duration = Duration::from_millis(50);

/// Follows the job, prints the summary, answers the exit status.
pub(crate) async fn to_the_end(running: &mut Running, job: JobId, context: &Context) -> Result<u8> {
    let ending = Box::pin(follow(running, job, context)).await?;
    context.output.text(ending.to_text(&context.place()));
    context.output.object(&ending.to_json(&context.place()));
    Ok(ending.exit_status())
}

/// What the loop met.
enum Step {
    Finished(Box<Result<JobRecord>>),
    Events(Option<Vec<serde_json::Value>>),
    Tick,
    Stop,
}

/// Follows the job until it has nothing left to do or the user stops it.
pub(crate) async fn follow(running: &mut Running, job: JobId, context: &Context) -> Result<Ending> {
    let began = Instant::now();
    let mut stop = Stop::new()?;
    let progress = Progress::new(context);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut has_events, mut rests_until) = (true, tokio::time::Instant::now());
    let mut hint = None;
    let waiter = running.waiter(job);
    tokio::pin!(waiter);
    loop {
        let step = tokio::select! {
            biased;
            () = stop.requested() => Step::Stop,
            ended = &mut waiter => Step::Finished(Box::new(ended)),
            events = next_events(running, rests_until), if has_events => Step::Events(events),
            _ = tick.tick() => Step::Tick,
        };
        match step {
            Step::Finished(record) => {
                tell(&running.pending_events(), job, context, &progress, &mut hint);
                progress.clear();
                running.write_metrics().await;
                let elapsed = began.elapsed();
                return Ok(Ending { record: (*record)?, is_interrupted: false, elapsed, scope_hint: hint });
            }
            Step::Events(Some(events)) => {
                tell(&events, job, context, &progress, &mut hint);
                rests_until = tokio::time::Instant::now() + EVENTS_REST;
            }
            Step::Events(None) => has_events = false,
            Step::Tick => {
                let record = running.stores.frontier.job(job).await?;
                progress.show(&record.counters);
            }
            Step::Stop => {
                progress.clear();
                drain(running, &mut stop, context.config.drain).await;
                let record = running.stores.frontier.job(job).await?;
                return Ok(Ending { record, is_interrupted: true, elapsed: began.elapsed(), scope_hint: hint });
            }
        }
    }
}

/// # Cancel
/// No event is lost: it is taken in the step that ends the future.
async fn next_events(running: &mut Running, not_before: tokio::time::Instant) -> Option<Vec<serde_json::Value>> {
    tokio::time::sleep_until(not_before).await;
    running.next_events().await
}

/// Prints events; what they say about the job's scope is for a person too.
pub(super) fn tell(
    events: &[serde_json::Value],
    job: JobId,
    context: &Context,
    progress: &Progress,
    hint: &mut Option<String>,
) {
    context.output.objects(events);
    if let Some(said) = events.iter().find_map(|event| scope_hint(event, job)) {
        progress.note(&format!("warning: {said}"));
        *hint = Some(said);
    }
}

/// Lets work in flight end; a second signal ends the process at once.
async fn drain(running: &mut Running, stop: &mut Stop, deadline: Duration) {
    let seconds = deadline.as_secs();
    output::note(format!("stopping: work in flight may take up to {seconds} s; press Ctrl-C again to abort"));
    let n_left = tokio::select! {
        n_left = running.drain(deadline) => n_left,
        () = stop.requested() => {
            output::note("aborted: what was in flight is fetched again by the next run");
            std::process::exit(130);
        }
    };
    match n_left {
        0 => output::note("drained: nothing is in flight"),
        n_left => output::note(format!("{n_left} pages did not end in time; they are fetched again by the next run")),
    }
}

/// Ctrl-C and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                crate::errors::CliError::new(argiope_protocol::ErrorCode::Internal, "signals cannot be listened to")
                    .because(error)
            })
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(super) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A progress bar, when there is a terminal to show it on.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(context: &Context) -> Self {
        if !context.output.shows_progress() {
            return Self(None);
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{spinner} [{elapsed}] {bar:30} {pos}/{len} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub(super) fn show(&self, counters: &JobCounters) {
        let Some(bar) = &self.0 else { return };
        let n_ended = counters.stored + counters.unchanged + counters.skipped + counters.failed;
        bar.set_length(counters.discovered);
        bar.set_position(n_ended);
        bar.set_message(format!(
            "stored {}  unchanged {}  skipped {}  failed {}  in flight {}",
            counters.stored, counters.unchanged, counters.skipped, counters.failed, counters.leased
        ));
    }

    fn note(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
