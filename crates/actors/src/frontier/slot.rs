//! A request's place among its host's requests.

use super::domain::DomainMessage;
use super::holding::Busy;
use super::owner::Frontier;
use crate::support::tasks::{self, TaskKind};
pub use argiope_protocol::messages::Health;
use argiope_protocol::{Host, LeaseToken};
use ractor::ActorRef;

/// Taken when a lease is handed to the fetcher; dropped when the exchange is over, whatever became of it.
pub struct HostSlot {
    host: Host,
    keeper: Keeper,
    health: Health,
}

/// Who counts the host's requests.
enum Keeper {
    /// The domain's actor of this node. While the request lasts its shard is not handed over.
    Here { domain: ActorRef<DomainMessage>, _busy: Busy },
    /// Another node, which lent the lease.
    There { frontier: Frontier, token: LeaseToken },
}

impl HostSlot {
    /// Counts the request at the domain's actor before it can end.
    pub(super) fn take(host: Host, domain: ActorRef<DomainMessage>, busy: Busy) -> Self {
        drop(domain.send_message(DomainMessage::SlotTaken(host.clone())));
        Self { host, keeper: Keeper::Here { domain, _busy: busy }, health: Health::Unknown }
    }

    /// The request is counted by the node that lent the lease.
    pub(super) const fn lent(host: Host, frontier: Frontier, token: LeaseToken) -> Self {
        Self { host, keeper: Keeper::There { frontier, token }, health: Health::Unknown }
    }

    /// Ends the exchange with what it said about the host.
    pub fn free(mut self, health: Health) {
        self.health = health;
    }
}

impl Drop for HostSlot {
    fn drop(&mut self) {
        match &self.keeper {
            Keeper::Here { domain, .. } => {
                let message = DomainMessage::SlotFreed { host: self.host.clone(), health: self.health };
                // A domain actor that is gone has no slots to count.
                drop(domain.send_message(message));
            }
            Keeper::There { frontier, token } => {
                let (frontier, host, token, health) = (frontier.clone(), self.host.clone(), *token, self.health);
                let runtime = frontier.runtime();
                tasks::spawn_on(&runtime, TaskKind::Release, async move {
                    frontier.released(host, token, health).await;
                });
            }
        }
    }
}
