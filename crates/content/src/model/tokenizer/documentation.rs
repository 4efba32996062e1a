//! The word rules of the built-in model, steps 1 to 3 of its card: camel case apart, NFKD without marks, lower case,
//! runs of letters, runs of numbers in pieces of at most four.
//!
//! ASCII words are lower-cased into a small buffer and never allocated; a word that touches anything else is built
//! character by character. Canonical reordering, the second half of NFKD, only moves marks, and those are dropped.

use super::Word;
use unicode_normalization::char::decompose_compatible;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

const MAX_NUMBER_CHARS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// ASCII that is in no word.
    Between,
    Lower,
    Upper,
    Digit,
    /// The first or a later byte of a character beyond ASCII.
    Wide,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Between; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            0x80.. => Class::Wide,
            _ => Class::Between,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// Calls `on_word` with each word's bytes and number of characters until it says that no more are wanted.
pub(super) fn for_each_word(text: &str, max_chars: usize, on_word: &mut impl FnMut(&[u8], usize) -> bool) {
    let bytes = text.as_bytes();
    let mut word = Word::new(max_chars);
    // The longest ASCII word that fits; a longer one is unknown whatever it says.
    let mut lower = [0_u8; 64];
    let mut position = 0;
    loop {
        let end = match class_at(bytes, position) {
            Some(Class::Between) => {
                position += 1;
                continue;
            }
            Some(Class::Lower | Class::Upper) => letters_end(bytes, position),
            Some(Class::Digit) => number_end(bytes, position),
            Some(Class::Wide) => position,
            None => return,
        };
        let touches_wide = class_at(bytes, end) == Some(Class::Wide) && end - position < number_limit(bytes, position);
        let goes_on = if touches_wide {
            position = wide_words(text, position, &mut word, on_word);
            true
        } else {
            let ascii = bytes.get(position..end).unwrap_or_default();
            position = end;
            on_lower_case(ascii, &mut lower, on_word)
        };
        if !goes_on {
            return;
        }
    }
}

fn class_at(bytes: &[u8], position: usize) -> Option<Class> {
    bytes.get(position).map(|byte| CLASSES[usize::from(*byte)])
}

/// A number of four digits is complete whatever follows; anything else may go on with the next character.
fn number_limit(bytes: &[u8], position: usize) -> usize {
    if class_at(bytes, position) == Some(Class::Digit) { MAX_NUMBER_CHARS } else { usize::MAX }
}

fn on_lower_case(ascii: &[u8], lower: &mut [u8; 64], on_word: &mut impl FnMut(&[u8], usize) -> bool) -> bool {
    match lower.get_mut(..ascii.len()) {
        Some(lower) => {
            for (to, from) in lower.iter_mut().zip(ascii) {
                *to = from.to_ascii_lowercase();
            }
            on_word(lower, ascii.len())
        }
        None => on_word(&ascii.to_ascii_lowercase(), ascii.len()),
    }
}

/// The end of the letters from `start`: at what is no letter, or at a capital after a small letter.
fn letters_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    let mut after_small = false;
    loop {
        match class_at(bytes, end) {
            Some(Class::Lower) => after_small = true,
            Some(Class::Upper) if !after_small => {}
            _ => return end,
        }
        end += 1;
    }
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let n_digits = bytes.iter().skip(start).take(MAX_NUMBER_CHARS).take_while(|byte| byte.is_ascii_digit()).count();
    start + n_digits
}

/// Reads words character by character from `position` until no word is open; returns where that is.
fn wide_words(text: &str, position: usize, word: &mut Word, on_word: &mut impl FnMut(&[u8], usize) -> bool) -> usize {
    let mut position = position;
    let mut kind = GeneralCategoryGroup::Other;
    let mut before = ' ';
    for character in text.get(position..).unwrap_or_default().chars() {
        position += character.len_utf8();
        if character.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            word.flush(on_word);
        }
        before = character;
        decompose_compatible(character, |part| {
            for part in part.to_lowercase() {
                take(part, &mut kind, word, on_word);
            }
        });
        if word.n_chars == 0 {
            return position;
        }
    }
    word.flush(on_word);
    position
}

fn take(part: char, kind: &mut GeneralCategoryGroup, word: &mut Word, on_word: &mut impl FnMut(&[u8], usize) -> bool) {
    let group = part.general_category_group();
    match group {
        GeneralCategoryGroup::Mark => {}
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => {
            if group != *kind {
                word.flush(on_word);
            }
            *kind = group;
            word.push(part);
            if group == GeneralCategoryGroup::Number && word.n_chars == MAX_NUMBER_CHARS {
                word.flush(on_word);
            }
        }
        _ => {
            word.flush(on_word);
        }
    }
}
