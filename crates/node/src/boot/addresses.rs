//! Requests to one address at once, over all nodes of the cluster.

use argiope_egress::client::{AddressGate, AddressPlace};
use argiope_store::AddressPlaces;
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How long the places of a node that died are taken.
const HOLD: Duration = Duration::from_secs(6);
/// How often a place is prolonged while its request lasts.
const PROLONG_EVERY: Duration = Duration::from_secs(2);

/// Asks the store that the nodes share.
pub(super) struct SharedAddresses {
    places: Arc<dyn AddressPlaces>,
    max: u16,
    n_given: AtomicU64,
}

impl SharedAddresses {
    /// At most `max` requests to an address at once.
    pub(super) fn new(places: Arc<dyn AddressPlaces>, max: u16) -> Self {
        Self { places, max, n_given: AtomicU64::new(0) }
    }
}

#[async_trait]
impl AddressGate for SharedAddresses {
    async fn enter(&self, address: IpAddr) -> Option<AddressPlace> {
        let now = super::now();
        let (number, max) = (self.n_given.fetch_add(1, Ordering::Relaxed), self.max);
        // Held from here on: an answer that is lost, or a caller that goes, may leave a place taken.
        let mut held = Held { places: Arc::clone(&self.places), address, number, may_be_taken: true };
        match self.places.enter_address(address, number, max, now.after(HOLD), now).await {
            Ok(true) => {}
            Ok(false) => {
                held.may_be_taken = false;
                return None;
            }
            Err(error) => {
                tracing::debug!(%address, %error, "places at the address not known, the request waits");
                return None;
            }
        }
        let places = Arc::clone(&self.places);
        let prolonging = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PROLONG_EVERY).await;
                let now = super::now();
                if let Err(error) = places.enter_address(address, number, max, now.after(HOLD), now).await {
                    tracing::debug!(%address, %error, "place at the address not prolonged yet");
                }
            }
        }));
        Some(Box::new((prolonging, held)))
    }
}

/// A place that is taken, or may be.
struct Held {
    places: Arc<dyn AddressPlaces>,
    address: IpAddr,
    number: u64,
    may_be_taken: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (places, address, number) = (Arc::clone(&self.places), self.address, self.number);
        // Dropped outside of the runtime only when the process ends: the place then runs out by itself.
        let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| self.may_be_taken) else { return };
        drop(runtime.spawn(async move {
            if let Err(error) = places.leave_address(address, number).await {
                tracing::debug!(%address, %error, "place at the address not given back, it runs out by itself");
            }
        }));
    }
}
