//! The root of the tree. Which failure is forgiven is decided by `support::restart`.

use crate::event::Event;
use crate::metrics::{EdgeMetrics, Metrics};
use crate::support::restart::{ProgressWatch, RestartPolicy, Verdict};
use crate::support::{Edge, now};
use futures_util::future::BoxFuture;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent, call_t,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::broadcast;

/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Longest a child's start may take.
const START_DEADLINE_MS: u64 = 30_000;

/// Starts a child under the given supervisor.
type Starter = Box<dyn Fn(ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync>;

/// The edge by which a child's progress is judged.
pub struct Watched {
    /// The edge.
    pub edge: Edge,
    /// Its counter of finished work.
    pub metrics: EdgeMetrics,
}

/// A child to be started.
pub struct Child {
    /// Its name in logs and metrics: a closed set.
    name: &'static str,
    /// How it is started, each time.
    starter: Starter,
    /// By what it is judged stuck; `None` for children that may be idle with work.
    watched: Option<Watched>,
    /// Whether an orderly end is the end of it (jobs) or a failure (stages).
    may_end: bool,
}

impl Child {
    /// A child whose actor is started, each time, with a copy of these arguments, and then handed to `started`.
    pub fn new<A>(
        name: &'static str,
        actor: fn() -> A,
        arguments: A::Arguments,
        started: impl Fn(&ActorRef<A::Msg>) + Clone + Send + Sync + 'static,
    ) -> Self
    where
        A: Actor,
        A::Arguments: Clone + Sync,
    {
        let starter: Starter = Box::new(move |supervisor| {
            let (arguments, started) = (arguments.clone(), started.clone());
            Box::pin(async move {
                let (actor, _) = Actor::spawn_linked(None, actor(), arguments, supervisor).await?;
                started(&actor);
                Ok(actor.get_cell())
            })
        });
        Self { name, starter, watched: None, may_end: false }
    }

    /// Judged stuck by this.
    #[must_use]
    pub fn watched(self, by: Watched) -> Self {
        Self { watched: Some(by), ..self }
    }

    /// An orderly end is the end of it.
    #[must_use]
    pub fn that_may_end(self) -> Self {
        Self { may_end: true, ..self }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Has the supervisor start it, and waits until it runs.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn start(self, supervisor: &ActorRef<SupervisorMessage>) -> Result<(), String> {
        let started = call_t!(supervisor, SupervisorMessage::Start, START_DEADLINE_MS, self);
        started.map_err(|error| error.to_string())?
    }
}

/// To the supervisor.
pub enum SupervisorMessage {
    /// Start a child; answers when it runs.
    Start(Child, RpcReplyPort<Result<(), String>>),
    /// The back-off of a child is over.
    Again(u64),
    /// Time to look at progress.
    Look,
}

impl ractor::Message for SupervisorMessage {}

/// The actor.
pub struct Supervisor;

/// What it is started with.
pub struct SupervisorArguments {
    /// Where restarts are counted.
    pub metrics: Metrics,
    /// Where they are told.
    pub events: broadcast::Sender<Event>,
    /// When a stage without progress is stuck.
    pub stuck_after: Duration,
}

struct Kept {
    child: Child,
    policy: RestartPolicy,
    watch: ProgressWatch,
    cell: Option<ActorCell>,
}

/// What it remembers.
pub struct State {
    arguments: SupervisorArguments,
    children: BTreeMap<u64, Kept>,
    by_id: BTreeMap<ActorId, u64>,
    n_started: u64,
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        arguments: SupervisorArguments,
    ) -> Result<State, ActorProcessingErr> {
        drop(myself.send_interval(LOOK_EVERY, || SupervisorMessage::Look));
        Ok(State { arguments, children: BTreeMap::new(), by_id: BTreeMap::new(), n_started: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Start(child, reply) => {
                let number = state.n_started;
                state.n_started += 1;
                state.children.insert(
                    number,
                    Kept { child, policy: RestartPolicy::default(), watch: ProgressWatch::new(now()), cell: None },
                );
                let outcome = state.start(&myself, number).await;
                if outcome.is_err() {
                    state.children.remove(&number);
                }
                // Who asked may have given up.
                let _ = reply.send(outcome);
            }
            SupervisorMessage::Again(number) => {
                if let Err(error) = state.start(&myself, number).await {
                    tracing::error!(%error, "child not started again");
                    state.failed(&myself, number);
                }
            }
            SupervisorMessage::Look => state.look(),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, ..) => state.ended(&myself, &who, None),
            SupervisionEvent::ActorFailed(who, error) => state.ended(&myself, &who, Some(error)),
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }
}

impl State {
    async fn start(&mut self, myself: &ActorRef<SupervisorMessage>, number: u64) -> Result<(), String> {
        let Some(kept) = self.children.get_mut(&number) else { return Ok(()) };
        let cell = (kept.child.starter)(myself.get_cell()).await.map_err(|error| error.to_string())?;
        self.by_id.insert(cell.get_id(), number);
        kept.cell = Some(cell);
        kept.watch = ProgressWatch::new(now());
        Ok(())
    }

    fn ended(&mut self, myself: &ActorRef<SupervisorMessage>, who: &ActorCell, error: Option<ActorProcessingErr>) {
        let Some(number) = self.by_id.remove(&who.get_id()) else { return };
        let Some(kept) = self.children.get_mut(&number) else { return };
        kept.cell = None;
        match error {
            None if kept.child.may_end => drop(self.children.remove(&number)),
            error => {
                tracing::error!(
                    stage = kept.child.name,
                    error = error.map(|error| error.to_string()),
                    "stage ended, it is started again"
                );
                self.failed(myself, number);
            }
        }
    }

    fn failed(&mut self, myself: &ActorRef<SupervisorMessage>, number: u64) {
        let Some(kept) = self.children.get_mut(&number) else { return };
        let stage = kept.child.name;
        self.arguments.metrics.restarted(stage);
        match kept.policy.on_failure(now()) {
            Verdict::RestartAfter(pause) => {
                let _ = self.arguments.events.send(Event::Restarted { stage });
                drop(myself.send_after(pause, move || SupervisorMessage::Again(number)));
            }
            Verdict::GiveUp => {
                tracing::error!(stage, "stage failed too often, the crawl stops");
                self.children.remove(&number);
                let _ = self.arguments.events.send(Event::GaveUp { stage });
            }
        }
    }

    /// A stage that has work and finishes none is killed; its end starts it again.
    fn look(&mut self) {
        let patience = self.arguments.stuck_after;
        for kept in self.children.values_mut() {
            let (Some(watched), Some(cell)) = (&kept.child.watched, &kept.cell) else { continue };
            let has_work = watched.edge.in_flight().items > 0;
            if kept.watch.is_stuck(watched.metrics.n_finished(), has_work, patience, now()) {
                tracing::error!(stage = kept.child.name, "no progress for {} s", patience.as_secs());
                cell.kill();
            }
        }
    }
}
