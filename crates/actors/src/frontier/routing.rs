//! Who answers for a shard: this node's store, or another node over the link.

use super::holding::Owned;
use super::owner::Frontier;
use super::shard::ShardMessage;
use super::slot::Health;
use crate::support::now;
use argiope_protocol::messages::{ShardCall, ShardReply};
use argiope_protocol::{Host, LeaseToken, ShardId};
use argiope_store::frontier::SettleAnswer;
use argiope_store::{Error, Result, ServerFault};
use std::time::{Duration, Instant};

/// How long an owner is told that an exchange is over.
const PATIENCE_OF_RELEASES: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

impl Frontier {
    /// Asks the shard's owner until it answers, as long as that may help and patience lasts.
    pub(super) async fn insist(&self, shard: ShardId, call: ShardCall, patience: Duration) -> Result<ShardReply> {
        let until = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.ask(shard, call.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            // Alone, a shard without an owner stays without one.
            let may_pass = error.is_retryable() || (self.peers().is_some() && matches!(error, Error::Fenced(_)));
            if !may_pass || Instant::now() + pause > until {
                return Err(error);
            }
            tracing::debug!(%shard, %error, "the shard's owner does not answer, asking again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Asks the shard's owner once.
    pub(super) async fn ask(&self, shard: ShardId, call: ShardCall) -> Result<ShardReply> {
        match (self.holding().get(shard), self.peers()) {
            (Ok(owned), _) => self.perform(&owned, call).await,
            (Err(fenced), None) => Err(fenced),
            (Err(fenced), Some(peers)) => match peers.ask(shard, call).await? {
                ShardReply::NotOwner => Err(fenced),
                ShardReply::Unavailable { message } => {
                    Err(Error::Server { context: "ask the shard's owner", fault: ServerFault::Unavailable, message })
                }
                ShardReply::Refused { message } => {
                    Err(Error::Server { context: "ask the shard's owner", fault: ServerFault::Refused, message })
                }
                reply => Ok(reply),
            },
        }
    }

    /// Answers another node.
    pub async fn serve(&self, shard: ShardId, call: ShardCall) -> ShardReply {
        let Ok(owned) = self.holding().get(shard) else { return ShardReply::NotOwner };
        match self.perform(&owned, call).await {
            Ok(reply) => reply,
            Err(Error::Fenced(_)) => ShardReply::NotOwner,
            Err(error) if error.is_retryable() => ShardReply::Unavailable { message: error.to_string() },
            Err(error) => ShardReply::Refused { message: error.to_string() },
        }
    }

    /// Does what is asked of a shard of this node: durable first, then its actor is told.
    async fn perform(&self, owned: &Owned, call: ShardCall) -> Result<ShardReply> {
        let (store, metrics, claim) = (self.store(), self.metrics(), &owned.claim);
        Ok(match call {
            ShardCall::Admit { job, candidates, rejects } => {
                let admit = store.admit(claim, job, candidates, rejects, now());
                let report = metrics.timed("frontier", "admit", admit).await;
                self.admitted(claim.shard, report.as_ref().err());
                let report = report?;
                if !report.queued.is_empty() {
                    owned.tell(ShardMessage::Ready(report.queued.keys().cloned().collect()));
                }
                ShardReply::Admitted(report)
            }
            ShardCall::Settle { token, host, fate } => {
                let settle = store.settle(claim, token, fate, now());
                let answer = metrics.timed("frontier", "settle", settle).await?;
                if matches!(answer, SettleAnswer::Requeued { .. }) {
                    owned.tell(ShardMessage::Ready(vec![host]));
                }
                ShardReply::Settled(answer)
            }
            ShardCall::Defer { token, host, not_before } => {
                let answer = store.defer(claim, token, not_before, now()).await?;
                owned.tell(ShardMessage::Ready(vec![host]));
                ShardReply::Settled(answer)
            }
            ShardCall::Start { host, window, delay } => {
                ShardReply::Started(store.start(claim, &host, window, delay, now()).await?)
            }
            ShardCall::PushGate { host, until } => {
                store.push_gate(claim, &host, until).await?;
                ShardReply::Done
            }
            ShardCall::Prolong { tokens, deadline } => {
                store.prolong(claim, tokens, deadline).await?;
                ShardReply::Done
            }
            ShardCall::Released { host, token, health } => {
                self.lent().end(ShardId::of_host(&host), token, health);
                ShardReply::Done
            }
        })
    }

    /// Tells the owner that an exchange done for it is over; as long as it does not know, the host waits.
    pub(super) async fn released(&self, host: Host, token: LeaseToken, health: Health) {
        let shard = ShardId::of_host(&host);
        let call = ShardCall::Released { host, token, health };
        if let Err(error) = self.insist(shard, call, PATIENCE_OF_RELEASES).await {
            tracing::debug!(%shard, %error, "the owner does not know that an exchange is over; it will find out by itself");
        }
    }
}
