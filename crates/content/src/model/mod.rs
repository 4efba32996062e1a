//! Text in, token ids and vectors out: static embeddings in the model2vec layout.
//!
//! A model is three files: `config.json`, `model.safetensors`, `tokenizer.json`. [`Tokenizer`] turns text into ids,
//! [`StaticModel`] adds the rows of those ids and scales the sum to length 1. One model is part of the binary
//! ([`StaticModel::builtin`]); its card, `model/MODEL_CARD.md` of this crate, is the specification that the tests here
//! check. [`language`] says which language a text is in.
//!
//! Nothing here reads a file or the network: callers hand over bytes. A file that cannot be read exactly as its
//! authors meant it is refused with a [`ModelError`] that names the part.

mod error;
pub mod language;
mod matrix;
mod safetensors;
mod static_model;
mod tokenizer;

pub use error::ModelError;
pub use static_model::{MAX_EMBEDDED_TOKENS, StaticModel};
pub use tokenizer::Tokenizer;

/// The built-in model's card, Markdown: format, purpose, scores, training data and their licences.
pub const MODEL_CARD: &str = include_str!("../../model/MODEL_CARD.md");
/// The notice that goes with every copy of what was made from WordNet.
pub const WORDNET_NOTICE: &str = include_str!("../../model/WORDNET_NOTICE.txt");
