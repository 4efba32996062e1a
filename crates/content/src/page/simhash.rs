//! Fingerprint of a page's main text.

use xxhash_rust::xxh3::xxh3_64;

/// Words of one shingle.
const SHINGLE: usize = 3;

/// 64-bit simhash over shingles of three words, case ignored, punctuation dropped. Texts with fewer words give
/// one shingle; without any word 0.
pub(super) fn simhash<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let mut shingles = Shingles::default();
    for text in texts {
        if text.is_ascii() {
            let words = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            words.for_each(|word| shingles.ascii_word(word));
        } else {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.for_each(|word| shingles.word(word));
        }
    }
    shingles.finish()
}

#[derive(Default)]
struct Shingles {
    votes: Votes,
    window: [u64; SHINGLE],
    n_words: usize,
    lower: Vec<u8>,
}

impl Shingles {
    fn ascii_word(&mut self, word: &[u8]) {
        self.lower.clear();
        self.lower.extend_from_slice(word);
        self.lower.make_ascii_lowercase();
        self.take();
    }

    fn word(&mut self, word: &str) {
        self.lower.clear();
        let lower = word.chars().flat_map(char::to_lowercase);
        lower.for_each(|c| self.lower.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()));
        self.take();
    }

    /// Takes the word in `lower`.
    fn take(&mut self) {
        self.window.rotate_left(1);
        self.window[SHINGLE - 1] = xxh3_64(&self.lower);
        self.n_words += 1;
        if self.n_words >= SHINGLE {
            self.votes.add(mix(&self.window));
        }
    }

    fn finish(mut self) -> u64 {
        if (1..SHINGLE).contains(&self.n_words) {
            self.votes.add(mix(&self.window));
        }
        self.votes.majority()
    }
}

fn mix(window: &[u64; SHINGLE]) -> u64 {
    let mixed =
        window.iter().fold(0u64, |hash, word| (hash.rotate_left(21) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed ^ (mixed >> 32)
}

/// How many hashes have each bit set. Eight bits are counted at once, in the bytes of one number.
struct Votes {
    /// The hashes of now; byte `b` of number `n` counts bit `8n + b`.
    recent: [u64; 8],
    n_recent: u32,
    counts: [u32; 64],
    n: u32,
}

impl Default for Votes {
    fn default() -> Self {
        Self { recent: [0; 8], n_recent: 0, counts: [0; 64], n: 0 }
    }
}

impl Votes {
    fn add(&mut self, hash: u64) {
        for (sum, byte) in self.recent.iter_mut().zip(hash.to_le_bytes()) {
            *sum += SPREAD[usize::from(byte)];
        }
        self.n_recent += 1;
        if self.n_recent == u32::from(u8::MAX) {
            self.settle();
        }
    }

    /// Before a byte can overflow.
    fn settle(&mut self) {
        let recent = self.recent.iter().flat_map(|sum| sum.to_le_bytes());
        self.counts.iter_mut().zip(recent).for_each(|(count, recent)| *count += u32::from(recent));
        self.n += self.n_recent;
        (self.recent, self.n_recent) = ([0; 8], 0);
    }

    /// The bits that more than half of the hashes have.
    fn majority(&mut self) -> u64 {
        self.settle();
        let half = self.n / 2;
        self.counts.iter().enumerate().fold(0, |hash, (bit, &count)| hash | (u64::from(count > half) << bit))
    }
}

/// A byte's bits, each in a byte of its own, the lowest in the lowest.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            spread[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    spread
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_texts_are_near_and_others_are_far() {
        let words: Vec<String> = (0..400).map(|n| format!("word{}", n * 7 % 397)).collect();
        let mut changed = words.clone();
        changed[200] = "other".into();
        let hash = |words: &[String]| simhash(words.iter().map(String::as_str));
        assert!((hash(&words) ^ hash(&changed)).count_ones() <= 6);
        assert!(
            (hash(&words) ^ simhash(["an entirely different text about something else"].into_iter())).count_ones() > 12
        );
        assert_eq!(simhash(["One two,  THREE"].into_iter()), simhash(["one", "two three."].into_iter()));
        assert_eq!(simhash([" , "].into_iter()), 0);
    }

    /// The definition, word by word and bit by bit.
    fn plain(texts: &[&str]) -> u64 {
        let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let words = words.filter(|word| !word.is_empty()).map(|word| xxh3_64(lower(word).as_bytes()));
        let mut hashes: Vec<u64> = words.collect();
        while !hashes.is_empty() && hashes.len() < SHINGLE {
            hashes.insert(0, 0);
        }
        let shingles: Vec<u64> = hashes.windows(SHINGLE).filter_map(|w| Some(mix(w.try_into().ok()?))).collect();
        let is_set = |bit: u32| 2 * shingles.iter().filter(|hash| (**hash >> bit) & 1 == 1).count() > shingles.len();
        (0..64).fold(0, |hash, bit| hash | (u64::from(is_set(bit)) << bit))
    }

    fn lower(word: &str) -> String {
        word.chars().flat_map(char::to_lowercase).collect()
    }

    proptest! {
        #[test]
        fn a_fingerprint_is_that_of_its_definition(
            texts in prop::collection::vec("[a-dA-D .,é\u{130}]{0,40}|.{0,40}", 0..80),
            n_times in 1_usize..9,
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).cycle().take(texts.len() * n_times).collect();
            prop_assert_eq!(simhash(texts.iter().copied()), plain(&texts));
        }
    }
}
