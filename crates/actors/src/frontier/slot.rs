//! A request's place among its host's requests.

use super::domain::DomainMessage;
use argiope_protocol::Host;
use ractor::ActorRef;
use std::time::Duration;

/// What an exchange said about its host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing: no exchange took place.
    #[default]
    Unknown,
    /// It answers.
    Fine,
    /// It does not answer, or with 5xx.
    Trouble,
    /// It asks for a pause; `None` when it does not say how long.
    Overloaded(Option<Duration>),
}

/// Taken when a lease is handed to the fetcher; dropped when the exchange is over, whatever became of it.
pub struct HostSlot {
    host: Host,
    domain: ActorRef<DomainMessage>,
    health: Health,
}

impl HostSlot {
    /// Counts the request at the domain's actor before it can end.
    pub(super) fn take(host: Host, domain: ActorRef<DomainMessage>) -> Self {
        drop(domain.send_message(DomainMessage::SlotTaken(host.clone())));
        Self { host, domain, health: Health::Unknown }
    }

    /// Ends the exchange with what it said about the host.
    pub fn free(mut self, health: Health) {
        self.health = health;
    }
}

impl Drop for HostSlot {
    fn drop(&mut self) {
        let message = DomainMessage::SlotFreed { host: self.host.clone(), health: self.health };
        // A domain actor that is gone has no slots to count.
        drop(self.domain.send_message(message));
    }
}
