//! From chunks to vectors: only those whose hash is new on their page are embedded.
//!
//! [`Embedder`] is what the stage and the query share; [`local`] computes in this process, [`openai`] asks a
//! server, [`SharedEmbedder`] other nodes of the cluster. The stage compares a page's chunks with the visible version and embeds what is new.

pub mod adapter;
mod batch;
mod core;
pub mod local;
pub mod openai;
mod shared;
mod stage;

pub use adapter::{EmbedError, Embedder, ReadText};
pub use local::LocalEmbedder;
pub use openai::{OpenAiEmbedder, OpenAiOptions};
pub use shared::SharedEmbedder;
pub use stage::EmbedStage;
