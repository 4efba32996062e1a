//! One of 256 slots, while this node owns it: keeps what its domains wait for, and starts and stops their actors.

use super::domain::{DomainActor, DomainArguments, DomainMessage};
use super::shard_core::{Core, Effect, Event};
use super::turn::TurnContext;
use crate::support::now;
use argiope_protocol::{Domain, Host, ShardId, Timestamp};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Pause before the store is read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// To a shard's actor.
pub enum ShardMessage {
    /// Hosts may have something to do.
    Ready(Vec<Host>),
    /// A domain's actor has nothing to do soon.
    Idle {
        /// The domain.
        domain: Domain,
        /// How many `Ready` it saw.
        n_ready: u64,
        /// What its hosts wait for.
        waiting: BTreeMap<Host, Timestamp>,
    },
    /// The timer ran out.
    Wake,
    /// Look into the store for hosts with something to do.
    Reload,
}

impl ractor::Message for ShardMessage {}

/// The actor.
pub struct ShardActor;

/// What it is started with.
#[derive(Clone)]
pub struct ShardArguments {
    /// Which shard.
    pub shard: ShardId,
    /// What its domains' turns need.
    pub context: TurnContext,
    /// Domains active on this node, over all shards.
    pub n_active: Arc<AtomicUsize>,
    /// How many may be.
    pub max_active: usize,
    /// How often the store is read again: where others hold leases, they come back without a word. `None`: never.
    pub reload_every: Option<Duration>,
}

/// What it remembers.
pub struct State {
    arguments: ShardArguments,
    core: Core,
    actors: BTreeMap<Domain, ActorRef<DomainMessage>>,
    by_id: BTreeMap<ActorId, Domain>,
    wake_at: Option<Timestamp>,
    /// Whether a look at the store that failed is to be repeated.
    is_reload_due: bool,
}

impl Actor for ShardActor {
    type Msg = ShardMessage;
    type State = State;
    type Arguments = ShardArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ShardMessage>,
        arguments: ShardArguments,
    ) -> Result<State, ActorProcessingErr> {
        if !arguments.context.frontier.attach(arguments.shard, myself.clone()) {
            myself.stop(Some("the shard has another owner".to_owned()));
        }
        drop(myself.send_message(ShardMessage::Reload));
        if let Some(every) = arguments.reload_every {
            drop(myself.send_interval(every, || ShardMessage::Reload));
        }
        Ok(State {
            arguments,
            core: Core::default(),
            actors: BTreeMap::new(),
            by_id: BTreeMap::new(),
            wake_at: None,
            is_reload_due: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<ShardMessage>,
        message: ShardMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = match message {
            ShardMessage::Ready(hosts) => Event::Ready(hosts.into_iter().map(|host| (host, now())).collect()),
            ShardMessage::Idle { domain, n_ready, waiting } => Event::Idle { domain, n_ready, waiting },
            ShardMessage::Wake => {
                state.wake_at = None;
                Event::Wake
            }
            ShardMessage::Reload => match state.reload(&myself).await {
                Some(event) => event,
                None => return Ok(()),
            },
        };
        state.run(&myself, event).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ShardMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (SupervisionEvent::ActorTerminated(who, ..) | SupervisionEvent::ActorFailed(who, _)) = &event else {
            return Ok(());
        };
        let Some(domain) = state.by_id.remove(&who.get_id()) else { return Ok(()) };
        state.arguments.n_active.fetch_sub(1, Ordering::Relaxed);
        if let SupervisionEvent::ActorFailed(_, error) = &event {
            tracing::error!(%domain, %error, "domain actor failed, its hosts are read from the store again");
        }
        // A domain that was stopped on purpose, and perhaps activated anew, is not lost.
        if state.actors.get(&domain).is_some_and(|actor| actor.get_id() == who.get_id()) {
            state.actors.remove(&domain);
            return state.run(&myself, Event::Lost(domain)).await;
        }
        Ok(())
    }
}

impl State {
    async fn run(&mut self, myself: &ActorRef<ShardMessage>, event: Event) -> Result<(), ActorProcessingErr> {
        let n_free = self.arguments.max_active.saturating_sub(self.arguments.n_active.load(Ordering::Relaxed));
        for effect in self.core.on(event, n_free, now()) {
            self.perform(myself, effect).await?;
        }
        Ok(())
    }

    async fn perform(&mut self, myself: &ActorRef<ShardMessage>, effect: Effect) -> Result<(), ActorProcessingErr> {
        match effect {
            Effect::Activate(domain) => self.activate(myself, domain).await?,
            Effect::Forward(domain, host) => {
                if let Some(actor) = self.actors.get(&domain) {
                    drop(actor.send_message(DomainMessage::Ready(host)));
                }
            }
            Effect::Stop(domain) => {
                if let Some(actor) = self.actors.remove(&domain) {
                    actor.stop(Some("nothing to do soon".to_owned()));
                }
            }
            Effect::WakeAt(at) => {
                if self.wake_at.is_none_or(|set| at < set) {
                    self.wake_at = Some(at);
                    drop(myself.send_after(at.since(now()), || ShardMessage::Wake));
                }
            }
            Effect::Reload => drop(myself.send_after(RELOAD_PAUSE, || ShardMessage::Reload)),
        }
        Ok(())
    }

    async fn activate(&mut self, myself: &ActorRef<ShardMessage>, domain: Domain) -> Result<(), ActorProcessingErr> {
        let arguments =
            DomainArguments { domain: domain.clone(), shard: myself.clone(), context: self.arguments.context.clone() };
        let (actor, _) = Actor::spawn_linked(None, DomainActor, arguments, myself.get_cell()).await?;
        self.arguments.n_active.fetch_add(1, Ordering::Relaxed);
        self.by_id.insert(actor.get_id(), domain.clone());
        self.actors.insert(domain, actor);
        Ok(())
    }

    /// What the store has; nothing when it does not answer, then it is asked again.
    async fn reload(&mut self, myself: &ActorRef<ShardMessage>) -> Option<Event> {
        self.is_reload_due = false;
        let ShardArguments { shard, context, .. } = &self.arguments;
        match context.frontier.hosts(*shard).await {
            Ok(hosts) => {
                Some(Event::Ready(hosts.into_iter().map(|summary| (summary.host, summary.not_before)).collect()))
            }
            Err(error) => {
                tracing::debug!(%shard, %error, "hosts not read, trying again");
                if !std::mem::replace(&mut self.is_reload_due, true) {
                    drop(myself.send_after(RELOAD_PAUSE, || ShardMessage::Reload));
                }
                None
            }
        }
    }
}
