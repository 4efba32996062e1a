//! One of 256 slots: claims it, keeps what its domains wait for, and starts and stops their actors.

use super::domain::{DomainActor, DomainArguments, DomainMessage};
use super::shard_core::{Core, Effect, Event};
use super::turn::TurnContext;
use crate::support::now;
use argiope_protocol::{Claim, Domain, Host, NodeName, ShardId, Timestamp};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    /// Time to prolong the claim.
    Renew,
    /// Look into the store for hosts with something to do.
    Reload,
}

impl ractor::Message for ShardMessage {}

/// The actor.
pub struct ShardActor;

/// What it is started with.
pub struct ShardArguments {
    /// Which shard.
    pub shard: ShardId,
    /// For whom.
    pub node: NodeName,
    /// How long its claim holds.
    pub ttl: Duration,
    /// The claim of the engine's start, which tells all shards to read their hosts once each has an owner. An actor
    /// that is started again has none: it claims anew and reads at once.
    pub first_claim: Option<Claim>,
    /// What its domains' turns need.
    pub context: TurnContext,
    /// Domains active on this node, over all shards.
    pub n_active: Arc<AtomicUsize>,
    /// How many may be.
    pub max_active: usize,
}

/// What it remembers.
pub struct State {
    arguments: ShardArguments,
    claim: Claim,
    core: Core,
    actors: BTreeMap<Domain, ActorRef<DomainMessage>>,
    by_id: BTreeMap<ActorId, Domain>,
    wake_at: Option<Timestamp>,
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
        let frontier = &arguments.context.frontier;
        let claim = match arguments.first_claim.clone() {
            Some(claim) => claim,
            None => {
                drop(myself.send_message(ShardMessage::Reload));
                frontier.claim(arguments.shard, &arguments.node, arguments.ttl).await?
            }
        };
        frontier.own(claim.clone(), myself.clone());
        drop(myself.send_after(arguments.ttl / 3, || ShardMessage::Renew));
        Ok(State {
            arguments,
            claim,
            core: Core::default(),
            actors: BTreeMap::new(),
            by_id: BTreeMap::new(),
            wake_at: None,
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
            ShardMessage::Renew => return state.renew(&myself).await,
            ShardMessage::Reload => state.reload().await?,
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
            Effect::Reload => drop(myself.send_after(Duration::from_secs(1), || ShardMessage::Reload)),
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

    async fn renew(&mut self, myself: &ActorRef<ShardMessage>) -> Result<(), ActorProcessingErr> {
        self.claim = self.arguments.context.frontier.store().renew(&self.claim, self.arguments.ttl, now()).await?;
        self.arguments.context.frontier.own(self.claim.clone(), myself.clone());
        drop(myself.send_after(self.arguments.ttl / 3, || ShardMessage::Renew));
        Ok(())
    }

    async fn reload(&self) -> Result<Event, ActorProcessingErr> {
        let hosts = self.arguments.context.frontier.store().hosts(&self.claim, now()).await?;
        Ok(Event::Ready(hosts.into_iter().map(|summary| (summary.host, summary.not_before)).collect()))
    }
}
