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

/// How often the ledger is read: a read of one record, no write.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The actor.
pub struct JobActor;

/// What it is started with.
pub struct JobArguments {
    /// The job.
    pub id: JobId,
    /// Where its ledger is.
    pub store: Arc<dyn FrontierStore>,
    /// The jobs that run; it takes itself out when it ends.
    pub jobs: Jobs,
    /// Where progress is told.
    pub events: broadcast::Sender<Event>,
}

/// Time to look at the ledger.
pub struct Look;

impl ractor::Message for Look {}

/// What it remembers.
pub struct State {
    arguments: JobArguments,
    last: Option<JobCounters>,
}

impl Actor for JobActor {
    type Msg = Look;
    type State = State;
    type Arguments = JobArguments;

    async fn pre_start(&self, myself: ActorRef<Look>, arguments: JobArguments) -> Result<State, ActorProcessingErr> {
        myself.send_after(LOOK_EVERY, || Look);
        Ok(State { arguments, last: None })
    }

    async fn handle(&self, myself: ActorRef<Look>, _: Look, state: &mut State) -> Result<(), ActorProcessingErr> {
        match look(state).await {
            Ok(true) => myself.stop(Some("the job ended".to_owned())),
            Ok(false) => drop(myself.send_after(LOOK_EVERY, || Look)),
            Err(error) => {
                tracing::warn!(job = %state.arguments.id, %error, "job ledger not readable, looking again");
                drop(myself.send_after(LOOK_EVERY * 10, || Look));
            }
        }
        Ok(())
    }
}

/// Reads the ledger and tells what changed; `true` when the job does not go on.
async fn look(state: &mut State) -> argiope_store::Result<bool> {
    let JobArguments { id, store, jobs, events } = &state.arguments;
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
        // Resumed between the look and the removal: whoever resumed it found it known, so it stays so and is watched on.
        if store.job(*id).await?.state == JobState::Running {
            runtime.into_iter().for_each(|runtime| jobs.insert(runtime));
            return Ok(false);
        }
        let _ = events.send(Event::JobEnded { job: *id, state: record.state, counters: record.counters });
    }
    Ok(is_over)
}
