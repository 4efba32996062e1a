//! How much of a chunk's room a text takes.

use crate::model::Tokenizer;
use argiope_protocol::passage::indexed_text;

/// Text that the vocabulary does not know (other scripts, encoded data) has few tokens for its length: a sentence of
/// Chinese is one. English documentation has 4 to 6 bytes a token, indented code 6 to 9; above 12 length counts.
const MAX_BYTES_PER_TOKEN: usize = 12;

/// Weighs texts in tokens of the embedding model.
pub(super) struct Scale<'a> {
    tokenizer: &'a Tokenizer,
}

impl<'a> Scale<'a> {
    pub(super) const fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer }
    }

    /// Tokens of what is indexed of `text`, or a twelfth of its bytes where that is more. Weights of texts that are joined by white space
    /// add up to at least the weight of the whole.
    pub(super) fn weigh(&self, text: &str) -> usize {
        let text = &*indexed_text(text);
        self.tokenizer.count(text).max(text.len().div_ceil(MAX_BYTES_PER_TOKEN))
    }

    pub(super) fn token_ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.ids(text)
    }
}
