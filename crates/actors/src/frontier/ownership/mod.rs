//! Which shards this node owns: claims those that it should have, keeps the claims alive, hands over the others.
//!
//! The list of nodes says who should own a shard (rendezvous hashing), the claim in the store decides who does. So two
//! nodes with different lists never both own one: the second gets no claim before the first gave its own up or let it run
//! out. A shard is handed over in this order: nothing of it starts any more, what was started ends, the claim is given
//! up. A claim that cannot be renewed stops counting here before it runs out in the store.
//!
//! Epochs only help when none is given out twice. The frontier sees to that as long as it is there; when it was begun anew or
//! restored from an old copy, the pages remember which epochs were used ([`EpochFloor`]).

mod actor;
mod core;
mod floor;

pub(crate) use actor::start_shard;
pub use actor::{Ownership, OwnershipArguments, OwnershipMessage, ShardContext};
pub use floor::EpochFloor;
