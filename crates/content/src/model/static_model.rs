//! A static embedding model: the sum of its tokens' rows, scaled to length 1.

use super::matrix::Matrix;
use super::{ModelError, Tokenizer};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Tokens of a text that are embedded, unknown ones counted; the rest of the text is ignored. The model card's scores
/// were measured with this limit.
pub const MAX_EMBEDDED_TOKENS: usize = 512;

const BUILTIN_ID: &str = "docs-static-256p";

static BUILTIN: LazyLock<StaticModel> = LazyLock::new(|| {
    let weights = include_bytes!("../../model/model.safetensors");
    StaticModel::load(
        BUILTIN_ID,
        include_bytes!("../../model/config.json"),
        Cow::Borrowed(weights.as_slice()),
        include_bytes!("../../model/tokenizer.json"),
    )
    .expect("the files are part of this crate and its tests load them")
});

/// A model that turns a text into one vector without looking at word order.
pub struct StaticModel {
    id: String,
    tokenizer: Tokenizer,
    matrix: Matrix,
}

#[derive(Deserialize)]
struct Config {
    hidden_dim: Option<usize>,
}

impl StaticModel {
    /// The model that is part of the binary: English technical documentation, 256 components. Its tables are built at
    /// the first call, which takes some tens of milliseconds.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Reads a model2vec directory's three files. `id` names the model wherever its vectors are stored.
    ///
    /// # Errors
    /// When a file is damaged, when the files do not belong together, or when one asks for a step that this reader
    /// does not do exactly.
    pub fn from_parts(
        id: &str,
        config: &[u8],
        safetensors: Vec<u8>,
        tokenizer_json: &[u8],
    ) -> Result<Self, ModelError> {
        Self::load(id, config, Cow::Owned(safetensors), tokenizer_json)
    }

    fn load(
        id: &str,
        config: &[u8],
        safetensors: Cow<'static, [u8]>,
        tokenizer_json: &[u8],
    ) -> Result<Self, ModelError> {
        let config: Config =
            serde_json::from_slice(config).map_err(|source| ModelError::Json { file: "config.json", source })?;
        let matrix = Matrix::from_safetensors(safetensors)?;
        if let Some(dimension) = config.hidden_dim
            && dimension != matrix.dimension()
        {
            let found = matrix.dimension();
            return Err(ModelError::Mismatch(format!("hidden_dim is {dimension}, the rows have {found}")));
        }
        let tokenizer = Tokenizer::from_json(tokenizer_json)?;
        if tokenizer.max_id() as usize >= matrix.n_rows() {
            let (id, rows) = (tokenizer.max_id(), matrix.n_rows());
            return Err(ModelError::Mismatch(format!("the tokenizer's id {id} has no row among {rows}")));
        }
        Ok(Self { id: id.to_owned(), tokenizer, matrix })
    }

    /// The name under which vectors of this model are stored.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Components of a vector.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        u32::try_from(self.matrix.dimension()).expect("a loaded matrix has at most 4,096 components a row")
    }

    /// The model's tokenizer, which also measures chunks.
    #[must_use]
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The vector of `text`, of length 1; all zero when the text holds no known token. Shape `[dimension]`.
    #[must_use]
    pub fn embed(&self, text: &str) -> Vec<f32> {
        self.embed_ids(&self.tokenizer.first_ids(text, MAX_EMBEDDED_TOKENS))
    }

    /// The vector of the text with these token ids, all of them or at least the first [`MAX_EMBEDDED_TOKENS`].
    #[must_use]
    pub fn embed_ids(&self, ids: &[u32]) -> Vec<f32> {
        let unknown = self.tokenizer.unknown_id();
        let mut vector = self.matrix.sum(ids.iter().take(MAX_EMBEDDED_TOKENS).copied().filter(|id| *id != unknown));
        let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|component| *component /= length);
        }
        vector
    }
}

