//! Why the files of a model cannot be used.

/// Why a model cannot be loaded. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// One of the JSON files is not JSON or lacks a field.
    #[error("read {file} of the model")]
    Json {
        /// `config.json` or `tokenizer.json`.
        file: &'static str,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
    /// The file asks for a step that this reader does not do, so its ids would differ from the model's own.
    #[error("the model's {part} is not supported: {found}")]
    Unsupported {
        /// Which part of which file, e.g. `tokenizer.json normalizer`.
        part: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// `model.safetensors` contradicts itself or is cut off.
    #[error("model.safetensors is damaged: {0}")]
    Damaged(&'static str),
    /// The files do not belong together.
    #[error("the model's files do not fit together: {0}")]
    Mismatch(String),
}

impl ModelError {
    /// An unsupported part; what was found is cut to a length that fits in a message.
    pub(super) fn unsupported(part: &'static str, found: impl std::fmt::Display) -> Self {
        const MAX_SHOWN_CHARS: usize = 200;
        Self::Unsupported { part, found: found.to_string().chars().take(MAX_SHOWN_CHARS).collect() }
    }
}
