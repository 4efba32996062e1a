//! How much may be under way to a peer: the only bound between a caller and a peer that does not read, since the
//! transport's queues have none.
//!
//! Room is taken before an envelope is handed over and given back when the peer has answered it, not when its caller
//! has lost patience: what a stopped peer has not read still takes memory here.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unanswered calls to one peer.
pub(super) const MAX_CALLS: usize = 256;
/// Their bytes. The transport gathers what waits into one buffer, which may take twice as much.
pub(super) const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of answers that a peer has not acknowledged: room for two of the largest.
pub(super) const MAX_REPLY_BYTES: usize = 2 * 1024 * 1024;

/// Room for calls to one peer.
#[derive(Debug)]
pub(super) struct Window {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Room for one call, given back on drop.
#[derive(Debug)]
pub(super) struct Room {
    _call: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Default for Window {
    fn default() -> Self {
        Self { calls: Arc::new(Semaphore::new(MAX_CALLS)), bytes: Arc::new(Semaphore::new(MAX_CALL_BYTES)) }
    }
}

impl Window {
    /// Waits for room, first come first served. `None` once the window is closed.
    ///
    /// # Cancel
    /// Gives up the place in the queue.
    pub(super) async fn acquire(&self, bytes: usize) -> Option<Room> {
        let bytes = u32::try_from(bytes.min(MAX_CALL_BYTES)).unwrap_or(u32::MAX);
        let call = Arc::clone(&self.calls).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()?;
        Some(Room { _call: call, _bytes: bytes })
    }

    /// Room if there is some now.
    pub(super) fn try_acquire(&self, bytes: usize) -> Option<Room> {
        let bytes = u32::try_from(bytes.min(MAX_CALL_BYTES)).unwrap_or(u32::MAX);
        let call = Arc::clone(&self.calls).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(Room { _call: call, _bytes: bytes })
    }

    /// Wakes everyone who waits with a no.
    pub(super) fn close(&self) {
        self.calls.close();
        self.bytes.close();
    }

    /// Unanswered calls and their bytes.
    pub(super) fn in_use(&self) -> (usize, u64) {
        let calls = MAX_CALLS.saturating_sub(self.calls.available_permits());
        let bytes = MAX_CALL_BYTES.saturating_sub(self.bytes.available_permits());
        (calls, bytes as u64)
    }
}

/// Room for answers to one peer. The peer says how many bytes of answers it has read.
#[derive(Debug)]
pub(super) struct Replies {
    bytes: Semaphore,
}

impl Default for Replies {
    fn default() -> Self {
        Self { bytes: Semaphore::new(MAX_REPLY_BYTES) }
    }
}

impl Replies {
    /// Waits for room and takes it; [`Replies::acknowledged`] gives it back. `false` once closed.
    pub(super) async fn take(&self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes.min(MAX_REPLY_BYTES)).unwrap_or(u32::MAX);
        match self.bytes.acquire_many(bytes).await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// The peer has read so many bytes. A peer that claims more than it was sent gains nothing.
    pub(super) fn acknowledged(&self, bytes: u64) {
        let taken = MAX_REPLY_BYTES.saturating_sub(self.bytes.available_permits());
        self.bytes.add_permits(taken.min(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }

    pub(super) fn close(&self) {
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_bounded_by_calls_and_by_bytes() {
        let window = Window::default();
        let rooms: Vec<Room> = (0..MAX_CALLS).filter_map(|_| window.try_acquire(1)).collect();
        assert_eq!((rooms.len(), window.in_use()), (MAX_CALLS, (MAX_CALLS, MAX_CALLS as u64)));
        assert!(window.try_acquire(1).is_none());
        drop(rooms);
        let rooms: Vec<Room> = (0..5).filter_map(|_| window.try_acquire(1024 * 1024)).collect();
        assert_eq!(rooms.len(), 4);
        window.close();
        assert!(window.acquire(1).await.is_none());
    }

    #[tokio::test]
    async fn a_peer_cannot_acknowledge_more_than_it_was_sent() {
        let replies = Replies::default();
        assert!(replies.take(10).await);
        replies.acknowledged(u64::MAX);
        replies.acknowledged(u64::MAX);
        assert_eq!(replies.bytes.available_permits(), MAX_REPLY_BYTES);
    }
}