impl std::fmt::Debug for StaticModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticModel").field("id", &self.id).field("dimension", &self.matrix.dimension()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, ids: &[u32], first_components: [f32; 8]) {
        let model = StaticModel::builtin();
        assert_eq!(model.tokenizer().ids(text), ids, "{text}");
        assert_eq!(model.tokenizer().count(text), ids.len(), "{text}");
        let vector = model.embed(text);
        assert_eq!(vector.len(), 256);
        assert_eq!(model.embed_ids(ids), vector, "{text}");
        for (component, expected) in vector.iter().zip(first_components) {
            assert!((component - expected).abs() < 1e-4, "{text}: {component} is not {expected}");
        }
    }

    #[test]
    fn the_card_s_test_vectors_are_met() {
        check(
            "How do I stash changes in a dirty working directory?",
            &[1082, 763, 19, 19230, 1287, 411, 11, 7830, 2359, 1034],
            [-0.05722, 0.14952, 0.02569, -0.00626, -0.14870, 0.05674, 0.00845, 0.07540],
        );
        check(
            "getElementById returns NULL in x86_64 builds",
            &[594, 795, 515, 618, 703, 1381, 411, 34, 2093, 1188, 3808],
            [0.12541, 0.07536, -0.13048, 0.01380, 0.04275, 0.06874, 0.07710, -0.10246],
        );
        check(
            "Ünïcode naïve café 20230508 — 日本 qqzxjkw",
            &[1932, 6648, 11636, 201, 4710, 4008, 12086, 8625, 13107, 230, 232, 218, 18066],
            [-0.08142, 0.02122, -0.21267, -0.07534, -0.00279, 0.01337, 0.04760, 0.13285],
        );
    }

    #[test]
    fn only_the_first_512_tokens_count_and_nothing_known_gives_zero() {
        let model = StaticModel::builtin();
        let long = "logging ".repeat(MAX_EMBEDDED_TOKENS);
        assert_eq!(model.embed(&long), model.embed(&format!("{long} and something else")));
        assert_eq!(model.embed(&long), model.embed_ids(&model.tokenizer().ids(&format!("{long} and something else"))));
        assert_eq!(model.embed(""), vec![0.0; 256]);
        assert_eq!(model.embed(&"x".repeat(61)), vec![0.0; 256]);
        let length: f32 = model.embed("a working directory").iter().map(|component| component * component).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }

    /// A model of three tokens and two components whose tensors are written by `data`.
    fn tiny(header: &str, data: &[u8], config: &str) -> Result<StaticModel, ModelError> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(data);
        let tokenizer = json!({
            "added_tokens": [{"content": "[PAD]", "special": true}],
            "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "b": 1, "##c": 2}},
        });
        StaticModel::from_parts("tiny", config.as_bytes(), file, tokenizer.to_string().as_bytes())
    }

    #[test]
    fn the_common_float_layouts_load_and_unknown_tokens_add_nothing() {
        let singles: Vec<u8> = [9.0, 9.0, 3.0, 0.0, 0.0, 4.0_f32].iter().flat_map(|f| f.to_le_bytes()).collect();
        let halves: Vec<u8> = [0x4880, 0x4880, 0x4200, 0, 0, 0x4400_u16].iter().flat_map(|h| h.to_le_bytes()).collect();
        let header =
            |kind, end| format!(r#"{{"embeddings":{{"dtype":"{kind}","shape":[3,2],"data_offsets":[0,{end}]}}}}"#);
        for model in [tiny(&header("F32", 24), &singles, "{}"), tiny(&header("F16", 12), &halves, "{}")] {
            let model = model.unwrap();
            assert_eq!((model.id(), model.dimension()), ("tiny", 2));
            assert_eq!(model.embed("Bc, d!"), [0.6, 0.8]);
        }
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let check = |header: &str, n_bytes: usize, config: &str, expected: &str| {
            let message =
                tiny(header, &vec![0x7f; n_bytes], config).map(|_| String::new()).unwrap_or_else(|e| e.to_string());
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        };
        let rows =
            |n: usize| format!(r#"{{"embeddings":{{"dtype":"I8","shape":[{n},2],"data_offsets":[0,{}]}}}}"#, 2 * n);
        check(&rows(3), 6, "{}", "");
        check(&rows(3), 6, "no", "config.json");
        check(&rows(3), 6, r#"{"hidden_dim":3}"#, "hidden_dim is 3");
        check(&rows(2), 4, "{}", "has no row");
        check("{}", 0, "{}", "no tensor named embeddings");
        check(r#"{"embeddings":{"dtype":"I8","shape":[6],"data_offsets":[0,6]}}"#, 6, "{}", "1 axes");
        check(r#"{"embeddings":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]}}"#, 12, "{}", "not finite");
        let extra = |name| {
            format!(
                r#"{{"embeddings":{{"dtype":"I8","shape":[3,2],"data_offsets":[0,6]}},"{name}":{{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}}}"#
            )
        };
        check(&extra("mapping"), 6, "{}", "mapping");
        check(&extra("weights"), 6, "{}", "weights of shape");
    }
}
