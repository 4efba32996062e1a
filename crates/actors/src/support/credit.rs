//! An edge between two stages: the sender waits here for credit, the receiver's work carries it.
//!
//! The arithmetic is `argiope_protocol::credit`; this adds first-come waiting, the counter of seconds waited,
//! and the guard. A [`Permit`] travels inside the message and gives its credit back when it is dropped, so the
//! gauge of work in flight cannot lie, whatever becomes of the message.

use crate::metrics::EdgeMetrics;
use argiope_protocol::credit::{Amount, Credit};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often a wait is counted while it lasts: a stage that stands still must show at once, not when it moves again.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// One edge. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    metrics: EdgeMetrics,
}

struct State {
    credit: Credit,
    /// Senders in order of arrival. Bounded by the senders: each waits for one item.
    waiting: VecDeque<(Amount, oneshot::Sender<Permit>)>,
}

/// Credit for one message, given back on drop.
pub struct Permit {
    edge: Arc<Shared>,
    amount: Amount,
}

impl Edge {
    /// An edge whose receiver takes this much at once.
    #[must_use]
    pub fn new(granted: Amount, metrics: EdgeMetrics) -> Self {
        let state = State { credit: Credit::new(granted), waiting: VecDeque::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), metrics }) }
    }

    /// Waits for credit, first come first served.
    ///
    /// # Cancel
    /// Dropping the future gives up the place in the queue; credit that was just granted is given back.
    pub async fn acquire(&self, amount: Amount) -> Permit {
        let mut turn = {
            let mut state = self.shared.lock();
            if state.waiting.is_empty() && state.credit.try_spend(amount) {
                drop(state);
                return self.shared.permit(amount);
            }
            let (grant, turn) = oneshot::channel();
            state.waiting.push_back((amount, grant));
            turn
        };
        loop {
            let since = Instant::now();
            let granted = tokio::time::timeout(COUNT_EVERY, &mut turn).await;
            self.shared.metrics.waited(since.elapsed());
            if let Ok(permit) = granted {
                return permit
                    .expect("the edge keeps its waiting senders until it serves them, and lives in this call");
            }
        }
    }

    /// Credit for one message when it is there now and nobody waits for it.
    #[must_use]
    pub fn try_acquire(&self, amount: Amount) -> Option<Permit> {
        let mut state = self.shared.lock();
        let is_granted = state.waiting.is_empty() && state.credit.try_spend(amount);
        drop(state);
        is_granted.then(|| self.shared.permit(amount))
    }

    /// What is under way on this edge.
    #[must_use]
    pub fn in_flight(&self) -> Amount {
        self.shared.lock().credit.spent()
    }

    /// Whether senders are waiting: the receiver is the bottleneck.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        !self.shared.lock().waiting.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(self: &Arc<Self>, amount: Amount) -> Permit {
        self.metrics.entered(amount);
        Permit { edge: Arc::clone(self), amount }
    }

    fn give_back(self: &Arc<Self>, amount: Amount) {
        self.metrics.left(amount);
        let mut state = self.lock();
        state.credit.give_back(amount);
        let mut served = Vec::new();
        while let Some((wanted, _)) = state.waiting.front() {
            let wanted = *wanted;
            if !state.credit.try_spend(wanted) {
                break;
            }
            if let Some((amount, grant)) = state.waiting.pop_front() {
                served.push((amount, grant));
            }
        }
        drop(state);
        // Sent outside the lock: a sender that gave up drops its permit here, which locks again.
        for (amount, grant) in served {
            drop(grant.send(self.permit(amount)));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let edge = Arc::clone(&self.edge);
        edge.give_back(self.amount);
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permit").field(&self.amount).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn edge(items: u32, bytes: u64) -> Edge {
        Edge::new(Amount { items, bytes }, EdgeMetrics::detached())
    }

    #[tokio::test]
    async fn the_second_sender_waits_for_the_first_permit() {
        let edge = edge(1, 100);
        let first = edge.acquire(Amount::item(10)).await;
        let second = tokio::spawn({
            let edge = edge.clone();
            async move { edge.acquire(Amount::item(10)).await }
        });
        while !edge.is_contended() {
            tokio::task::yield_now().await;
        }
        assert!(edge.try_acquire(Amount::item(1)).is_none(), "who waits comes first");
        drop(first);
        let second = tokio::time::timeout(Duration::from_secs(5), second).await.expect("served").expect("no panic");
        assert_eq!(edge.in_flight(), Amount::item(10));
        drop(second);
        assert_eq!(edge.in_flight(), Amount::default());
    }

    #[tokio::test]
    async fn a_sender_that_gives_up_does_not_keep_credit() {
        let edge = edge(1, 100);
        let first = edge.acquire(Amount::item(1)).await;
        let waiting = tokio::spawn({
            let edge = edge.clone();
            async move { edge.acquire(Amount::item(1)).await }
        });
        while !edge.is_contended() {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        let _ = waiting.await;
        drop(first);
        let again = tokio::time::timeout(Duration::from_secs(5), edge.acquire(Amount::item(1))).await;
        assert!(again.is_ok());
    }
}
