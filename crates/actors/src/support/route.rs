//! The way to a stage: its actor, which may be a new one after a restart, and the edge that leads to it.

use super::credit::{Edge, Permit};
use argiope_protocol::credit::Amount;
use ractor::{ActorRef, Message};
use std::sync::{Arc, PoisonError, RwLock};

/// The stage does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stage has stopped")]
pub struct RouteClosed;

/// The way to a stage whose actor takes `M`. Cheap to clone.
pub struct Route<M: Message> {
    target: Arc<RwLock<Option<ActorRef<M>>>>,
    edge: Edge,
}

impl<M: Message> Clone for Route<M> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target), edge: self.edge.clone() }
    }
}

impl<M: Message> Route<M> {
    /// A route that leads nowhere until its stage is started.
    #[must_use]
    pub fn new(edge: Edge) -> Self {
        Self { target: Arc::default(), edge }
    }

    /// Points the route to the stage's (new) actor.
    pub fn lead_to(&self, actor: ActorRef<M>) {
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// Waits for credit to send one item of so many bytes.
    pub async fn acquire(&self, bytes: u64) -> Permit {
        self.edge.acquire(Amount::item(bytes)).await
    }

    /// Credit to send one item of so many bytes, when it is there now.
    #[must_use]
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        self.edge.try_acquire(Amount::item(bytes))
    }

    /// Sends a message that carries its permit.
    ///
    /// # Errors
    /// When the stage has stopped; the message is dropped, and with it its permit and its lease guard.
    pub fn send(&self, message: M) -> Result<(), RouteClosed> {
        let target = self.target.read().unwrap_or_else(PoisonError::into_inner).clone();
        target.ok_or(RouteClosed)?.send_message(message).map_err(|_| RouteClosed)
    }

    /// The edge, for gauges.
    #[must_use]
    pub const fn edge(&self) -> &Edge {
        &self.edge
    }
}
