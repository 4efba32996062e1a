//! Places at addresses in Redis: a sorted set for each address in use, of holders by the end of their time.

use super::RedisFrontier;
use super::server::Call;
use crate::Result;
use crate::addresses::AddressPlaces;
use argiope_protocol::{ShardId, Timestamp};
use async_trait::async_trait;
use std::net::IpAddr;

impl RedisFrontier {
    /// A call about the address by a holder of this process, at the shard that the address falls into.
    fn address_call(&self, function: &'static str, address: IpAddr, place: u64) -> Call {
        let holder = format!("{}/{place}", self.boot);
        Call::new(function, &self.shard(ShardId::of_address(address))).arg(address.to_string()).arg(holder)
    }
}

#[async_trait]
impl AddressPlaces for RedisFrontier {
    async fn enter_address(
        &self,
        address: IpAddr,
        place: u64,
        max: u16,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let call = self.address_call("enter_address", address, place);
        Ok(self.router.ask(call.num(max).time(now).time(until)).await?.num()? == 1)
    }

    async fn leave_address(&self, address: IpAddr, place: u64) -> Result<()> {
        self.router.ask(self.address_call("leave_address", address, place)).await.map(drop)
    }
}
