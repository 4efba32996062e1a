//! URLs that other nodes hand over to be fetched here.

use super::owner::Frontier;
use super::slot::HostSlot;
use super::window::LeaseWindow;
use crate::flow::{FetchTask, LeaseGuard, Work};
use crate::job::Jobs;
use crate::support::Route;
use argiope_protocol::messages::FetchOrder;
use std::sync::Arc;
use std::time::Duration;

/// Takes orders as long as the fetcher has credit. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    /// The frontier.
    pub frontier: Frontier,
    /// The running jobs.
    pub jobs: Jobs,
    /// The way to the fetcher.
    pub fetch: Route<FetchTask>,
    /// The start window.
    pub window: Duration,
}

impl Orders {
    /// Takes an order; `false` when there is no credit, or the job is not known here: the lease stays with the asker.
    #[must_use]
    pub fn take(&self, order: FetchOrder) -> bool {
        let FetchOrder { lease, delay } = order;
        let Some(job) = self.jobs.get(lease.job).filter(|job| !job.is_stopped()) else { return false };
        let Some(permit) = self.fetch.try_acquire(0) else { return false };
        let host = lease.host.clone();
        let slot = HostSlot::lent(host.clone(), self.frontier.clone(), lease.token);
        let times = (self.window, delay);
        let window = Arc::new(LeaseWindow::new(self.frontier.clone(), host, times, Arc::clone(&job), None));
        let work = Work { guard: LeaseGuard::new(lease, self.frontier.clone()), job, prior: None };
        // A fetcher that has stopped drops the task: the lease goes back to its owner.
        let _ = self.fetch.send(FetchTask { work, slot, window, permit });
        true
    }
}
