//! Fingerprint of a page's main text.

use xxhash_rust::xxh3::xxh3_64;

/// Words of one shingle.
const SHINGLE: usize = 3;

/// 64-bit simhash over shingles of three words, case ignored, punctuation dropped. Texts with fewer words give
/// one shingle; without any word 0.
pub(super) fn simhash<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let mut votes = [0i32; 64];
    let (mut window, mut n_words) = ([0u64; SHINGLE], 0usize);
    let mut lower = String::new();
    for text in texts {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            lower.clear();
            lower.extend(word.chars().flat_map(char::to_lowercase));
            window.rotate_left(1);
            window[SHINGLE - 1] = xxh3_64(lower.as_bytes());
            n_words += 1;
            if n_words >= SHINGLE {
                vote(&mut votes, &window);
            }
        }
    }
    if n_words == 0 {
        return 0;
    }
    if n_words < SHINGLE {
        vote(&mut votes, &window);
    }
    votes.iter().enumerate().fold(0, |hash, (bit, &votes)| hash | (u64::from(votes > 0) << bit))
}

fn vote(votes: &mut [i32; 64], window: &[u64; SHINGLE]) {
    let mixed =
        window.iter().fold(0u64, |hash, word| (hash.rotate_left(21) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let hash = mixed ^ (mixed >> 32);
    for (bit, votes) in votes.iter_mut().enumerate() {
        *votes = votes.saturating_add(((hash >> bit) & 1) as i32 * 2 - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
