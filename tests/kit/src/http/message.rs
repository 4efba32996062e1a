//! Requests and answers.

use bytes::Bytes;
use std::time::Duration;

/// A request's head. Bodies are not read: every method is answered as GET would be.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Fields in order, names lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first field of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The `Host` field as sent, port included.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// The `Host` field, lower case, without its port.
    #[must_use]
    pub fn host(&self) -> String {
        let authority = self.authority();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.to_ascii_lowercase()
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// From the bytes up to and without the empty line; `None` when they are no request.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let fields = lines.filter_map(|line| line.split_once(':'));
        let headers = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { method, target, headers })
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Fields in order, without the framing ones.
    pub headers: Vec<(String, String)>,
    /// What follows them.
    pub body: Body,
}

/// A body, and how it is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// With its length, at once.
    Full(Bytes),
    /// With its length, `step` bytes at a time with a pause after each.
    Drip {
        /// The whole body.
        bytes: Bytes,
        /// Bytes at a time.
        step: usize,
        /// Between two steps.
        pause: Duration,
    },
    /// Chunked, the same chunk without end.
    Endless(Bytes),
    /// Announces more than it sends, then closes.
    Truncated {
        /// What is sent.
        bytes: Bytes,
        /// What was announced.
        announced: u64,
    },
    /// Header fields without end; there is no body.
    HeaderFlood,
    /// These bytes instead of an answer, then closes.
    Garbage(Bytes),
    /// The connection is reset before any byte.
    Reset,
    /// Nothing is ever sent.
    Silence,
}

impl Response {
    /// 200 with a body of that media type.
    #[must_use]
    pub fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(200, Body::Full(body.into())).with("content-type", content_type)
    }

    /// 200 with HTML.
    #[must_use]
    pub fn html(body: impl Into<Bytes>) -> Self {
        Self::ok("text/html; charset=utf-8", body)
    }

    /// A status with a short HTML page that names it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let page = format!("<!doctype html><title>{status}</title><p>status {status}");
        Self { status, ..Self::html(page) }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, Body::Full(Bytes::new())).with("location", location)
    }

    /// Any status and body.
    #[must_use]
    pub const fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an `ETag` to a whole body of status 200, and answers 304 when the request's validators match.
    #[must_use]
    pub fn conditional(mut self, request: &Request, last_modified: Option<&str>) -> Self {
        let (200, Body::Full(bytes)) = (self.status, &self.body) else { return self };
        let etag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(bytes));
        let is_same = match (request.header("if-none-match"), request.header("if-modified-since")) {
            (Some(sent), _) => sent == etag,
            (None, Some(sent)) => Some(sent) == last_modified,
            (None, None) => false,
        };
        if is_same {
            self = Self::new(304, Body::Full(Bytes::new()));
        }
        if let Some(last_modified) = last_modified {
            self = self.with("last-modified", last_modified);
        }
        self.with("etag", &etag)
    }
}
