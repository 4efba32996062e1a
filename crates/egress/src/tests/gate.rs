//! Requests to one address that others count too.

use super::server::{Server, answer};
use super::{config, get};
use crate::client::{AddressGate, AddressPlace, SharedGate};
use crate::{FetchError, GuardedClient};
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many places, whatever the address.
struct Places {
    free: Arc<AtomicUsize>,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AddressGate for Places {
    async fn enter(&self, _: IpAddr) -> Option<AddressPlace> {
        let taken = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1));
        taken.ok().map(|_| Box::new(Place(Arc::clone(&self.free))) as AddressPlace)
    }
}

#[tokio::test]
async fn a_request_waits_for_its_place_and_gives_it_back_after_the_answer() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let free = Arc::new(AtomicUsize::new(1));
    let gate = SharedGate(Arc::new(Places { free: Arc::clone(&free) }));
    let client = GuardedClient::try_new(crate::EgressConfig { gate: Some(gate), ..config() }).expect("valid settings");
    for _ in 0..2 {
        get(&client, &server.url("/")).await.expect("it answers");
        assert_eq!(free.load(Ordering::SeqCst), 1);
    }
    let n_bytes = server.n_bytes();
    free.store(0, Ordering::SeqCst);
    let error = get(&client, &server.url("/")).await.expect_err("all places are taken");
    assert!(matches!(error, FetchError::PerIpBusy(_)) && error.gives_lease_back(), "{error}");
    assert_eq!((server.n_bytes(), server.n_connections()), (n_bytes, 1), "nothing was written, the connection is kept");
    free.store(1, Ordering::SeqCst);
    get(&client, &server.url("/")).await.expect("it answers");
    assert_eq!(server.n_connections(), 1);
}
