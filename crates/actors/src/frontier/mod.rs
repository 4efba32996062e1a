//! Which URL is fetched when.
//!
//! [`Frontier`] is the handle that stages use: it talks to the durable store under the right shard's claim, or to the node
//! that owns the shard ([`Peers`]), and tells the shard's actor what changed. [`ownership`] claims the shards that this
//! node should have and hands over the others. A [`ShardActor`] keeps what its domains wait for and wakes them; a
//! domain actor exists only while its domain has something to do now: it takes turns (credit, robots, gate,
//! lease) for its hosts. A turn runs as a task, so the actor never waits.

mod domain;
mod domain_core;
mod held;
mod holding;
mod known;
mod lent;
mod lives;
mod order;
mod owner;
pub mod ownership;
mod peers;
mod robots;
mod room;
mod routing;
mod shard;
mod shard_core;
mod slot;
mod starts;
#[cfg(test)]
mod testing;
mod turn;
mod window;

pub use domain::DomainMessage;
pub(crate) use known::KnownLinks;
pub(crate) use lives::{LeaseLives, LivesArguments};
pub use order::Orders;
pub use owner::Frontier;
pub use peers::{Embedded, Handed, Peers};
pub use robots::RobotsCache;
pub use shard::{ShardActor, ShardArguments, ShardMessage};
pub use slot::{Health, HostSlot};
pub use turn::TurnContext;
pub use window::LeaseWindow;
