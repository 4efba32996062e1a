//! How a value lies in the database: one format byte, a checksum over key and value, the value.
//!
//! The engine returns a flipped byte silently (DESIGN §11), so each value proves itself. The key is part of the
//! checksum: a value that turns up under another key is damage too.

use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Format of every value of this version.
const RECORD_FORMAT: u8 = 1;

/// Format byte and the low 32 bits of XXH3-64: four bytes a value, one flipped value in 4 billion is missed.
const HEADER_BYTES: usize = 5;

fn checksum(key: &[u8], body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(body, xxh3_64(key)).to_le_bytes();
    [a, b, c, d]
}

/// The stored form of `value` under `key`.
pub(super) fn seal<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&[RECORD_FORMAT, 0, 0, 0, 0]);
    let mut bytes = postcard::to_extend(value, bytes).map_err(|error| Error::engine("encode record", error))?;
    if let Some((header, body)) = bytes.split_at_mut_checked(HEADER_BYTES) {
        header[1..].copy_from_slice(&checksum(key, body));
    }
    Ok(bytes)
}

/// The value stored under `key`.
pub(super) fn unseal<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T> {
    let corrupt = |detail: String| Error::Corrupt { what: format!("frontier record {}", hex(key)), detail };
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(corrupt(format!("only {} bytes", bytes.len())));
    };
    if header[0] != RECORD_FORMAT {
        return Err(corrupt(format!("unknown record format {}", header[0])));
    }
    if header[1..] != checksum(key, body) {
        return Err(corrupt("checksum does not match".to_owned()));
    }
    postcard::from_bytes(body).map_err(|error| corrupt(error.to_string()))
}

/// A key for people: at most 40 bytes of it.
pub(super) fn hex(key: &[u8]) -> String {
    key.iter().take(40).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_comes_back_and_any_flipped_byte_is_noticed(text in ".{0,60}", at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let key = b"key";
            let mut bytes = seal(key, &text).unwrap();
            prop_assert_eq!(unseal::<String>(key, &bytes).unwrap(), text);
            prop_assert!(unseal::<String>(b"other", &bytes).is_err());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(unseal::<String>(key, &bytes).is_err());
        }
    }

    #[test]
    fn short_values_are_damage_and_no_panic() {
        for length in 0..8 {
            assert!(unseal::<u64>(b"key", &vec![1; length]).is_err(), "{length}");
        }
    }
}
