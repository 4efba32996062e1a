//! The way to the servers: connections that know which run of a server they lead to, the map of a cluster's slots, the
//! function library, and what errors mean.
//!
//! Turns a [`Call`] into the server's answer. Every call has a deadline, every connection a bound of calls in flight.
//! A call whose outcome is unknown (a lost connection, a deadline) is not repeated here unless it only reads.
//! Never here: what a call means.

mod call;
mod fault;
mod library;
mod link;
mod reply;
mod router;
mod startup;

pub(super) use call::Call;
pub(super) use reply::Reply;
pub(super) use router::{Options, Router};
pub use startup::StartReport;
