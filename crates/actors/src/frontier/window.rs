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

/// Tries to get a start when others at the host are quicker each time.
const START_TRIES: u32 = 8;
/// A gate that opens later than this is not waited for: what holds a lease or a host's turn meanwhile is given back.
const MAX_GATE_WAIT: Duration = Duration::from_secs(60);

/// Waits for the host's gate and moves it for one start. Answers the moment just before the frontier was asked, from
/// which the start window counts; `None` when the gate opens too late or the frontier does not answer.
pub(super) async fn wait_for_start(
    frontier: &Frontier,
    host: &Host,
    width: Duration,
    delay: Duration,
) -> Option<Instant> {
    for _ in 0..START_TRIES {
        let asked = Instant::now();
        match frontier.start(host, width, delay).await.ok()? {
            StartAnswer::Granted => return Some(asked),
            StartAnswer::NotBefore(at) => {
                let wait = at.since(now());
                if wait > MAX_GATE_WAIT {
                    return None;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
    None
}

/// The right to start one request to a host.
pub struct LeaseWindow {
    frontier: Frontier,
    host: Host,
    width: Duration,
    delay: Duration,
    number: u64,
    opened: Mutex<Instant>,
}

impl LeaseWindow {
    /// A window opened before the lease (or start) was asked for, at `opened`.
    #[must_use]
    pub fn new(frontier: Frontier, host: Host, width: Duration, delay: Duration, opened: Instant) -> Self {
        let number = frontier.next_window();
        Self { frontier, host, width, delay, number, opened: Mutex::new(opened) }
    }

    /// The time that must pass between two starts at the host: the job's, or robots.txt's when that is longer.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// The request's head is written now.
    fn starts(&self) {
        self.frontier.started(&self.host, self.number, self.delay);
    }
}

#[async_trait]
impl StartWindow for LeaseWindow {
    fn is_open(&self) -> bool {
        let is_open = self.opened.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.width;
        if is_open {
            self.starts();
        }
        is_open
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        self.frontier.metrics().late_start();
        let asked = wait_for_start(&self.frontier, &self.host, self.width, self.delay).await.ok_or(WindowMissed)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        self.starts();
        Ok(())
    }
}
