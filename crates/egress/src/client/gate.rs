//! A bound on requests to one address that goes beyond this client: the nodes of a cluster together.

use async_trait::async_trait;
use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A request's place at an address, given back when it is dropped.
pub type AddressPlace = Box<dyn Any + Send + Sync>;

/// Who counts the requests to an address. It is asked when a connection stands ready, before the start window.
#[async_trait]
pub trait AddressGate: Send + Sync {
    /// A place for one request to the address that is actually connected; `None` when all are taken, or nobody can tell.
    async fn enter(&self, address: IpAddr) -> Option<AddressPlace>;
}

/// A gate among the settings of a client.
#[derive(Clone)]
pub struct SharedGate(pub Arc<dyn AddressGate>);

impl fmt::Debug for SharedGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedGate")
    }
}
