//! From bytes as fetched to text: gzip undone under caps, charset undone.

use super::{Collector, MAX_SITEMAP_BYTES};
use encoding_rs::Encoding;
use flate2::bufread::MultiGzDecoder;
use std::borrow::Cow;
use std::io::Read;

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// Decoded bytes a packed byte may become. Lists of similar URLs reach 30 to 60; gzip's own limit is near 1,030.
const MAX_RATIO: usize = 200;

/// Decoded bytes that are fine at any ratio: too few to hurt.
const FREE_BYTES: usize = 1024 * 1024;

/// The body, with one layer of gzip undone where its first bytes say so. A layer inside is left alone and then
/// is no sitemap.
pub(super) fn unpack<'a>(body: &'a [u8], collector: &mut Collector) -> Cow<'a, [u8]> {
    if !body.starts_with(GZIP_MAGIC) {
        return Cow::Borrowed(cap(body, collector));
    }
    let allowed = body.len().saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_SITEMAP_BYTES);
    let mut decoded = Vec::new();
    // One byte more than allowed shows that there is more.
    let limit = u64::try_from(allowed).unwrap_or(u64::MAX).saturating_add(1);
    if MultiGzDecoder::new(body).take(limit).read_to_end(&mut decoded).is_err() {
        collector.problem("gzip_broken");
    }
    if decoded.len() > allowed {
        decoded.truncate(allowed);
        collector.problem(if allowed < MAX_SITEMAP_BYTES { "gzip_bomb" } else { "too_large" });
    }
    Cow::Owned(decoded)
}

fn cap<'a>(body: &'a [u8], collector: &mut Collector) -> &'a [u8] {
    match body.get(..MAX_SITEMAP_BYTES) {
        Some(head) if body.len() > MAX_SITEMAP_BYTES => {
            collector.problem("too_large");
            head
        }
        _ => body,
    }
}

/// Text by byte order mark, then the `charset` of the Content-Type, then the XML declaration, else UTF-8. What
/// does not decode becomes U+FFFD.
pub(super) fn decode<'a>(bytes: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    let label = content_type.and_then(charset_parameter).map(str::as_bytes);
    let encoding = label
        .and_then(Encoding::for_label)
        .or_else(|| declared_label(bytes).and_then(Encoding::for_label))
        // An XML declaration that can be read as bytes is not in UTF-16, whatever it says.
        .filter(|encoding| encoding.is_ascii_compatible())
        .unwrap_or(encoding_rs::UTF_8);
    encoding.decode(bytes).0
}

fn charset_parameter(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// The label in `<?xml … encoding="label"`.
fn declared_label(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.trim_ascii_start();
    let declaration = head.strip_prefix(b"<?xml")?.split(|byte| *byte == b'>').next()?;
    let name = b"encoding";
    let at = declaration.windows(name.len()).position(|window| window == name)?;
    declaration.get(at + name.len()..)?.split(|byte| matches!(byte, b'"' | b'\'')).nth(1)
}
