//! Prolongs the leases that this node works on.

use super::owner::Frontier;
use crate::support::now;
use crate::support::tasks::{self, TaskKind};
use argiope_protocol::messages::ShardCall;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::time::Duration;

/// The actor.
pub(crate) struct LeaseLives;

/// What it is started with.
#[derive(Clone)]
pub(crate) struct LivesArguments {
    /// Whose leases.
    pub(crate) frontier: Frontier,
    /// How long a lease holds.
    pub(crate) visibility: Duration,
}

/// Time to look.
pub(crate) struct Look;

impl ractor::Message for Look {}

impl Actor for LeaseLives {
    type Msg = Look;
    type State = LivesArguments;
    type Arguments = LivesArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Look>,
        arguments: LivesArguments,
    ) -> Result<LivesArguments, ActorProcessingErr> {
        drop(myself.send_interval(arguments.visibility / 6, || Look));
        Ok(arguments)
    }

    async fn handle(
        &self,
        _: ActorRef<Look>,
        _: Look,
        LivesArguments { frontier, visibility }: &mut LivesArguments,
    ) -> Result<(), ActorProcessingErr> {
        let deadline = now().after(*visibility);
        for (shard, tokens) in frontier.held().due(now(), *visibility / 2) {
            let frontier = frontier.clone();
            tasks::spawn(TaskKind::Own, async move {
                let call = ShardCall::Prolong { tokens: tokens.clone(), deadline };
                match frontier.ask(shard, call).await {
                    Ok(_) => frontier.held().prolonged(shard, &tokens, deadline),
                    // Asked again with the next look, as long as somebody works on them.
                    Err(error) => tracing::debug!(%shard, %error, "leases not prolonged yet"),
                }
            });
        }
        Ok(())
    }
}
