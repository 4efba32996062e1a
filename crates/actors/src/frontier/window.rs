//! The start window: a lease's request may begin only while less than `W` has passed on the holder's own
//! monotonic clock since before it asked. A fencing token cannot stop a request to somebody else's server; a
//! time-bounded right to start can.

use super::owner::Frontier;
use crate::support::now;
use argiope_egress::{StartWindow, WindowMissed};
use argiope_protocol::Host;
use argiope_store::frontier::StartAnswer;
use async_trait::async_trait;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tries to get a new start when connecting took longer than the window.
const REOPEN_TRIES: u32 = 8;

/// The right to start one request to a host.
pub struct LeaseWindow {
    frontier: Frontier,
    host: Host,
    width: Duration,
    delay: Duration,
    opened: Mutex<Instant>,
}

impl LeaseWindow {
    /// A window opened before the lease (or start) was asked for, at `opened`.
    #[must_use]
    pub const fn new(frontier: Frontier, host: Host, width: Duration, delay: Duration, opened: Instant) -> Self {
        Self { frontier, host, width, delay, opened: Mutex::new(opened) }
    }

    /// The time that must pass between two starts at the host: the job's, or robots.txt's when that is longer.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }
}

#[async_trait]
impl StartWindow for LeaseWindow {
    fn is_open(&self) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.width
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        self.frontier.metrics().late_start();
        for _ in 0..REOPEN_TRIES {
            let asked = Instant::now();
            match self.frontier.start(&self.host, self.width, self.delay).await {
                Ok(StartAnswer::Granted) => {
                    *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    return Ok(());
                }
                Ok(StartAnswer::NotBefore(at)) => tokio::time::sleep(at.since(now())).await,
                Err(_) => return Err(WindowMissed),
            }
        }
        Err(WindowMissed)
    }
}
