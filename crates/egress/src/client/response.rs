//! What an answer's head says.

use argiope_protocol::Validators;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// `Retry-After` beyond this is cut: a server that says "in a year" is asked again tomorrow.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// One answer, redirects and errors included.
#[derive(Debug)]
pub struct FetchResponse {
    /// HTTP status, 200 to 999.
    pub status: u16,
    /// Lower-case names and values as they came, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The decoded body. Of answers other than 2xx at most 64 KiB, and empty when it did not decode.
    pub body: Bytes,
    /// Whether the body was cut.
    pub truncated: bool,
    /// Bytes of the body on the wire.
    pub wire_bytes: u64,
    /// The address that answered.
    pub remote: SocketAddr,
    /// From the call to the last byte.
    pub elapsed: Duration,
    /// `Location` of a redirect, as written.
    pub location: Option<String>,
    /// From `Retry-After`, at most a day.
    pub retry_after: Option<Duration>,
    /// `ETag` and `Last-Modified`.
    pub validators: Validators,
}

impl FetchResponse {
    /// The first value of a header, by its lower-case name, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| text_of(value))
    }
}

pub(super) fn headers_of(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

pub(super) fn validators_of(headers: &HeaderMap) -> Validators {
    let verbatim = |name: HeaderName| String::from_utf8(headers.get(name)?.as_bytes().to_vec()).ok();
    Validators { etag: verbatim(header::ETAG), last_modified: verbatim(header::LAST_MODIFIED) }
}

pub(super) fn location_of(status: u16, headers: &HeaderMap) -> Option<String> {
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    headers.get(header::LOCATION).filter(|_| is_redirect).map(|value| text_of(value.as_bytes()))
}

/// Seconds or a date (RFC 9110 §10.2.3). A date is measured from the server's own `Date` where it sends one, so that
/// its clock need not agree with ours; `now` is for the others.
pub(super) fn retry_after_of(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = |text: &str| httpdate::parse_http_date(text.trim()).ok();
        let from = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(now);
        date(text)?.duration_since(from).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// UTF-8 where it is, else one character a byte (WHATWG "isomorphic decode").
fn text_of(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(retry_after: &str, date: Option<&str>, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(retry_after).expect("a header value"));
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_str(date).expect("a header value"));
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(retry_after_of(&headers, now), expected.map(Duration::from_secs), "{retry_after}");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        check("120", None, Some(120));
        check(" 7 ", None, Some(7));
        check("99999999999999999999999", None, Some(86_400));
        check("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60));
        check("Sunday, 06-Nov-94 08:50:07 GMT", None, Some(30));
        check("Sun Nov  6 08:49:47 1994", None, Some(10));
        check("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0));
        check("Sun, 01 Jan 2040 00:01:30 GMT", Some("Sun, 01 Jan 2040 00:00:00 GMT"), Some(90));
        check("soon", None, None);
        check("-1", None, None);
        check("", None, None);
    }
}
