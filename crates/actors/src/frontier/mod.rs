//! Which URL is fetched when.
//!
//! [`Frontier`] is the handle that stages use: it talks to the durable store under the right shard's claim and
//! tells the shard's actor what changed. A [`ShardActor`] keeps what its domains wait for and wakes them; a
//! domain actor exists only while its domain has something to do now: it takes turns (credit, robots, gate,
//! lease) for its hosts. A turn runs as a task, so the actor never waits.

mod domain;
mod domain_core;
mod known;
mod owner;
mod robots;
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
pub use owner::Frontier;
pub use robots::RobotsCache;
pub use shard::{ShardActor, ShardArguments, ShardMessage};
pub use slot::{Health, HostSlot};
pub use turn::TurnContext;
pub use window::LeaseWindow;
