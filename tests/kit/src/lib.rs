//! A local web for tests and benches: real HTTP over loopback, nothing mocked.
//!
//! [`site::Site`] serves several hosts and writes an [`access_log`]; [`politeness`] says from that log alone whether
//! a crawl kept its promises; [`hostile`] is a host full of pages made to break a crawler, with a table of what each
//! should come to. The binaries `test-origin` and `politeness-check` are the same for fault tests, where the origin
//! must outlive the crawler. [`qdrant`] and [`redis`] start real servers.

pub mod access_log;
pub mod hostile;
pub mod http;
pub mod politeness;
mod process;
pub mod qdrant;
pub mod redis;
pub mod site;

pub use access_log::{AccessLog, LogEntry};
pub use qdrant::QdrantServer;
pub use redis::RedisServer;
pub use site::{Behaviour, Site, SiteBuilder};
