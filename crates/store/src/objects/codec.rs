//! From pages to the bytes of objects and back.
//!
//! A page's object: a format byte, the plain length (u32, little-endian), one zstd frame of postcard, and xxh3 over
//! the object's name and all before. The name is in the checksum, so that an object copied to another name is found.
//! A body's object: a WARC/1.1 `response` record in one zstd frame; its name is its checksum, and any tool that reads
//! `.warc.zst` reads it.

use super::fault::corrupt;
use super::layout::BodyRef;
use crate::pages::{HeaderFields, NewPage, warc};
use crate::{Error, Result};
use argiope_protocol::PageRecord;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::Read;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// Format of a page's object. Raise it with any change of [`StoredPage`] or `PageRecord`.
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 8;
/// As for the segments of one machine: a quarter of the bytes at some 400 MB/s.
const ZSTD_LEVEL: i32 = 1;
/// Longest object in plain bytes. Egress bounds bodies far below; damaged lengths must not ask for all memory.
const MAX_PLAIN_BYTES: usize = 1 << 30;

/// A page without its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredPage {
    pub(super) record: PageRecord,
    /// When the body was retained.
    pub(super) response: Option<StoredResponse>,
    /// When it was retained and not empty.
    pub(super) markdown: Option<String>,
}

/// The response that a page came with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    /// As they are answered to readers.
    pub(super) headers: HeaderFields,
    pub(super) body: BodyRef,
}

/// The object `name` of a page.
pub(super) fn seal(name: &str, page: &StoredPage) -> Result<Bytes> {
    let plain = postcard::to_stdvec(page).map_err(|error| Error::engine("encode a page", error))?;
    let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= MAX_PLAIN_BYTES);
    let length = length.ok_or_else(|| corrupt(name, "it would be too large"))?;
    let frame = zstd::bulk::compress(&plain, ZSTD_LEVEL).map_err(|error| Error::engine("compress a page", error))?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + frame.len() + CHECKSUM_BYTES);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&frame);
    let checksum = checksum(name, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes.into())
}

/// The page in the object `name`.
pub(super) fn unseal(name: &str, bytes: &[u8]) -> Result<StoredPage> {
    let split = bytes.len().checked_sub(CHECKSUM_BYTES).and_then(|at| bytes.split_at_checked(at));
    let (sealed, stored) = split.ok_or_else(|| corrupt(name, "it is too short"))?;
    if checksum(name, sealed).to_le_bytes() != stored {
        return Err(corrupt(name, "its checksum does not match"));
    }
    let (head, frame) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(|| corrupt(name, "it is too short"))?;
    let [format, length @ ..] = head else { return Err(corrupt(name, "it is too short")) };
    if *format > FORMAT {
        return Err(Error::Newer { what: "a page object", found: u32::from(*format), known: u32::from(FORMAT) });
    }
    let length = length.try_into().map_or(usize::MAX, |length| u32::from_le_bytes(length) as usize);
    if length > MAX_PLAIN_BYTES {
        return Err(corrupt(name, "its length is impossible"));
    }
    let plain = zstd::bulk::decompress(frame, length).map_err(|error| corrupt(name, error))?;
    postcard::from_bytes(&plain).map_err(|error| corrupt(name, error))
}

fn checksum(name: &str, sealed: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(name.as_bytes());
    hasher.update(sealed);
    hasher.digest()
}

/// The object of a page's body.
pub(super) fn seal_body(page: &NewPage) -> Result<Bytes> {
    let hash = page.record.body_hash;
    // From the hash: nodes that write the same body at once write records of one identity.
    let record = warc::response(page, Uuid::new_v5(&Uuid::NAMESPACE_OID, &hash), &hash);
    let frame = zstd::bulk::Compressor::new(ZSTD_LEVEL).and_then(|mut compressor| {
        compressor.include_checksum(true)?;
        compressor.compress(&record.bytes)
    });
    frame.map(Bytes::from).map_err(|error| Error::engine("compress a body", error))
}

/// The body in the object of `body`, checked against its hash.
pub(super) fn unseal_body(body: &BodyRef, bytes: &[u8]) -> Result<Bytes> {
    let name = body.name();
    let mut record = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| corrupt(&name, error))?;
    let read = decoder.take(MAX_PLAIN_BYTES as u64).read_to_end(&mut record);
    read.map_err(|error| corrupt(&name, error))?;
    let payload = warc::http_payload(&record).ok_or_else(|| corrupt(&name, "it is no WARC response record"))?;
    if *blake3::hash(payload).as_bytes() != body.hash {
        return Err(corrupt(&name, "the body does not match its hash"));
    }
    Ok(Bytes::copy_from_slice(payload))
}

#[cfg(test)]
mod tests {
    use super::super::layout::Day;
    use super::*;
    use crate::conformance::pages::{new_page, page_url};
    use proptest::prelude::*;

    const NAME: &str = "pages/default/ab/ab.page";

    fn stored(seq: u64, headers: HeaderFields, markdown: Option<String>) -> StoredPage {
        let page = new_page(&page_url(1), seq, b"text");
        let body = BodyRef { day: Day(1), hash: page.record.body_hash };
        StoredPage { record: page.record, response: Some(StoredResponse { headers, body }), markdown }
    }

    #[test]
    fn an_object_of_a_newer_format_is_refused() {
        let mut bytes = vec![FORMAT + 1, 0, 0, 0, 0];
        let sum = checksum(NAME, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        assert!(matches!(unseal(NAME, &bytes), Err(Error::Newer { found: 2, known: 1, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_page_comes_back_and_any_flipped_bit_or_other_name_is_found(
            seq: u64,
            headers in prop::collection::vec((any::<String>(), any::<Vec<u8>>()), 0..4),
            markdown: Option<String>,
            at in 0_usize..100_000,
            bit in 0_u8..8,
        ) {
            let page = stored(seq, headers, markdown);
            let mut bytes = seal(NAME, &page).unwrap().to_vec();
            prop_assert_eq!(unseal(NAME, &bytes).unwrap(), page);
            prop_assert!(unseal("pages/default/ac/ac.page", &bytes).is_err());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(unseal(NAME, &bytes).is_err());
        }

        #[test]
        fn a_body_comes_back_and_any_cut_or_flipped_bit_is_found(
            body: Vec<u8>,
            at in 0_usize..100_000,
            bit in 0_u8..8,
        ) {
            let page = new_page(&page_url(1), 1, &body);
            let name = BodyRef { day: Day(1), hash: page.record.body_hash };
            let sealed = seal_body(&page).unwrap();
            prop_assert_eq!(&unseal_body(&name, &sealed).unwrap()[..], &body[..]);
            let at = at % sealed.len();
            prop_assert!(unseal_body(&name, &sealed[..at]).is_err());
            let mut flipped = sealed.to_vec();
            flipped[at] ^= 1 << bit;
            // A bit that zstd does not look at changes nothing of the body.
            prop_assert!(unseal_body(&name, &flipped).map_or(true, |read| read == body));
        }

        #[test]
        fn any_bytes_decode_to_an_error_and_never_panic(bytes: Vec<u8>) {
            prop_assert!(unseal(NAME, &bytes).is_err());
            let name = BodyRef { day: Day(1), hash: [0; 32] };
            prop_assert!(unseal_body(&name, &bytes).is_err());
        }
    }
}
