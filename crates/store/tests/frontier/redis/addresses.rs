//! Places at addresses.

use super::OnServer;
use super::server::{self, Server};
use crate::runtime;
use argiope_protocol::Timestamp;
use argiope_store::AddressPlaces;
use std::net::IpAddr;

#[test]
fn an_address_has_so_many_places_until_they_are_given_back_or_run_out() {
    if !server::is_there("an_address_has_so_many_places_until_they_are_given_back_or_run_out") {
        return;
    }
    let server = Server::start(&[]);
    runtime().block_on(async {
        let stores = OnServer::new(&server.url());
        let (one, other) = (stores.open_now(Timestamp::ZERO).await, stores.open_now(Timestamp::ZERO).await);
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let at = Timestamp::from_millis;
        let (begin, end) = (at(1_000_000), at(1_006_000));
        assert!(one.enter_address(address, 1, 2, end, begin).await.unwrap());
        assert!(other.enter_address(address, 1, 2, end, begin).await.unwrap(), "numbers are each node's own");
        assert!(!one.enter_address(address, 2, 2, end, begin).await.unwrap());
        assert!(one.enter_address("2001:db8::7".parse().unwrap(), 2, 2, end, begin).await.unwrap());
        // Prolonged, given back, run out.
        assert!(one.enter_address(address, 1, 2, at(1_010_000), at(1_004_000)).await.unwrap());
        other.leave_address(address, 1).await.unwrap();
        other.leave_address(address, 1).await.unwrap();
        assert!(other.enter_address(address, 2, 2, at(1_009_000), at(1_004_000)).await.unwrap());
        assert!(!other.enter_address(address, 3, 2, at(1_012_000), at(1_008_999)).await.unwrap());
        assert!(other.enter_address(address, 3, 2, at(1_012_000), at(1_009_000)).await.unwrap());
    });
}
