//! The BM25 side: text in, sparse vectors out. Hashing, stop words and stemming are the engine's own, so that a
//! server's index and this one agree. The engine adds the inverse document frequency when it is asked.

use super::ChunkPayload;
use super::words::Words;
use crate::{Error, Result};
use argiope_protocol::passage::indexed_text;
use qdrant_edge::SparseVector;
use qdrant_edge::TokenizerType;
use qdrant_edge::bm25_embed::EdgeBm25Config;
use qdrant_edge::external::ordered_float::NotNan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Languages whose stemmer and stop words the engine has, by ISO 639-1 code.
const LANGUAGES: [(&str, &str); 28] = [
    ("ar", "arabic"),
    ("az", "azerbaijani"),
    ("bn", "bengali"),
    ("ca", "catalan"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", FALLBACK),
    ("es", "spanish"),
    ("eu", "basque"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("he", "hebrew"),
    ("hu", "hungarian"),
    ("id", "indonesian"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("kk", "kazakh"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("no", "norwegian"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sl", "slovene"),
    ("sv", "swedish"),
    ("tr", "turkish"),
    ("zh", "chinese"),
];

/// For texts whose language is unknown or has no stemmer: most technical terms are English.
const FALLBACK: &str = "english";

/// Average number of words in a chunk after stop words: 950 characters (256 tokens) of 646 crates' READMEs have 96 such
/// words on average, and chunks are seldom full.
pub(crate) const AVERAGE_WORDS: f64 = 90.0;

/// Languages a question is stemmed in at most when its filter names none.
const MAX_QUERY_LANGUAGES: usize = 4;

/// Words of one question that are looked up at most: each one is a walk over a posting list.
const MAX_QUERY_WORDS: usize = 256;

/// Turns texts into sparse vectors, each in its language.
#[derive(Debug)]
pub(crate) struct Lexical {
    average_words: NotNan<f64>,
    models: Mutex<BTreeMap<&'static str, Arc<Words>>>,
    /// Languages of the stored chunks, those of most chunks first.
    stored: RwLock<Vec<&'static str>>,
}

impl Lexical {
    /// # Errors
    /// When the average is not above zero.
    pub(crate) fn try_new(average_words: f64) -> Result<Self> {
        let average_words =
            NotNan::new(average_words).map_err(|error| Error::engine("read the average chunk length", error))?;
        let lexical = Self { average_words, models: Mutex::default(), stored: RwLock::default() };
        lexical.model(FALLBACK)?;
        Ok(lexical)
    }

    /// Notes that chunks of a language are stored, so that questions are asked in it too.
    pub(crate) fn note_stored(&self, code: Option<&str>) {
        let language = language_of(code);
        if self.stored.read().unwrap_or_else(PoisonError::into_inner).contains(&language) {
            return;
        }
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        if stored.len() < MAX_QUERY_LANGUAGES && !stored.contains(&language) {
            stored.push(language);
        }
    }

    /// The vector of a chunk: its title, headings and text, without link targets. Empty when nothing but stop words is left.
    pub(crate) fn embed_chunk(&self, chunk: &ChunkPayload) -> Result<SparseVector> {
        let model = self.model(language_of(chunk.language.as_deref()))?;
        let mut text = String::with_capacity(chunk.text.len() + chunk.title.len() + 64);
        for part in std::iter::once(&chunk.title).chain(&chunk.heading_path) {
            text.push_str(part);
            text.push('\n');
        }
        text.push_str(&indexed_text(&chunk.text));
        Ok(model.embed_document(&text))
    }

    /// The vector of a question, in `language` or, without one, in the languages that are stored.
    pub(crate) fn embed_query(&self, text: &str, language: Option<&str>) -> Result<SparseVector> {
        let languages = match language {
            Some(code) => vec![language_of(Some(code))],
            None => self.stored.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let mut weights = self.weigh(text, &languages, true)?;
        if weights.is_empty() {
            weights = self.weigh(text, &languages, false)?;
        }
        let (indices, values) = weights.into_iter().take(MAX_QUERY_WORDS).unzip();
        Ok(SparseVector { indices, values })
    }

    /// The words of a question in each language. A word that one of the languages stops is asked in none: the few
    /// chunks of another language are the only ones that keep it, so it would seem rare and outweigh all others.
    fn weigh(&self, text: &str, languages: &[&'static str], stop: bool) -> Result<BTreeMap<u32, f32>> {
        let models = languages.iter().map(|language| self.model(language)).collect::<Result<Vec<_>>>()?;
        let mut weights = BTreeMap::new();
        for word in text.split_whitespace().take(MAX_QUERY_WORDS) {
            let vectors: Vec<_> = models.iter().map(|model| model.embed_query(word)).collect();
            if stop && vectors.iter().any(|vector| vector.indices.is_empty()) {
                continue;
            }
            weights.extend(vectors.into_iter().flat_map(|vector| vector.indices.into_iter().zip(vector.values)));
        }
        Ok(weights)
    }

    fn model(&self, language: &'static str) -> Result<Arc<Words>> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(language) {
            return Ok(Arc::clone(model));
        }
        let tokenizer = match language {
            // Words are not separated by spaces.
            "chinese" | "japanese" => TokenizerType::Multilingual,
            _ => TokenizerType::Word,
        };
        let config = EdgeBm25Config {
            avg_len: self.average_words,
            language: Some(language.to_owned()),
            tokenizer,
            ..EdgeBm25Config::default()
        };
        let model = Arc::new(Words::try_new(config)?);
        models.insert(language, Arc::clone(&model));
        Ok(model)
    }
}

fn language_of(code: Option<&str>) -> &'static str {
    let known = |code| LANGUAGES.iter().find(|(iso, _)| *iso == code).map(|(_, name)| *name);
    code.and_then(known).unwrap_or(FALLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::vectors::chunk;

    #[test]
    fn every_language_has_a_model() {
        let lexical = Lexical::try_new(120.0).unwrap();
        for (code, _) in LANGUAGES {
            assert!(!lexical.embed_query("Konfiguration 2024", Some(code)).unwrap().indices.is_empty(), "{code}");
        }
    }

    #[test]
    fn questions_are_stemmed_in_the_languages_that_are_stored() {
        let lexical = Lexical::try_new(120.0).unwrap();
        assert!(lexical.embed_query("running", None).unwrap().indices.is_empty());
        lexical.note_stored(Some("en"));
        let english = lexical.embed_query("running", None).unwrap();
        assert_eq!(english, lexical.embed_query("run", Some("en")).unwrap());
        lexical.note_stored(Some("de"));
        assert_eq!(lexical.embed_query("running", None).unwrap().indices.len(), 2);
    }

    #[test]
    fn a_stop_word_of_one_stored_language_is_asked_in_none() {
        let lexical = Lexical::try_new(120.0).unwrap();
        lexical.note_stored(Some("en"));
        lexical.note_stored(Some("de"));
        let words = |text: &str| lexical.embed_query(text, None).unwrap().indices.len();
        assert_eq!(words("to the server"), words("server"));
        assert!(words("to the") > 0, "nothing but stop words is still a question");
    }

    #[test]
    fn the_target_of_a_link_is_no_text_of_the_chunk() {
        let lexical = Lexical::try_new(120.0).unwrap();
        let embed = |text: &str| {
            lexical.embed_chunk(&chunk(&argiope_protocol::TenantId::default(), 1, text, 0, 1).payload).unwrap()
        };
        assert_eq!(embed("see [vacuum](http://docs.example/routine-tasks.html)"), embed("see [vacuum]"));
    }

    #[test]
    fn an_average_must_be_above_zero() {
        assert!(Lexical::try_new(0.0).is_err());
        assert!(Lexical::try_new(f64::NAN).is_err());
    }
}
