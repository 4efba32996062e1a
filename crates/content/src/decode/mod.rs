//! Bytes into text, by the WHATWG order: byte order mark, the transport's `charset`, a `meta` within the first
//! 1,024 bytes, UTF-8 when the bytes are valid UTF-8, and else a guess from the bytes.
//!
//! It never fails: what cannot be decoded becomes U+FFFD and is reported.

mod prescan;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;

/// How far the guess reads. The detector is linear; a page's first part says as much as all of it.
const GUESS_BYTES: usize = 64 * 1024;

/// A body as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text; borrowed when the body was valid UTF-8.
    pub text: Cow<'a, str>,
    /// WHATWG name of the encoding that was used.
    pub charset: &'static str,
    /// Some bytes were no text in that encoding and became U+FFFD.
    pub had_errors: bool,
}

/// Decodes a body. `content_type` is the header's value, verbatim.
#[must_use]
pub fn decode<'a>(body: &'a [u8], content_type: Option<&str>) -> Decoded<'a> {
    if let Some((encoding, bom_bytes)) = Encoding::for_bom(body) {
        return decode_as(encoding, body.get(bom_bytes..).unwrap_or_default());
    }
    let declared = content_type.and_then(header_charset).or_else(|| prescan::prescan(body));
    if let Some(encoding) = declared {
        return decode_as(encoding, body);
    }
    if is_utf8(body) {
        return decode_as(UTF_8, body);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(body.get(..GUESS_BYTES).unwrap_or(body), body.len() <= GUESS_BYTES);
    decode_as(detector.guess(None, Utf8Detection::Deny), body)
}

fn decode_as<'a>(encoding: &'static Encoding, body: &'a [u8]) -> Decoded<'a> {
    let (text, had_errors) = encoding.decode_without_bom_handling(body);
    Decoded { text, charset: encoding.name(), had_errors }
}

/// Valid UTF-8, but for a last character that a size cap may have cut. A cut counts only after other UTF-8 sequences:
/// a Latin-1 text may end in what looks like half of one.
fn is_utf8(body: &[u8]) -> bool {
    match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => {
            error.error_len().is_none() && body.get(..error.valid_up_to()).is_some_and(|valid| !valid.is_ascii())
        }
    }
}

/// The `charset` parameter of a media type, when it names a known encoding.
fn header_charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let label = value.trim().trim_matches(['"', '\'']);
        name.trim().eq_ignore_ascii_case("charset").then(|| Encoding::for_label_no_replacement(label.as_bytes()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &[u8], content_type: Option<&str>, charset: &str, text: &str) {
        let decoded = decode(body, content_type);
        assert_eq!((decoded.charset, &*decoded.text), (charset, text));
    }

    #[test]
    fn a_byte_order_mark_wins_over_the_header() {
        check(b"\xEF\xBB\xBFa", Some("text/html; charset=latin1"), "UTF-8", "a");
        check(b"\xFF\xFEa\0", Some("text/html; charset=utf-8"), "UTF-16LE", "a");
    }

    #[test]
    fn the_header_wins_over_the_page() {
        check(
            b"<meta charset=utf-8>\xE4",
            Some("text/html; Charset=\"iso-8859-1\""),
            "windows-1252",
            "<meta charset=utf-8>ä",
        );
        check(b"\xE4", Some("text/html; charset=unknown"), "windows-1252", "ä");
    }

    #[test]
    fn a_meta_names_the_encoding() {
        check(b"<meta charset='koi8-r'>\xC1", None, "KOI8-R", "<meta charset='koi8-r'>а");
        check(
            b"<META content='text/html;charset=koi8-r' HTTP-EQUIV=Content-Type>\xC1",
            Some("text/html"),
            "KOI8-R",
            "<META content='text/html;charset=koi8-r' HTTP-EQUIV=Content-Type>а",
        );
        check(
            b"<!-- <meta charset=koi8-r> --><meta charset=utf-16>a",
            None,
            "UTF-8",
            "<!-- <meta charset=koi8-r> --><meta charset=utf-16>a",
        );
        check(
            b"<?xml version='1.0' encoding='koi8-r'?>\xC1",
            None,
            "KOI8-R",
            "<?xml version='1.0' encoding='koi8-r'?>а",
        );
    }

    #[test]
    fn undeclared_bytes_are_utf8_when_they_can_be() {
        check("zażółć".as_bytes(), None, "UTF-8", "zażółć");
        check(b"\xC3\xA9 cut \xE2\x82", None, "UTF-8", "é cut \u{fffd}");
        check(b"caf\xE9 cr\xE8me, d\xE9j\xE0 vu", None, "windows-1252", "café crème, déjà vu");
    }

    #[test]
    fn broken_text_is_reported() {
        let decoded = decode(b"a\xFFb", Some("text/html; charset=utf-8"));
        assert_eq!((&*decoded.text, decoded.had_errors), ("a\u{fffd}b", true));
    }

    proptest! {
        #[test]
        fn any_bytes_become_text(body in proptest::collection::vec(any::<u8>(), 0..2000), header in "[ -~]{0,40}") {
            let _ = decode(&body, Some(&header));
            let _ = decode(&body, None);
        }
    }
}
