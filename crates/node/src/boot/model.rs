//! The configured embedding model: which one it is, and its files when they are here.

use crate::config::{Config, Embedder};
use crate::errors::{CliError, Result};
use argiope_content::model::{StaticModel, Tokenizer};
use argiope_protocol::ErrorCode;
use argiope_store::vectors::IndexModel;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a model file; the largest model2vec models have 512 MiB.
const MAX_MODEL_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A model that makes vectors.
#[derive(Clone)]
pub(crate) enum Model {
    /// The one inside the binary.
    Builtin,
    /// A model2vec directory, loaded.
    Static(Arc<StaticModel>),
    /// A server's; its name and dimension are taken from the configuration.
    Remote(IndexModel),
}

impl Model {
    /// Loads what is configured.
    ///
    /// # Errors
    /// `AR0302` when a directory does not hold a whole model.
    pub(crate) fn load(config: &Config) -> Result<Self> {
        match &config.embedder {
            Embedder::Builtin => Ok(Self::Builtin),
            Embedder::Static(dir) => load_directory(dir).map(|model| Self::Static(Arc::new(model))),
            Embedder::OpenAi { model, dimension, .. } => {
                Ok(Self::Remote(IndexModel { id: model.clone(), dimension: *dimension }))
            }
        }
    }

    /// What the index is made for.
    pub(crate) fn index(&self) -> IndexModel {
        let of = |model: &StaticModel| IndexModel { id: model.id().to_owned(), dimension: model.dimension() };
        match self {
            Self::Builtin => of(StaticModel::builtin()),
            Self::Static(model) => of(model),
            Self::Remote(index) => index.clone(),
        }
    }

    /// The tokenizer that sizes chunks; a remote model's is not known, the built-in one stands in.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Static(model) => model.tokenizer(),
            Self::Builtin | Self::Remote(_) => StaticModel::builtin().tokenizer(),
        }
    }
}

fn load_directory(dir: &Path) -> Result<StaticModel> {
    let failed = || CliError::new(ErrorCode::EmbedderUnavailable, format!("{} is no model2vec model", dir.display()));
    let read = |name: &str| {
        let path = dir.join(name);
        let size = std::fs::metadata(&path).map_err(|error| failed().because(format!("{name}: {error}")))?.len();
        if size > MAX_MODEL_BYTES {
            return Err(failed().because(format!("{name} has {size} bytes, at most {MAX_MODEL_BYTES} are read")));
        }
        std::fs::read(&path).map_err(|error| failed().because(format!("{name}: {error}")))
    };
    let name = dir.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let id = name.unwrap_or_else(|| "static".to_owned());
    let (config, weights, tokenizer) = (read("config.json")?, read("model.safetensors")?, read("tokenizer.json")?);
    StaticModel::from_parts(&id, &config, weights, &tokenizer).map_err(|error| failed().because(error))
}
