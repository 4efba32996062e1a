//! Contract of the places at addresses: how many requests the nodes of a cluster have under way to one address at once.
//!
//! A host's owner spaces the requests to it, but hosts of several owners may live behind one address. A place is held
//! until it is given back or its time is over, so that a node that dies blocks nobody for long.

use crate::Result;
use argiope_protocol::Timestamp;
use async_trait::async_trait;
use std::net::IpAddr;

/// The places at addresses.
#[async_trait]
pub trait AddressPlaces: Send + Sync + 'static {
    /// Takes one of `max` places at the address until `until`, or prolongs it when this node has it under this number.
    /// `false` when all are taken.
    async fn enter_address(
        &self,
        address: IpAddr,
        place: u64,
        max: u16,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;

    /// Gives the place back; one that is not held any more changes nothing.
    async fn leave_address(&self, address: IpAddr, place: u64) -> Result<()>;
}
