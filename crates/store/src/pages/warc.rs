//! From a page to WARC/1.1 records (ISO 28500:2017), and back to header fields and payload.
//!
//! `response`: what was fetched, with the decoded body. `revisit`: the same, when an equal body is kept already.
//! `conversion`: the page's Markdown.

use super::{HeaderFields, NewPage};
use argiope_protocol::{PageRecord, Timestamp};
use std::fmt::Write as _;
use uuid::Uuid;

/// Names the fields that described the body on the wire. They no longer hold for the decoded body, so they stay
/// under a new name (as other crawlers' archives do) and `content-length` is the decoded one.
const WIRE_FIELD_PREFIX: &str = "x-crawler-";
const WIRE_FIELDS: [&str; 3] = ["content-encoding", "transfer-encoding", "content-length"];
/// Section 6.7.2 of the standard: an identical payload was kept before.
const REVISIT_PROFILE: &str = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest";

/// A record in plain bytes, before compression.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) bytes: Vec<u8>,
    /// Where the payload begins in `bytes`.
    pub(crate) payload_start: u32,
    pub(crate) payload_bytes: u64,
}

/// What a revisit says of the record that holds the body.
#[derive(Debug)]
pub(crate) struct Original<'a> {
    pub(crate) id: Uuid,
    pub(crate) url: &'a str,
    pub(crate) fetched_at: Timestamp,
}

/// The response with its body.
pub(crate) fn response(page: &NewPage, id: Uuid, body_hash: &[u8; 32]) -> Record {
    let mut head = record_head("response", page.record.url.as_str(), page.record.fetch.fetched_at, id);
    response_fields(&mut head, page, body_hash);
    record(head, &http_head(page), &page.body)
}

/// The response without its body, which `original` holds.
pub(crate) fn revisit(page: &NewPage, id: Uuid, body_hash: &[u8; 32], original: &Original<'_>) -> Record {
    let mut head = record_head("revisit", page.record.url.as_str(), page.record.fetch.fetched_at, id);
    response_fields(&mut head, page, body_hash);
    field(&mut head, "WARC-Profile", REVISIT_PROFILE);
    field(&mut head, "WARC-Refers-To", &urn(original.id));
    field(&mut head, "WARC-Refers-To-Target-URI", original.url);
    field(&mut head, "WARC-Refers-To-Date", &date(original.fetched_at));
    record(head, &http_head(page), &[])
}

/// The Markdown, made from the record `source` when that was kept.
pub(crate) fn conversion(page: &PageRecord, markdown: &str, id: Uuid, source: Option<Uuid>) -> Record {
    let mut head = record_head("conversion", page.url.as_str(), page.fetch.fetched_at, id);
    if let Some(source) = source {
        field(&mut head, "WARC-Refers-To", &urn(source));
    }
    field(&mut head, "WARC-Block-Digest", &digest(blake3::hash(markdown.as_bytes()).as_bytes()));
    field(&mut head, "Content-Type", "text/markdown; charset=utf-8");
    record(head, &[], markdown.as_bytes())
}

/// What stands first in every segment file.
pub(crate) fn warcinfo(file_name: &str, now: Timestamp, id: Uuid) -> Record {
    let mut head = "WARC/1.1\r\nWARC-Type: warcinfo\r\n".to_owned();
    field(&mut head, "WARC-Record-ID", &urn(id));
    field(&mut head, "WARC-Date", &date(now));
    field(&mut head, "WARC-Filename", file_name);
    field(&mut head, "Content-Type", "application/warc-fields");
    let block = concat!("software: argiope/", env!("CARGO_PKG_VERSION"), "\r\nformat: WARC File Format 1.1\r\n");
    record(head, &[], block.as_bytes())
}

/// The header fields of a `response` or `revisit` record, as they were stored.
pub(crate) fn http_fields(record: &[u8]) -> Option<HeaderFields> {
    fields(record.get(end_of_head(record)?..)?)
}

/// The header fields of a page as [`http_fields`] would give them back.
pub(crate) fn kept_fields(page: &NewPage) -> HeaderFields {
    fields(&http_head(page)).unwrap_or_default()
}

/// The payload of a `response` record, when the record is whole.
pub(crate) fn http_payload(record: &[u8]) -> Option<&[u8]> {
    let (head, block) = record.split_at_checked(end_of_head(record)?)?;
    let head = std::str::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse::<usize>().ok()?;
    let block = block.get(..length)?;
    block.get(end_of_head(block)?..)
}

