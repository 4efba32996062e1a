//! Texts in, vectors out: the [`Embedder`] that the embedder stage and the query share, and its adapters.
//!
//! [`local`] computes in this process, [`openai`] asks a server. Both answer in the order of the texts, whatever the
//! order in which they compute.

pub mod adapter;
mod batch;
pub mod local;
pub mod openai;

pub use adapter::{EmbedError, Embedder};
pub use local::LocalEmbedder;
pub use openai::{OpenAiEmbedder, OpenAiOptions};
