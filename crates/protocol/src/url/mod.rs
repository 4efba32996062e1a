//! From a link as written to a URL by which pages are known, and to the host and domain that own it.
//!
//! Rules, in order: WHATWG parsing (the `url` crate), http and https only, user info and fragment dropped,
//! default port dropped, percent-encoding normalised, tracking parameters stripped by list, query order kept.
//! [`CANONICALISER_VERSION`] is part of every page key: change it with any rule.

mod canonical;
mod host;

pub use canonical::{CANONICALISER_VERSION, CanonicalUrl, InvalidUrl};
pub use host::{Domain, Host, Origin};
