//! Static models computed in this process: the built-in one, or any model2vec directory.
//!
//! A batch is computed on a blocking thread (nine tenths of the time is tokenising, well above half a millisecond). One
//! call runs one batch at a time; who calls holds credit, so the threads in use are bounded by that credit.

use super::adapter::{EmbedError, Embedder, ReadText, index_id};
use super::batch::{InOrder, plan};
use argiope_content::model::{StaticModel, Tokenizer};
use argiope_store::vectors::IndexModel;
use async_trait::async_trait;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

/// Texts of a batch: about 25 ms of one thread, which bounds what goes on after a call was dropped.
const BATCH_ITEMS: usize = 64;
/// Texts of known tokens that are computed in place: 32 of the largest usual size take less than the half millisecond
/// from which on work leaves the async threads, and a text is a tenth of the work when its tokens are known.
const INLINE_ITEMS: usize = 32;
/// Bytes of a batch's texts: 64 chunks of the largest usual size.
const BATCH_BYTES: usize = 128 * 1024;
/// `model.safetensors`; the largest published static models have about 500 MB.
const MAX_WEIGHTS_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// `config.json` and `tokenizer.json`; multilingual vocabularies reach 30 MB.
const MAX_JSON_BYTES: u64 = 128 * 1024 * 1024;

/// Embeds with a static model.
#[derive(Debug)]
pub struct LocalEmbedder {
    source: Source,
    model: IndexModel,
}

#[derive(Debug, Clone)]
enum Source {
    Builtin,
    Loaded(Arc<StaticModel>),
}

impl Source {
    fn model(&self) -> &StaticModel {
        match self {
            Self::Builtin => StaticModel::builtin(),
            Self::Loaded(model) => model,
        }
    }
}

impl LocalEmbedder {
    /// The model that is part of the binary.
    #[must_use]
    pub fn builtin() -> Self {
        Self::new(Source::Builtin)
    }

    /// Loads a model2vec directory: `config.json`, `model.safetensors`, `tokenizer.json`. Its id is the directory's
    /// name. Blocks for as long as reading the files takes.
    ///
    /// # Errors
    /// When a file cannot be read, or the files are no model that this reader computes exactly.
    pub fn from_dir(path: impl AsRef<Path>) -> Result<Self, EmbedError> {
        let path = path.as_ref();
        // `model/.` and a link have the name of what they stand for.
        let whole = path.canonicalize().map_err(|source| EmbedError::File { path: path.to_owned(), source })?;
        let id = index_id(&whole.file_name().unwrap_or_default().to_string_lossy());
        if id.is_empty() {
            return Err(EmbedError::Option { option: "model directory", why: "it has no name".to_owned() });
        }
        let config = read_capped(&whole.join("config.json"), MAX_JSON_BYTES)?;
        let tokenizer = read_capped(&whole.join("tokenizer.json"), MAX_JSON_BYTES)?;
        let weights = read_capped(&whole.join("model.safetensors"), MAX_WEIGHTS_BYTES)?;
        let model = StaticModel::from_parts(&id, &config, weights, &tokenizer)
            .map_err(|source| EmbedError::Model { path: path.to_owned(), source })?;
        Ok(Self::new(Source::Loaded(Arc::new(model))))
    }

    fn new(source: Source) -> Self {
        let (id, dimension) = (source.model().id().to_owned(), source.model().dimension());
        Self { source, model: IndexModel { id, dimension } }
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &IndexModel {
        &self.model
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.source.model().tokenizer()
    }

    async fn embed(&self, mut texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let sizes: Vec<usize> = texts.iter().map(String::len).collect();
        let mut all = InOrder::new(texts.len());
        for places in plan(&sizes, BATCH_ITEMS, BATCH_BYTES) {
            let taken = |place: &usize| texts.get_mut(*place).map(std::mem::take);
            let batch: Vec<String> = places.iter().filter_map(taken).collect();
            let source = self.source.clone();
            let embedded = tokio::task::spawn_blocking(move || {
                let model = source.model();
                batch.iter().map(|text| model.embed(text)).collect::<Vec<_>>()
            });
            all.put(&places, embedded.await.map_err(|_| EmbedError::Ended)?);
        }
        all.into_all().ok_or(EmbedError::Ended)
    }

    async fn embed_read(&self, texts: Vec<ReadText<'_>>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let model = self.source.model();
        let mut vectors = Vec::with_capacity(texts.len());
        for part in texts.chunks(INLINE_ITEMS) {
            if !vectors.is_empty() {
                tokio::task::yield_now().await;
            }
            vectors.extend(part.iter().map(|read| model.embed_ids(read.token_ids)));
        }
        Ok(vectors)
    }
}

fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>, EmbedError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(cap + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap {
            return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {cap} bytes")));
        }
        Ok(bytes)
    };
    read().map_err(|source| EmbedError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::ErrorCode;

    /// The built-in model's files, as a user would have them in a directory.
    fn directory(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/model");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(files.join(file), path.join(file)).unwrap();
        }
        (place, path)
    }

    #[tokio::test]
    async fn vectors_come_in_the_order_of_the_texts() {
        let embedder = LocalEmbedder::builtin();
        let texts: Vec<String> =
            (0..200).map(|n| "logging and configuration ".repeat((n * 37) % 50) + &n.to_string()).collect();
        let vectors = embedder.embed(texts.clone()).await.unwrap();
        let expected: Vec<Vec<f32>> = texts.iter().map(|text| StaticModel::builtin().embed(text)).collect();
        assert!(vectors == expected);
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| embedder.tokenizer().ids(text)).collect();
        let read = texts.iter().zip(&ids).map(|(text, token_ids)| ReadText { text, token_ids }).collect();
        assert!(embedder.embed_read(read).await.unwrap() == expected);
        assert_eq!(embedder.embed(Vec::new()).await.unwrap(), Vec::<Vec<f32>>::new());
        assert_eq!(embedder.embed(vec![String::new()]).await.unwrap(), [vec![0.0; 256]]);
    }

    #[tokio::test]
    async fn a_directory_gives_the_vectors_of_its_model_and_its_name() {
        let (_place, path) = directory("my model@2");
        let embedder = LocalEmbedder::from_dir(path.join(".")).unwrap();
        assert_eq!(embedder.model(), &IndexModel { id: "my-model-2".to_owned(), dimension: 256 });
        assert_eq!(embedder.tokenizer().count("a working directory"), 3);
        let text = "How do I stash changes in a dirty working directory?";
        assert_eq!(embedder.embed(vec![text.to_owned()]).await.unwrap(), [StaticModel::builtin().embed(text)]);
    }

    #[test]
    fn a_directory_that_is_no_model_is_refused_by_name() {
        let check = |break_it: &dyn Fn(&Path), expected: &str| {
            let (_place, path) = directory("model");
            break_it(&path);
            let error = LocalEmbedder::from_dir(&path).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::EmbedderUnavailable, false));
        };
        check(&|path| std::fs::remove_file(path.join("tokenizer.json")).unwrap(), "tokenizer.json");
        check(&|path| std::fs::remove_dir_all(path).unwrap(), "model");
        check(&|path| std::fs::write(path.join("model.safetensors"), b"no").unwrap(), "load the model in");
    }
}
