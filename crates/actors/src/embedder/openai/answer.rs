//! What a server's JSON says. Every field is foreign: counts, places and numbers are checked before use.

use crate::embedder::adapter::{EmbedError, normalise};
use serde::Deserialize;
use serde_json::Value;

/// Characters of a server's message that are shown.
const MAX_MESSAGE_CHARS: usize = 300;

/// A checked answer.
#[derive(Debug, PartialEq)]
pub(super) struct Usable {
    /// In the order of the texts, rows of length 1.
    pub(super) vectors: Vec<Vec<f32>>,
    /// As the server counts them, where it says so.
    pub(super) n_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<u64>,
}

/// Reads an answer to `n_texts` texts; its items may come in any order.
pub(super) fn read(body: &[u8], n_texts: usize, model: &str, dimension: u32) -> Result<Usable, EmbedError> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| EmbedError::Answer(format!("it is no list of embeddings: {error}")))?;
    if answer.data.len() != n_texts {
        let n_vectors = answer.data.len();
        return Err(EmbedError::Answer(format!("it has {n_vectors} vectors for {n_texts} texts")));
    }
    let mut places: Vec<Option<Vec<f32>>> = vec![None; n_texts];
    for Item { index, embedding } in answer.data {
        check(&embedding, model, dimension)?;
        let twice = || EmbedError::Answer(format!("index {index} is out of range or comes twice"));
        let place = places.get_mut(index).filter(|place| place.is_none()).ok_or_else(twice)?;
        *place = Some(embedding);
    }
    let mut vectors: Vec<Vec<f32>> = places.into_iter().flatten().collect();
    vectors.iter_mut().for_each(|vector| normalise(vector));
    Ok(Usable { vectors, n_tokens: answer.usage.and_then(|usage| usage.total_tokens) })
}

fn check(vector: &[f32], model: &str, dimension: u32) -> Result<(), EmbedError> {
    if u32::try_from(vector.len()).ok() != Some(dimension) {
        return Err(EmbedError::Dimension { model: model.to_owned(), expected: dimension, found: vector.len() });
    }
    if vector.iter().any(|component| !component.is_finite()) {
        return Err(EmbedError::Answer("a component is not finite".to_owned()));
    }
    Ok(())
}

/// What an error's body says, shortened and without control characters, and whether it says that the account's quota
/// is used up. Servers differ: `{"error":{"message","code"}}`, `{"error":"…"}`, `{"message":"…"}`, `{"detail":"…"}`.
pub(super) fn message_of(body: &[u8]) -> (String, bool) {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = json.get("error");
    let found = [error.and_then(|error| error.get("message")), error, json.get("message"), json.get("detail")];
    let text = found.into_iter().flatten().find_map(Value::as_str);
    let text = text.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    let shown: String =
        text.trim().chars().take(MAX_MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let says_quota = |key| error.and_then(|error| error.get(key)).and_then(Value::as_str) == Some("insufficient_quota");
    let shown = if shown.is_empty() { "no message".to_owned() } else { shown };
    (shown, says_quota("code") || says_quota("type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_refused_with_its_reason() {
        let check = |body: &str, expected: Result<Usable, &str>| match (read(body.as_bytes(), 2, "m", 2), expected) {
            (Ok(usable), expected) => assert_eq!(Ok(usable), expected, "{body}"),
            (Err(error), Ok(_)) => panic!("{body}: {error}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} does not say {part}"),
        };
        let two = |a: &str, b: &str| format!(r#"{{"data":[{a},{b}],"usage":{{"prompt_tokens":3,"total_tokens":7}}}}"#);
        let first = r#"{"object":"embedding","index":0,"embedding":[3,4]}"#;
        let second = r#"{"index":1,"embedding":[0.0,-2e0]}"#;
        let vectors = || vec![vec![0.6, 0.8], vec![0.0, -1.0]];
        check(&two(first, second), Ok(Usable { vectors: vectors(), n_tokens: Some(7) }));
        check(&two(second, first), Ok(Usable { vectors: vectors(), n_tokens: Some(7) }));
        check(&format!(r#"{{"data":[{first},{second}]}}"#), Ok(Usable { vectors: vectors(), n_tokens: None }));
        check(&two(first, first), Err("index 0 is out of range or comes twice"));
        check(&two(first, r#"{"index":2,"embedding":[1,1]}"#), Err("index 2 is out of range"));
        check(&format!(r#"{{"data":[{first}]}}"#), Err("1 vectors for 2 texts"));
        check(&two(first, r#"{"index":1,"embedding":[1]}"#), Err("set the dimension to 1"));
        check(&two(first, r#"{"index":1,"embedding":[1,1e300]}"#), Err("not finite"));
        check(&two(first, r#"{"index":1,"embedding":[1,null]}"#), Err("no list of embeddings"));
        check(&two(first, r#"{"index":-1,"embedding":[1,1]}"#), Err("no list of embeddings"));
        check("<html>", Err("no list of embeddings"));
    }

    #[test]
    fn a_server_s_message_is_found_in_all_its_shapes() {
        let check = |body: &str, message: &str, is_quota: bool| {
            assert_eq!(message_of(body.as_bytes()), (message.to_owned(), is_quota));
        };
        check(r#"{"error":{"message":"pay first","code":"insufficient_quota"}}"#, "pay first", true);
        check(r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#, "slow down", false);
        check(r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, "Model is overloaded", false);
        check(r#"{"object":"error","message":"no such model"}"#, "no such model", false);
        check(r#"{"detail":"Not Found"}"#, "Not Found", false);
        check("bad\ngateway", "bad gateway", false);
        check("", "no message", false);
        check(&"x".repeat(9_999), &"x".repeat(300), false);
    }
}
