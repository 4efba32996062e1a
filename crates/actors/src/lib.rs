//! The crawl's stages as supervised actors.
//!
//! In crawl order: a [`job`] offers its seeds to the [`frontier`], whose shard and domain actors lease URLs when
//! robots, gate and credit allow; the [`fetcher`] fetches, the [`parser`] turns bytes into links and chunks, the
//! [`embedder`] chunks into vectors, the [`writer`] makes them durable and settles the lease. [`supervisor`]
//! starts and restarts them, [`engine`] is the handle that a program holds, [`query`] answers questions.
//! Stages do not know each other: they meet in [`flow`].

pub mod config;
pub mod embedder;
pub mod engine;
pub mod event;
pub mod fetcher;
pub mod flow;
pub mod frontier;
pub mod job;
pub mod metrics;
pub mod parser;
pub mod query;
pub mod supervisor;
pub mod support;
pub mod writer;

pub use config::{EngineConfig, Stores};
pub use engine::{DrainReport, Engine, EngineError, How, Submitted};
pub use event::Event;
