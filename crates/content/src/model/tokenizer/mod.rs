//! Text to token ids: words by the model's own rules, then the longest known pieces of each word.
//!
//! [`file`] reads `tokenizer.json` and accepts two sets of rules: [`documentation`], those of the built-in model's
//! card, and [`bert`], those of most published model2vec models. [`pieces`] holds the vocabulary. The text of a special
//! token (`[UNK]`) has no special meaning inside a text: a crawled page cannot speak to the model.

mod bert;
mod documentation;
mod file;
mod pieces;

use pieces::{Node, Pieces};

/// Turns text into the ids of a WordPiece vocabulary.
pub struct Tokenizer {
    pieces: Pieces,
    rules: Rules,
    /// Where a word's first piece is looked up.
    first: Node,
    /// Where its other pieces are; `None` when the vocabulary has none.
    next: Option<Node>,
    unknown: u32,
    max_word_chars: usize,
    max_id: u32,
}

/// How a text becomes words.
enum Rules {
    Documentation,
    Bert(bert::Options),
}

impl Tokenizer {
    /// Number of tokens of `text`, unknown ones included.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        let mut n_tokens = 0;
        self.for_each_word(text, &mut |word, n_chars| {
            n_tokens += self.n_pieces(word, n_chars);
            true
        });
        n_tokens
    }

    /// The token ids of `text`.
    #[must_use]
    pub fn ids(&self, text: &str) -> Vec<u32> {
        self.first_ids(text, usize::MAX)
    }

    /// The first `limit` token ids of `text`.
    pub(super) fn first_ids(&self, text: &str, limit: usize) -> Vec<u32> {
        // Real text has a token in about every five bytes.
        let mut ids = Vec::with_capacity((text.len() / 4 + 8).min(limit.saturating_add(8)));
        let mut on_word = |word: &[u8], n_chars: usize| {
            self.push_word(word, n_chars, &mut ids);
            ids.len() < limit
        };
        self.for_each_word(text, &mut on_word);
        ids.truncate(limit);
        ids
    }

    /// Calls `on_word` with each word's bytes and number of characters until it says that no more are wanted.
    fn for_each_word(&self, text: &str, on_word: &mut impl FnMut(&[u8], usize) -> bool) {
        match &self.rules {
            Rules::Documentation => documentation::for_each_word(text, self.max_word_chars, on_word),
            Rules::Bert(options) => bert::for_each_word(text, *options, self.max_word_chars, on_word),
        }
    }

    /// The id of what is not in the vocabulary.
    pub(super) const fn unknown_id(&self) -> u32 {
        self.unknown
    }

    /// The largest id.
    pub(super) const fn max_id(&self) -> u32 {
        self.max_id
    }

    /// Number of ids that [`Self::push_word`] adds.
    fn n_pieces(&self, word: &[u8], n_chars: usize) -> usize {
        let mut node = (n_chars <= self.max_word_chars).then_some(self.first);
        let (mut rest, mut n_pieces) = (word, 0);
        while !rest.is_empty() {
            let Some((_, n_bytes)) = node.and_then(|node| self.pieces.longest(node, rest)) else { return 1 };
            n_pieces += 1;
            rest = rest.get(n_bytes..).unwrap_or_default();
            node = self.next;
        }
        n_pieces
    }

    /// The longest known piece from the left, again and again; the whole word is unknown if at some point none fits.
    fn push_word(&self, word: &[u8], n_chars: usize, ids: &mut Vec<u32>) {
        let n_before = ids.len();
        let mut node = (n_chars <= self.max_word_chars).then_some(self.first);
        let mut rest = word;
        while !rest.is_empty() {
            let Some((id, n_bytes)) = node.and_then(|node| self.pieces.longest(node, rest)) else {
                ids.truncate(n_before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = rest.get(n_bytes..).unwrap_or_default();
            node = self.next;
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("max_id", &self.max_id).finish_non_exhaustive()
    }
}

/// A word that is put together character by character.
struct Word {
    bytes: Vec<u8>,
    n_chars: usize,
    max_chars: usize,
}

impl Word {
    fn new(max_chars: usize) -> Self {
        Self { bytes: Vec::new(), n_chars: 0, max_chars }
    }

    /// Adds a character. Beyond the longest word that can be known only the count grows.
    fn push(&mut self, character: char) {
        self.n_chars += 1;
        if self.n_chars <= self.max_chars {
            self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Hands the word over, if there is one, and starts the next. Says whether more words are wanted.
    fn flush(&mut self, on_word: &mut impl FnMut(&[u8], usize) -> bool) -> bool {
        if self.n_chars == 0 {
            return true;
        }
        let goes_on = on_word(&self.bytes, self.n_chars);
        self.bytes.clear();
        self.n_chars = 0;
        goes_on
    }
}
