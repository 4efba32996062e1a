//! What the tests of the pure cores share.

use argiope_protocol::{CanonicalUrl, Host, Timestamp};

/// A host by name.
pub(super) fn host(name: &str) -> Host {
    CanonicalUrl::parse(&format!("http://{name}/")).expect("valid").host()
}

/// Milliseconds since the epoch.
pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