/// Of the block of a `response` or `revisit` record.
fn fields(block: &[u8]) -> Option<HeaderFields> {
    let head = block.get(..end_of_head(block)?)?;
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(line.get(..colon)?).ok()?.to_owned();
        Some((name, line.get(colon + 1..)?.trim_ascii().to_vec()))
    });
    Some(fields.collect())
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn record_head(kind: &str, url: &str, time: Timestamp, id: Uuid) -> String {
    let mut head = format!("WARC/1.1\r\nWARC-Type: {kind}\r\n");
    field(&mut head, "WARC-Record-ID", &urn(id));
    field(&mut head, "WARC-Date", &date(time));
    field(&mut head, "WARC-Target-URI", url);
    head
}

fn response_fields(head: &mut String, page: &NewPage, body_hash: &[u8; 32]) {
    field(head, "WARC-IP-Address", &page.record.fetch.remote.ip().to_string());
    field(head, "WARC-Payload-Digest", &digest(body_hash));
    field(head, "Content-Type", "application/http; msgtype=response");
}

fn record(mut head: String, block_head: &[u8], payload: &[u8]) -> Record {
    field(&mut head, "Content-Length", &(block_head.len() + payload.len()).to_string());
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.reserve_exact(block_head.len() + payload.len() + 4);
    bytes.extend_from_slice(block_head);
    // Egress bounds header fields far below 4 GiB.
    let payload_start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n\r\n");
    Record { bytes, payload_start, payload_bytes: payload.len() as u64 }
}

fn http_head(page: &NewPage) -> Vec<u8> {
    let reason = if page.record.fetch.status == 200 { "OK" } else { "" };
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", page.record.fetch.status).into_bytes();
    for (name, value) in &page.headers {
        if !is_token(name) {
            continue;
        }
        if WIRE_FIELDS.iter().any(|wire| name.eq_ignore_ascii_case(wire)) {
            head.extend_from_slice(WIRE_FIELD_PREFIX.as_bytes());
        }
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend(value.iter().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { *byte }));
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("content-length: {}\r\n\r\n", page.body.len()).as_bytes());
    head
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

fn field(head: &mut String, name: &str, value: &str) {
    let value = value.replace(['\r', '\n'], " ");
    writeln!(head, "{name}: {value}\r").expect("writing to a String cannot fail");
}

fn urn(id: Uuid) -> String {
    format!("<urn:uuid:{id}>")
}

fn digest(hash: &[u8; 32]) -> String {
    format!("blake3:{}", blake3::Hash::from(*hash).to_hex())
}

fn date(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(0);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{instant:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::pages::{new_page, page_url};

    #[test]
    fn a_response_record_is_what_the_standard_asks_for() {
        let mut page = new_page(&page_url(1), 1, b"<p>hi");
        page.headers = vec![("content-encoding".into(), b"gzip".to_vec()), ("x-a".into(), b"1\r\nx: y".to_vec())];
        let id = Uuid::from_u128(1);
        let made = response(&page, id, &page.record.body_hash);
        let text = String::from_utf8(made.bytes.clone()).unwrap();
        let expected_head = "WARC/1.1\r\nWARC-Type: response\r\n\
            WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n\
            WARC-Date: 2025-01-02T03:04:05.678Z\r\nWARC-Target-URI: http://site.test/1\r\n\
            WARC-IP-Address: 127.0.0.1\r\nWARC-Payload-Digest: blake3:";
        assert!(text.starts_with(expected_head), "{text}");
        let block =
            "HTTP/1.1 200 OK\r\nx-crawler-content-encoding: gzip\r\nx-a: 1  x: y\r\ncontent-length: 5\r\n\r\n<p>hi";
        assert!(text.contains(&format!("Content-Length: {}\r\n\r\n{block}\r\n\r\n", block.len())), "{text}");
        assert_eq!(&made.bytes[made.payload_start as usize..][..5], b"<p>hi");
        assert_eq!(http_payload(&made.bytes), Some(b"<p>hi".as_slice()));
        assert_eq!(http_payload(&made.bytes[..made.bytes.len() - 5]), None);
        let fields = http_fields(&made.bytes).unwrap();
        assert_eq!(kept_fields(&page), fields);
        assert_eq!(fields[1], ("x-a".to_owned(), b"1  x: y".to_vec()));
        assert_eq!(fields.len(), 3);
    }
}
