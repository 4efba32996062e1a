//! What fetcher, parser, embedder and writer have in common: an actor that starts one task for each message.
//!
//! The message holds credit, so the number of tasks is bounded by its edge. The actor itself never waits.

use super::tasks::{self, TaskKind};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

/// A stage's work on one message.
pub trait Stage: Send + Sync + 'static {
    /// What it takes.
    type Task: Message;
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// What its tasks are for.
    const KIND: TaskKind;
    /// Does the work. Whatever is dropped on the way gives credit and lease back.
    fn run(self: Arc<Self>, task: Self::Task) -> impl Future<Output = ()> + Send;
}

/// The actor of a stage.
pub struct StageActor<S>(PhantomData<fn() -> S>);

impl<S> Default for StageActor<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S: Stage> Actor for StageActor<S> {
    type Msg = S::Task;
    type State = Arc<S>;
    type Arguments = Arc<S>;

    async fn pre_start(&self, _: ActorRef<S::Task>, stage: Arc<S>) -> Result<Arc<S>, ActorProcessingErr> {
        Ok(stage)
    }

    async fn handle(&self, _: ActorRef<S::Task>, task: S::Task, stage: &mut Arc<S>) -> Result<(), ActorProcessingErr> {
        let stage = Arc::clone(stage);
        tasks::spawn(S::KIND, stage.run(task));
        Ok(())
    }
}
