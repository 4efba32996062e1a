//! Does what the core decides: each call of the store is a task that answers with a message.

use super::core::{Core, Effect, Event};
use super::floor::EpochFloor;
use crate::frontier::{Frontier, ShardActor, ShardArguments, TurnContext};
use crate::supervisor::{Child, SupervisorMessage};
use crate::support::now;
use crate::support::tasks::{self, TaskKind};
use argiope_protocol::{Claim, Epoch, NodeName, ShardId};
use argiope_store::Error;
use futures_util::{StreamExt, stream};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// How much earlier than in the store a claim stops counting here: more than any start window, and room for a clock that
/// is a little slow.
const MARGIN: Duration = Duration::from_millis(750);
/// Renewals that are out at once.
const RENEWALS_AT_ONCE: usize = 32;
/// Longest a handed over shard waits for what is under way: an exchange's total deadline and more.
const MAX_RETIRING_WAIT: Duration = Duration::from_secs(60);
const RETIRING_LOOK: Duration = Duration::from_millis(20);

/// To the actor.
pub enum OwnershipMessage {
    /// The nodes that own shards, or should.
    Nodes(BTreeSet<NodeName>),
    /// The store restarted or failed over.
    Void,
    /// Hand over everything; answered when nothing is owned any more.
    Leave(RpcReplyPort<()>),
    /// Time to renew.
    Tick,
    /// A task ended.
    Done(Outcome),
    /// All renewals were answered.
    Renewed,
}

/// How a task ended; opaque outside of here.
pub struct Outcome(Event);

impl ractor::Message for OwnershipMessage {}

/// The actor.
pub struct Ownership;

/// What it is started with.
#[derive(Clone)]
pub struct OwnershipArguments {
    /// For whom.
    pub node: NodeName,
    /// How long a claim holds without renewal.
    pub ttl: Duration,
    /// Whether claims count on this node's clock only: a store of a cluster. Else the node is alone and owns everything.
    pub is_shared: bool,
    /// Who starts the shards' actors.
    pub supervisor: ActorRef<SupervisorMessage>,
    /// Keeps epochs above those of what is stored.
    pub floor: EpochFloor,
    /// What shards need.
    pub shards: ShardContext,
}

/// What shards need. Cheap to clone.
#[derive(Clone)]
pub struct ShardContext {
    /// What turns need.
    pub turns: TurnContext,
    /// Domains active on this node.
    pub n_active: Arc<AtomicUsize>,
    /// How many may be.
    pub max_active: usize,
    /// How often a shard's store is read again.
    pub reload_every: Option<Duration>,
}

/// What it remembers.
pub struct State {
    arguments: OwnershipArguments,
    core: Core,
    is_renewing: bool,
    leaving: Vec<RpcReplyPort<()>>,
}

