//! What an operator asks of an engine while it works.

use super::Engine;
use std::sync::atomic::Ordering;

impl Engine {
    /// Requests that are under way or wait for a connection.
    #[must_use]
    pub fn n_requests(&self) -> u32 {
        self.edges.first().map_or(0, |edge| edge.in_flight().items)
    }

    /// Whether it takes no more leases.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
