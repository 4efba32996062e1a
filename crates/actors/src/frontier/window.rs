//! The start window: a lease's request may begin only while less than `W` has passed on the holder's own
//! monotonic clock since before it asked. A fencing token cannot stop a request to somebody else's server; a
//! time-bounded right to start can.

use super::owner::Frontier;
use crate::job::JobRuntime;
use crate::support::now;
use argiope_egress::{StartWindow, WindowMissed};
use argiope_protocol::Host;
use argiope_store::frontier::StartAnswer;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// For whom; nothing of a job that was stopped starts any more.
    job: Arc<JobRuntime>,
    /// `None` when the right to start is still to be asked for.
    opened: Mutex<Option<Instant>>,
}

impl LeaseWindow {
    /// A window opened before the lease (or start) was asked for, at `opened`; `None`: the lease gave no right to start,
    /// it is asked for when the request is about to begin.
    #[must_use]
    pub fn new(
        frontier: Frontier,
        host: Host,
        (width, delay): (Duration, Duration),
        job: Arc<JobRuntime>,
        opened: Option<Instant>,
    ) -> Self {
        let number = frontier.next_window();
        Self { frontier, host, width, delay, number, job, opened: Mutex::new(opened) }
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
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = opened.is_some_and(|opened| opened.elapsed() < self.width) && !self.job.is_stopped();
        if is_open {
            self.starts();
        }
        is_open
    }

    fn may_still_start(&self) -> bool {
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.is_some_and(|opened| opened.elapsed() < self.width)
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        if self.job.is_stopped() || self.frontier.is_retiring(&self.host) {
            return Err(WindowMissed);
        }
        let is_first = self.opened.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if !is_first {
            self.frontier.metrics().late_start();
        }
        let asked = wait_for_start(&self.frontier, &self.host, self.width, self.delay).await.ok_or(WindowMissed)?;
        if self.job.is_stopped() {
            return Err(WindowMissed);
        }
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(())
    }
}