impl Actor for Ownership {
    type Msg = OwnershipMessage;
    type State = State;
    type Arguments = OwnershipArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<OwnershipMessage>,
        arguments: OwnershipArguments,
    ) -> Result<State, ActorProcessingErr> {
        let OwnershipArguments { node, ttl, is_shared, shards, .. } = &arguments;
        let core = if *is_shared {
            // Left by an actor that failed: claimed anew.
            let frontier = &shards.turns.frontier;
            frontier.claims().iter().for_each(|claim| drop(frontier.give_up(claim.shard)));
            Core::new(node.clone(), *ttl)
        } else {
            Core::alone(node.clone(), *ttl)
        };
        drop(myself.send_interval(*ttl / 5, || OwnershipMessage::Tick));
        Ok(State { arguments, core, is_renewing: false, leaving: Vec::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<OwnershipMessage>,
        message: OwnershipMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = match message {
            OwnershipMessage::Nodes(nodes) => Event::Nodes(nodes),
            OwnershipMessage::Void => {
                state.frontier().forget_known();
                Event::Void
            }
            OwnershipMessage::Leave(reply) => {
                state.leaving.push(reply);
                Event::Leave
            }
            OwnershipMessage::Tick => {
                state.renew(&myself);
                Event::Tick
            }
            OwnershipMessage::Done(Outcome(event)) => event,
            OwnershipMessage::Renewed => {
                state.is_renewing = false;
                return Ok(());
            }
        };
        for effect in state.core.on(event, now()) {
            state.perform(&myself, effect);
        }
        state.frontier().metrics().shards_owned(state.frontier().n_shards());
        state.tell_when_empty();
        Ok(())
    }
}

impl State {
    fn frontier(&self) -> &Frontier {
        &self.arguments.shards.turns.frontier
    }

    fn tell_when_empty(&mut self) {
        if self.core.is_empty() {
            // Who asked may have given up.
            self.leaving.drain(..).for_each(|reply| drop(reply.send(())));
        }
    }

    fn perform(&self, myself: &ActorRef<OwnershipMessage>, effect: Effect) {
        let (myself, frontier) = (myself.clone(), self.frontier().clone());
        let answer = move |event| drop(myself.send_message(OwnershipMessage::Done(Outcome(event))));
        match effect {
            Effect::Claim(shard, least) => {
                let arguments = self.arguments.clone();
                tasks::spawn(TaskKind::Own, async move {
                    answer(Event::Claimed(shard, take(&arguments, shard, least).await));
                });
            }
            Effect::Retire(shard) => {
                frontier.retire(shard);
                tasks::spawn(TaskKind::Own, async move {
                    let until = Instant::now() + MAX_RETIRING_WAIT;
                    while frontier.is_busy(shard) && Instant::now() < until {
                        tokio::time::sleep(RETIRING_LOOK).await;
                    }
                    answer(Event::Retired(shard));
                });
            }
            Effect::Release(shard) => {
                tasks::spawn(TaskKind::Own, async move {
                    if let Some(claim) = frontier.give_up(shard)
                        && let Err(error) = frontier.store().release(&claim).await
                    {
                        tracing::warn!(%shard, %error, "claim not given up, it runs out by itself");
                    }
                    answer(Event::Released(shard));
                });
            }
            Effect::Drop(shard) => {
                if frontier.give_up(shard).is_some() {
                    frontier.metrics().shard_lost();
                    tracing::warn!(%shard, "the shard is not this node's any more");
                }
            }
        }
    }

    /// Prolongs all claims; the next tick waits for the answers of this one.
    fn renew(&mut self, myself: &ActorRef<OwnershipMessage>) {
        self.frontier().lent().expire(Instant::now());
        if std::mem::replace(&mut self.is_renewing, true) {
            return;
        }
        let (myself, arguments) = (myself.clone(), self.arguments.clone());
        let claims = self.frontier().claims();
        tasks::spawn(TaskKind::Own, async move {
            let renewals = claims.iter().map(|claim| renew(&arguments, claim));
            let mut lost = stream::iter(renewals).buffer_unordered(RENEWALS_AT_ONCE).boxed();
            while let Some(lost) = lost.next().await {
                if let Some(shard) = lost {
                    drop(myself.send_message(OwnershipMessage::Done(Outcome(Event::Lost(shard)))));
                }
            }
            drop(myself.send_message(OwnershipMessage::Renewed));
        });
    }
}

/// Until when a claim that was asked for then counts on this node's clock.
fn good_until(arguments: &OwnershipArguments, asked: Instant) -> Option<Instant> {
    arguments.is_shared.then(|| asked + arguments.ttl.saturating_sub(MARGIN))
}

/// Prolongs a claim; answers its shard when it is somebody else's.
async fn renew(arguments: &OwnershipArguments, claim: &Claim) -> Option<ShardId> {
    let frontier = &arguments.shards.turns.frontier;
    let asked = Instant::now();
    match frontier.store().renew(claim, arguments.ttl, now()).await {
        Ok(renewed) => {
            frontier.prolong(&renewed, good_until(arguments, asked));
            None
        }
        Err(Error::Fenced(_)) => {
            // A handed over shard is given up before its renewal is answered.
            frontier.holds(claim).then_some(claim.shard)
        }
        Err(error) => {
            tracing::debug!(shard = %claim.shard, %error, "claim not renewed yet");
            None
        }
    }
}

/// Claims a shard and starts its actor.
async fn take(arguments: &OwnershipArguments, shard: ShardId, least: Epoch) -> Option<Epoch> {
    let frontier = &arguments.shards.turns.frontier;
    let asked = Instant::now();
    let least = arguments.floor.least(least);
    let claim = match frontier.store().claim(shard, &arguments.node, arguments.ttl, least, now()).await {
        Ok(claim) => claim?,
        Err(error) => {
            tracing::debug!(%shard, %error, "shard not claimed yet");
            return None;
        }
    };
    let epoch = claim.epoch;
    if let Err(error) = arguments.floor.cover(epoch).await {
        tracing::warn!(%shard, %error, "the pages do not take note of the shard's epoch, the claim is given up");
        drop(frontier.store().release(&claim).await);
        return None;
    }
    keep_leases(&arguments.shards.turns, &claim).await;
    frontier.own(claim, good_until(arguments, asked));
    if let Err(error) = start_shard(&arguments.supervisor, shard, &arguments.shards).await {
        tracing::error!(%shard, error, "the shard's actor does not start, the claim is given up");
        if let Some(claim) = frontier.give_up(shard) {
            drop(frontier.store().release(&claim).await);
        }
        return None;
    }
    Some(epoch)
}

/// After an outage of the store the leases that are still worked on here have perhaps run out: before the first turn of
/// the shard could give them to somebody else they are prolonged.
async fn keep_leases(turns: &TurnContext, claim: &Claim) {
    let tokens = turns.frontier.held().of(claim.shard);
    if tokens.is_empty() {
        return;
    }
    let deadline = now().after(turns.visibility);
    match turns.frontier.store().prolong(claim, tokens.clone(), deadline).await {
        Ok(_) => turns.frontier.held().prolonged(claim.shard, &tokens, deadline),
        Err(error) => tracing::debug!(shard = %claim.shard, %error, "leases not prolonged after a claim"),
    }
}

/// Starts the actor of a shard that is ours.
///
/// # Errors
/// What the supervisor said.
pub(crate) async fn start_shard(
    supervisor: &ActorRef<SupervisorMessage>,
    shard: ShardId,
    context: &ShardContext,
) -> Result<(), String> {
    let ShardContext { turns, n_active, max_active, reload_every } = context.clone();
    let arguments = ShardArguments { shard, context: turns, n_active, max_active, reload_every };
    Child::new("shard", || ShardActor, arguments, |_| ()).that_may_end().start(supervisor).await
}
