//! The BM25 model of one language with a memory for words.
//!
//! Stop words, stemming and hashing are the engine's own and cost 0.1 ms a chunk. What they make of a word depends
//! on nothing but the word, and the same words come again and again: each is asked for once and looked up then.

use crate::{Error, Result};
use qdrant_edge::bm25_embed::{EdgeBm25, EdgeBm25Config};
use qdrant_edge::{SparseVector, TokenizerType};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Words remembered for a language: some megabytes. English documentation of 34,000 chunks has 40,000 of them.
const MAX_WORDS: usize = 65_536;
/// Longer words are mostly numbers, keys and data, which do not come again.
const MAX_WORD_BYTES: usize = 24;

/// Turns texts of one language into sparse vectors.
#[derive(Debug)]
pub(crate) struct Words {
    model: EdgeBm25,
    /// BM25's parameters, as the model has them.
    saturation: f64,
    length_share: f64,
    average_words: f64,
    /// Whether words end where letters and digits end; the rest is left to the engine.
    is_split_by_signs: bool,
    /// The dimension of each word, or `None` for a stop word.
    known: Mutex<HashMap<Box<str>, Option<u32>>>,
}

impl Words {
    pub(crate) fn try_new(config: EdgeBm25Config) -> Result<Self> {
        Ok(Self {
            saturation: config.k.into_inner(),
            length_share: config.b.into_inner(),
            average_words: config.avg_len.into_inner(),
            is_split_by_signs: config.tokenizer == TokenizerType::Word,
            known: Mutex::default(),
            model: EdgeBm25::new(config).map_err(|error| Error::engine("set up BM25", error))?,
        })
    }

    pub(crate) fn embed_query(&self, text: &str) -> SparseVector {
        self.model.embed_query(text)
    }

    /// The engine's `embed_document`. Where two words of a text have one dimension, both are counted; the engine
    /// counts one of them.
    pub(crate) fn embed_document(&self, text: &str) -> SparseVector {
        if !self.is_split_by_signs {
            return self.model.embed_document(text);
        }
        let mut dimensions = self.dimensions(text);
        let n_words = dimensions.len() as f64;
        dimensions.sort_unstable();
        let length = self.saturation * (1.0 - self.length_share + self.length_share * n_words / self.average_words);
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for equal in dimensions.chunk_by(|a, b| a == b) {
            let n_times = equal.len() as f64;
            indices.extend(equal.first());
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32 in the index")]
            values.push((n_times * (self.saturation + 1.0) / (length + n_times)) as f32);
        }
        SparseVector { indices, values }
    }

    /// The dimension of each word that is no stop word, in the order of the text.
    fn dimensions(&self, text: &str) -> Vec<u32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dimensions = Vec::with_capacity(text.len() / 6);
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let dimension = known.get(word).copied().unwrap_or_else(|| {
                let dimension = self.model.embed_query(word).indices.first().copied();
                if word.len() <= MAX_WORD_BYTES && known.len() < MAX_WORDS {
                    known.insert(word.into(), dimension);
                }
                dimension
            });
            dimensions.extend(dimension);
        }
        dimensions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(language: &str) -> Words {
        let config = EdgeBm25Config { language: Some(language.to_owned()), ..EdgeBm25Config::default() };
        Words::try_new(config).unwrap()
    }

    /// Asked twice: from the engine and from memory.
    fn check(words: &Words, text: &str) {
        let expected = words.model.embed_document(text);
        for _ in 0..2 {
            let found = words.embed_document(text);
            assert_eq!(found.indices, expected.indices, "{text}");
            for (found, expected) in found.values.iter().zip(&expected.values) {
                assert!((found - expected).abs() < 1e-6, "{text}");
            }
        }
    }

    #[test]
    fn a_text_has_the_engines_vector() {
        let english = words("english");
        check(&english, "");
        check(&english, "the of and");
        check(
            &english,
            "Running, runs; RUN! `pg_stat_activity` = 3.14e-10 isn't naïve — 中文 Straße İstanbul x\u{301}",
        );
        check(&english, include_str!("words.rs"));
        check(&words("german"), "Die Häuser stehen am Fluß, das Haus steht nicht.");
    }

    #[test]
    fn memory_for_words_is_bounded() {
        let english = words("english");
        let text: String = (0..MAX_WORDS + 10).map(|n| format!("w{n} ")).collect();
        english.embed_document(&text);
        english.embed_document(&"x".repeat(MAX_WORD_BYTES + 1));
        assert_eq!(english.known.lock().unwrap().len(), MAX_WORDS);
        check(&english, &format!("w{} again", MAX_WORDS + 5));
    }

    proptest! {
        #[test]
        fn any_text_has_the_engines_vector(text in "[a-zA-Z0-9 .,'äßéİ一\u{301}\n-]{0,80}") {
            check(&words("english"), &text);
        }
    }
}
