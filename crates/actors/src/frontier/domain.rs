//! A domain with something to do now: translates messages for its core and starts turns as tasks.

use super::domain_core::{Cleared, Core, Effect, Event, Turn};
use super::shard::ShardMessage;
use super::slot::Health;
use super::turn::{TurnContext, take_turn};
use crate::support::now;
use crate::support::tasks::{self, TaskKind};
use argiope_protocol::{Domain, Host, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::BTreeMap;

/// To a domain's actor.
pub enum DomainMessage {
    /// A host may have something to do.
    Ready(Host),
    /// A turn ended.
    TurnEnded(Host, EndedTurn),
    /// A request is about to be handed to the fetcher.
    SlotTaken(Host),
    /// A request's exchange is over.
    SlotFreed {
        /// The host.
        host: Host,
        /// What the exchange said about it.
        health: Health,
    },
    /// The timer ran out.
    Wake,
}

/// How a turn ended; opaque outside of the frontier.
pub struct EndedTurn(pub(super) Turn);

impl ractor::Message for DomainMessage {}

pub(super) struct DomainActor;

pub(super) struct DomainArguments {
    pub(super) domain: Domain,
    pub(super) shard: ActorRef<ShardMessage>,
    pub(super) context: TurnContext,
}

pub(super) struct State {
    arguments: DomainArguments,
    core: Core,
    /// `Ready` messages seen: the shard lets the actor go only when it sent no more.
    n_ready: u64,
    wake_at: Option<Timestamp>,
}

impl Actor for DomainActor {
    type Msg = DomainMessage;
    type State = State;
    type Arguments = DomainArguments;

    async fn pre_start(
        &self,
        _: ActorRef<DomainMessage>,
        arguments: DomainArguments,
    ) -> Result<State, ActorProcessingErr> {
        arguments.context.frontier.metrics().active_domains(1);
        Ok(State { arguments, core: Core::default(), n_ready: 0, wake_at: None })
    }

    async fn post_stop(&self, _: ActorRef<DomainMessage>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.arguments.context.frontier.metrics().active_domains(-1);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<DomainMessage>,
        message: DomainMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = state.translate(message);
        let per_host = state.arguments.context.jobs.manners().per_host;
        for effect in state.core.on(event, per_host, now()) {
            state.perform(&myself, effect);
        }
        Ok(())
    }
}

impl State {
    fn translate(&mut self, message: DomainMessage) -> Event {
        match message {
            DomainMessage::Ready(host) => {
                self.n_ready += 1;
                Event::Ready(host)
            }
            DomainMessage::TurnEnded(host, EndedTurn(turn)) => Event::TurnEnded(host, turn),
            DomainMessage::SlotTaken(host) => Event::SlotTaken(host),
            DomainMessage::SlotFreed { host, health } => Event::SlotFreed(host, health),
            DomainMessage::Wake => {
                self.wake_at = None;
                Event::Wake
            }
        }
    }

    fn perform(&mut self, myself: &ActorRef<DomainMessage>, effect: Effect) {
        match effect {
            Effect::TakeTurn(host, room, cleared) => {
                start_turn(self.arguments.context.clone(), myself.clone(), host, room, cleared);
            }
            Effect::Block(host, until) => {
                let frontier = self.arguments.context.frontier.clone();
                tasks::spawn(TaskKind::Turn, async move {
                    if let Err(error) = frontier.block_host(&host, until).await
                        && !frontier.is_told(&error)
                    {
                        tracing::warn!(%host, %error, "host not parked");
                    }
                });
            }
            Effect::WakeAt(at) => self.wake_at(myself, at),
            Effect::Passivate(waiting) => self.passivate(waiting),
        }
    }

    fn wake_at(&mut self, myself: &ActorRef<DomainMessage>, at: Timestamp) {
        if self.wake_at.is_none_or(|set| at < set) {
            self.wake_at = Some(at);
            drop(myself.send_after(at.since(now()), || DomainMessage::Wake));
        }
    }

    fn passivate(&self, waiting: BTreeMap<Host, Timestamp>) {
        let message = ShardMessage::Idle { domain: self.arguments.domain.clone(), n_ready: self.n_ready, waiting };
        drop(self.arguments.shard.send_message(message));
    }
}

/// The turn's end is told even when the turn panics, so that the host does not stay in its turn for ever.
fn start_turn(context: TurnContext, myself: ActorRef<DomainMessage>, host: Host, room: u16, cleared: Cleared) {
    struct Ending {
        actor: ActorRef<DomainMessage>,
        host: Host,
        turn: Turn,
    }
    impl Drop for Ending {
        fn drop(&mut self) {
            drop(self.actor.send_message(DomainMessage::TurnEnded(self.host.clone(), EndedTurn(self.turn))));
        }
    }
    tasks::spawn(TaskKind::Turn, async move {
        let mut ending = Ending { actor: myself.clone(), host: host.clone(), turn: Turn::Trouble };
        ending.turn = take_turn(&context, &myself, &host, room, cleared).await;
    });
}
