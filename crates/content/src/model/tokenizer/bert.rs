//! The word rules of BERT models: clean, set Chinese characters apart, strip accents, lower-case, then split at white
//! space and around every punctuation sign. Each step can be switched off in `tokenizer.json`.

use super::Word;
use unicode_normalization::char::decompose_canonical;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The switches of a `BertNormalizer`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Drop control characters, make all white space equal.
    pub(super) clean_text: bool,
    /// Each Chinese character is a word of its own.
    pub(super) handle_chinese_chars: bool,
    /// NFD without nonspacing marks.
    pub(super) strip_accents: bool,
    /// Lower-case each character on its own.
    pub(super) lowercase: bool,
}

/// Calls `on_word` with each word's bytes and number of characters until it says that no more are wanted.
pub(super) fn for_each_word(
    text: &str,
    options: Options,
    max_chars: usize,
    on_word: &mut impl FnMut(&[u8], usize) -> bool,
) {
    let mut word = Word::new(max_chars);
    for character in text.chars() {
        let goes_on = if options.clean_text && is_dropped(character) {
            true
        } else if options.handle_chinese_chars && is_chinese(character) {
            word.flush(on_word)
                && normalise(character, options, &mut |part| take(part, &mut word, on_word))
                && word.flush(on_word)
        } else {
            normalise(character, options, &mut |part| take(part, &mut word, on_word))
        };
        if !goes_on {
            return;
        }
    }
    word.flush(on_word);
}

fn normalise(character: char, options: Options, take: &mut impl FnMut(char) -> bool) -> bool {
    let mut goes_on = true;
    let mut lowered = |part: char| {
        if options.lowercase {
            for part in part.to_lowercase() {
                goes_on &= take(part);
            }
        } else {
            goes_on &= take(part);
        }
    };
    if options.strip_accents {
        decompose_canonical(character, |part| {
            if part.general_category() != GeneralCategory::NonspacingMark {
                lowered(part);
            }
        });
    } else {
        lowered(character);
    }
    goes_on
}

fn take(part: char, word: &mut Word, on_word: &mut impl FnMut(&[u8], usize) -> bool) -> bool {
    if part.is_whitespace() {
        return word.flush(on_word);
    }
    if part.is_ascii_punctuation() || part.general_category_group() == GeneralCategoryGroup::Punctuation {
        let goes_on = word.flush(on_word);
        word.push(part);
        return word.flush(on_word) && goes_on;
    }
    word.push(part);
    true
}

/// NUL, the replacement character and everything of category C but tab and line ends.
fn is_dropped(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => matches!(
            character.general_category(),
            GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse
        ),
    }
}

/// The blocks that the reference tokenizer takes for Chinese.
const fn is_chinese(character: char) -> bool {
    matches!(character,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2b73f}'
        | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}
