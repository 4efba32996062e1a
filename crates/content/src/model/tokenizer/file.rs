//! `tokenizer.json` of the Hugging Face format: what of it is understood, and a refusal of the rest.

use super::bert::Options;
use super::pieces::{Pieces, ROOT};
use super::{Rules, Tokenizer};
use crate::model::ModelError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

const FILE: &str = "tokenizer.json";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Value,
    pre_tokenizer: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    r#type: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Truncation, padding and post-processing do not matter to a static model and are not
    /// looked at.
    pub(in crate::model) fn from_json(json: &[u8]) -> Result<Self, ModelError> {
        let file: File = serde_json::from_slice(json).map_err(|source| refusal(json, source))?;
        let model = file.model;
        if model.r#type != "WordPiece" {
            return Err(ModelError::unsupported("tokenizer.json model", model.r#type));
        }
        if let Some(token) = file.added_tokens.iter().find(|token| !token.special) {
            return Err(ModelError::unsupported("tokenizer.json added token that is not special", &token.content));
        }
        let rules = rules(&file.normalizer, &file.pre_tokenizer)?;
        let unknown = *model.vocab.get(&model.unk_token).ok_or_else(|| {
            ModelError::Mismatch(format!("the unknown token {:?} is not in the vocabulary", model.unk_token))
        })?;
        let max_id = model.vocab.values().copied().max().unwrap_or(0);
        if max_id == u32::MAX {
            return Err(ModelError::Mismatch("a token id beyond all tables".to_owned()));
        }
        // Some vocabularies list the empty string; a piece has at least one byte.
        let known = model.vocab.iter().filter(|(piece, _)| !piece.is_empty());
        let pieces = Pieces::new(known.map(|(piece, id)| (piece.as_str(), *id)));
        let next = pieces.descend(ROOT, model.continuing_subword_prefix.as_bytes());
        Ok(Self { pieces, rules, first: ROOT, next, unknown, max_word_chars: model.max_input_chars_per_word, max_id })
    }
}

/// Other kinds of model have other fields, so that reading fails before the kind is looked at.
fn refusal(json: &[u8], source: serde_json::Error) -> ModelError {
    let kind = serde_json::from_slice::<Value>(json).ok();
    match kind.as_ref().and_then(|value| value.pointer("/model/type")).and_then(Value::as_str) {
        Some(kind) if kind != "WordPiece" => ModelError::unsupported("tokenizer.json model", kind),
        _ => ModelError::Json { file: FILE, source },
    }
}

fn rules(normalizer: &Value, pre_tokenizer: &Value) -> Result<Rules, ModelError> {
    match normalizer.get("type").and_then(Value::as_str) {
        Some("BertNormalizer") if pre_tokenizer == &json!({"type": "BertPreTokenizer"}) => bert(normalizer),
        Some("BertNormalizer") => Err(ModelError::unsupported("tokenizer.json pre_tokenizer", pre_tokenizer)),
        _ if normalizer != &documentation_normalizer() => {
            Err(ModelError::unsupported("tokenizer.json normalizer", normalizer))
        }
        _ if pre_tokenizer != &documentation_pre_tokenizer() => {
            Err(ModelError::unsupported("tokenizer.json pre_tokenizer", pre_tokenizer))
        }
        _ => Ok(Rules::Documentation),
    }
}

fn bert(normalizer: &Value) -> Result<Rules, ModelError> {
    let switch = |name: &str| match normalizer.get(name) {
        Some(Value::Bool(on)) => Ok(Some(*on)),
        None | Some(Value::Null) => Ok(None),
        Some(other) => Err(ModelError::unsupported("tokenizer.json normalizer switch", other)),
    };
    let lowercase = switch("lowercase")?.unwrap_or(true);
    Ok(Rules::Bert(Options {
        clean_text: switch("clean_text")?.unwrap_or(true),
        handle_chinese_chars: switch("handle_chinese_chars")?.unwrap_or(true),
        // Where it is not said, accents go when capitals do.
        strip_accents: switch("strip_accents")?.unwrap_or(lowercase),
        lowercase,
    }))
}

fn documentation_normalizer() -> Value {
    json!({"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"Regex": "(?<=[a-z0-9])(?=[A-Z])"}, "content": " "},
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
    ]})
}

fn documentation_pre_tokenizer() -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "[^\\p{L}\\p{N}]+"}, "behavior": "Removed", "invert": false},
        {"type": "Split", "pattern": {"Regex": "\\p{N}{1,4}"}, "behavior": "Isolated", "invert": false},
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(normalizer: Value, pre_tokenizer: Value, model: Value, added: Value) -> Vec<u8> {
        let file = json!({"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model,
            "added_tokens": added});
        serde_json::to_vec(&file).unwrap()
    }

    fn word_piece() -> Value {
        json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 60, "vocab": {"[UNK]": 0, "a": 1}})
    }

    #[test]
    fn what_cannot_be_done_exactly_is_refused_by_name() {
        let check = |file: Vec<u8>, expected: &str| {
            let message = Tokenizer::from_json(&file).map(|_| "loaded".to_owned()).unwrap_or_else(|e| e.to_string());
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        };
        let (normal, split) = (documentation_normalizer, documentation_pre_tokenizer);
        check(json(normal(), split(), word_piece(), json!([])), "loaded");
        let bert = || json!({"type": "BertNormalizer"});
        check(json(bert(), json!({"type": "BertPreTokenizer"}), word_piece(), json!([])), "loaded");
        check(json(bert(), split(), word_piece(), json!([])), "pre_tokenizer is not supported");
        check(json(json!(null), split(), word_piece(), json!([])), "normalizer is not supported");
        check(json(normal(), json!({"type": "Whitespace"}), word_piece(), json!([])), "Whitespace");
        check(json(normal(), split(), json!({"type": "Unigram", "vocab": [["a", -1.0]]}), json!([])), "Unigram");
        check(json(normal(), split(), word_piece(), json!([{"content": "<x>", "special": false}])), "<x>");
        check(b"{".to_vec(), "read tokenizer.json");
        let mut without_unknown = word_piece();
        without_unknown["vocab"] = json!({"a": 1});
        check(json(normal(), split(), without_unknown, json!([])), "unknown token");
    }
}
