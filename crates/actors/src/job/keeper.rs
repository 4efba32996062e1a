//! Learns of jobs that other nodes made, changed or stopped: reads the list of running jobs again and again.

use super::watch::JobContext;
use crate::support::now;
use crate::support::tasks::{self, TaskKind};
use argiope_protocol::JobId;
use argiope_store::frontier::RunningJob;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::BTreeMap;
use std::time::Duration;

/// A job so young is still being offered its seeds and known pages by the node that took it: ended now, it would miss them.
const YOUNG: Duration = Duration::from_secs(10);

/// The actor.
pub struct JobKeeper;

/// What it is started with.
#[derive(Clone)]
pub struct KeeperArguments {
    /// What jobs need.
    pub context: JobContext,
    /// Whether this node watches ledgers, and ends jobs.
    pub watches: bool,
}

/// To the actor.
pub enum KeeperMessage {
    /// Time to look at the list.
    Look,
}

impl ractor::Message for KeeperMessage {}

/// What it remembers.
pub struct State {
    arguments: KeeperArguments,
    known: BTreeMap<JobId, RunningJob>,
    is_away: bool,
}

impl Actor for JobKeeper {
    type Msg = KeeperMessage;
    type State = State;
    type Arguments = KeeperArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<KeeperMessage>,
        arguments: KeeperArguments,
    ) -> Result<State, ActorProcessingErr> {
        drop(myself.send_message(KeeperMessage::Look));
        Ok(State { arguments, known: BTreeMap::new(), is_away: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<KeeperMessage>,
        _: KeeperMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match state.look().await {
            Ok(()) => state.is_away = false,
            Err(error) if !error.is_retryable() && !std::mem::replace(&mut state.is_away, true) => {
                tracing::warn!(%error, "running jobs not read, looking again");
            }
            Err(_) => {}
        }
        drop(myself.send_after(state.arguments.context.look_every, || KeeperMessage::Look));
        Ok(())
    }
}

impl State {
    async fn look(&mut self) -> argiope_store::Result<()> {
        let context = self.arguments.context.clone();
        let running = context.stores.frontier.running_jobs().await?;
        let gone = context.jobs.ids().into_iter().filter(|id| running.iter().all(|job| job.id != *id));
        for id in gone {
            // Whoever watches it takes it out when nothing of it is under way.
            context.jobs.stop(id);
            self.known.remove(&id);
            if !self.arguments.watches {
                context.jobs.remove(id);
            }
        }
        for job in running {
            let is_stopped = context.jobs.get(job.id).is_none_or(|known| known.is_stopped());
            if is_stopped || self.known.get(&job.id) != Some(&job) {
                self.take_note(&context, job).await?;
            }
        }
        Ok(())
    }

    async fn take_note(&mut self, context: &JobContext, job: RunningJob) -> argiope_store::Result<()> {
        let record = context.stores.frontier.job(job.id).await?;
        let before = self.known.get(&job.id).map(|known| known.version);
        let running = context.jobs.get(job.id).filter(|known| !known.is_stopped());
        match running {
            // Only the anchors changed: what the job learned of its sites stays.
            Some(runtime) if before == Some(job.version) => {
                for anchor in &record.anchors {
                    runtime.add_anchor(anchor);
                }
            }
            _ => {
                if let Err(error) = context.register(&record).await {
                    tracing::error!(job = %job.id, %error, "the job is not crawled by this node");
                    return Ok(());
                }
            }
        }
        let is_old = now().since(record.created_at) >= YOUNG;
        if self.arguments.watches && is_old {
            let context = context.clone();
            tasks::spawn(TaskKind::Watch, async move {
                let offered = context.offer_seeds(record.id, &record.spec).await;
                if let Err(error) = offered.and(context.watch(record.id).await) {
                    tracing::warn!(job = %record.id, %error, "the job is not watched yet");
                }
            });
        }
        if is_old || !self.arguments.watches {
            self.known.insert(job.id, job);
        }
        Ok(())
    }
}
