//! The crawl's stages as supervised actors.

pub mod embedder;
pub mod query;
