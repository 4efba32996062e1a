//! As much of HTTP/1.1 as an origin for tests needs, and as much misbehaviour as a hostile one needs.

mod connection;
mod message;

pub(crate) use connection::{Gate, serve};
pub use message::{Body, Request, Response};
