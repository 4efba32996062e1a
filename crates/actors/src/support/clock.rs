//! The one place that reads the wall clock. Cores get time as a parameter.

use argiope_protocol::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since the Unix epoch. A clock before the epoch reads as zero.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
