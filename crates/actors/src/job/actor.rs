//! Watches one job's ledger: tells its progress, and ends it when nothing is left to do.

use super::runtime::Jobs;
use crate::event::Event;
use crate::support::now;
use argiope_protocol::{JobCounters, JobId, JobState};
use argiope_store::FrontierStore;
use argiope_store::frontier::JobRecord;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Pause after the ledger could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The actor.
pub(super) struct JobActor;

/// What it is started with.
#[derive(Clone)]
pub(super) struct JobArguments {
    /// The job.
    pub(super) id: JobId,
    /// Where its ledger is.
    pub(super) store: Arc<dyn FrontierStore>,
    /// The jobs that run; it takes itself out when it ends.
    pub(super) jobs: Jobs,
    /// Where progress is told.
    pub(super) events: broadcast::Sender<Event>,
    /// How often the ledger is read.
    pub(super) look_every: Duration,
}

/// Time to look at the ledger.
pub(super) struct Look;

impl ractor::Message for Look {}

/// What it remembers.
pub(super) struct State {
    arguments: JobArguments,
    last: Option<JobCounters>,
}

impl Actor for JobActor {
    type Msg = Look;
    type State = State;
    type Arguments = JobArguments;

    async fn pre_start(&self, myself: ActorRef<Look>, arguments: JobArguments) -> Result<State, ActorProcessingErr> {
        myself.send_after(arguments.look_every, || Look);
        Ok(State { arguments, last: None })
    }

    async fn handle(&self, myself: ActorRef<Look>, _: Look, state: &mut State) -> Result<(), ActorProcessingErr> {
        let look_every = state.arguments.look_every;
        match look(state).await {
            Ok(true) => myself.stop(Some("the job ended".to_owned())),
            Ok(false) => drop(myself.send_after(look_every, || Look)),
            Err(error) => {
                // Those who lease from the store, or tell it of this node, say that it is away.
                if !error.is_retryable() {
                    tracing::warn!(job = %state.arguments.id, %error, "job ledger not readable, looking again");
                }
                drop(myself.send_after(PAUSE.max(look_every), || Look));
            }
        }
        Ok(())
    }
}

/// Reads the ledger and tells what changed; `true` when the job does not go on.
async fn look(state: &mut State) -> argiope_store::Result<bool> {
    let JobArguments { id, store, jobs, events, .. } = &state.arguments;
    let mut record: JobRecord = store.job(*id).await?;
    if record.state == JobState::Running && record.counters.is_finished() {
        record = store.finish_if_done(*id, now()).await?;
    }
    if state.last != Some(record.counters) {
        state.last = Some(record.counters);
        // Nobody listening is no error.
        let _ = events.send(Event::Progress { job: *id, counters: record.counters });
    }
    let is_over = record.state != JobState::Running && record.counters.leased == 0;
    if is_over {
        let runtime = jobs.get(*id);
        jobs.remove(*id);
        // Resumed between the look and the removal: whoever resumed it found it watched, so it stays so.
        if store.job(*id).await?.state == JobState::Running {
            runtime.into_iter().for_each(|runtime| jobs.insert(runtime));
            return Ok(false);
        }
        jobs.unwatch(*id);
        let _ = events.send(Event::JobEnded { job: *id, state: record.state, counters: record.counters });
    }
    Ok(is_over)
}
