//! From a lease to an answer: one exchange, judged by a pure core, then on to the parser or straight to the end.
//!
//! A redirect is not followed here: its target is offered to the frontier, so that every hop obeys its host's
//! gate, robots rules and egress policy.

mod core;
mod prior;
mod stage;

pub use stage::Fetcher;
pub(crate) use stage::{BYTES_A_STEP, confirmed};
