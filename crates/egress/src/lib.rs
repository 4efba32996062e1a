//! The only crate that opens outgoing sockets. A URL comes in, bytes of the answer go out, and on the way nothing
//! is sent to an address that the policy denies.
//!
//! In the order of a request: [`policy`] judges the URL, [`resolver`] finds its addresses and drops denied ones,
//! [`client`] connects to an address that was judged, asks the start window, writes the head, and reads the answer
//! under caps. It never follows a redirect, reads the environment, keeps cookies or retries a request that may
//! have reached a server. Beside it stands [`ApiClient`], with which a command reaches a node of ours.

pub mod client;
pub mod config;
pub mod counters;
pub mod error;
pub mod policy;
pub mod resolver;

pub use client::{
    Accept, AlwaysOpen, ApiAnswer, ApiClient, ApiConfig, ApiError, ApiRequest, ApiStream, FetchRequest, FetchResponse,
    GuardedClient, JsonAnswer, JsonPost, StartWindow, WindowMissed,
};
pub use config::{BuildError, EgressConfig};
pub use counters::EgressCounters;
pub use error::FetchError;
pub use policy::{Denied, DenyRule, Policy};

#[cfg(test)]
mod tests;
