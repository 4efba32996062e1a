//! The three stores: contracts, and the adapters that keep them.
//!
//! [`frontier`] says which URL is fetched when, [`pages`] keeps what was fetched, [`vectors`] what can be
//! searched, [`membership`] which nodes of a cluster are there, [`addresses`] how many requests they have under way to one
//! address.
//! The contracts are the same on every backend; `conformance` holds the tests that each adapter must pass.

pub mod addresses;
pub mod error;
pub mod frontier;
pub mod membership;
pub mod pages;
pub mod vectors;

pub use addresses::AddressPlaces;
pub use error::{Error, Result, ServerFault};
pub use frontier::FrontierStore;
pub use membership::Membership;
pub use pages::PageStore;
pub use vectors::VectorStore;

pub mod conformance;
pub mod embedded;
pub mod objects;
pub mod qdrant;
pub mod redis;
