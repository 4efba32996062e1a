//! The right to start a fetch, as long as it lasts.

use async_trait::async_trait;

/// No new start was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the start window had passed and no new start was given")]
pub struct WindowMissed;

/// A lease's start window. It is asked when a connection stands ready, just before the request's head is written:
/// look-up, TCP and TLS may have taken longer than the window lasts.
#[async_trait]
pub trait StartWindow: Send + Sync {
    /// Whether the request may start now.
    fn is_open(&self) -> bool;

    /// Whether it still may, at the moment of its first byte; asked of a window that was open.
    fn may_still_start(&self) -> bool {
        self.is_open()
    }

    /// Asks the frontier for a fresh start. When it comes back the window is asked again: the answer may have been on its way
    /// for longer than the start was good for.
    async fn reopen(&self) -> Result<(), WindowMissed>;
}

/// For requests that no gate guards: a remote embedder, and commands that fetch one URL.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysOpen;

#[async_trait]
impl StartWindow for AlwaysOpen {
    fn is_open(&self) -> bool {
        true
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        Ok(())
    }
}
