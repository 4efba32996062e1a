//! What is asked for, and the head that is written for it. Nothing but what is here is ever sent.

use super::window::StartWindow;
use crate::error::FetchError;
use argiope_protocol::{CanonicalUrl, Validators};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use std::sync::Arc;
use url::{Position, Url};

/// What kind of answer is wanted. Decides the `Accept` header and what happens at the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// A page.
    Html,
    /// robots.txt: what exceeds the cap is cut off (RFC 9309 §2.5).
    Robots,
    /// A sitemap or feed.
    Sitemap,
    /// Anything.
    Any,
}

impl Accept {
    const fn header(self) -> &'static str {
        match self {
            Self::Html => "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.9,*/*;q=0.5",
            Self::Robots => "text/plain,*/*;q=0.5",
            Self::Sitemap => "application/xml,text/xml,application/rss+xml,application/atom+xml,*/*;q=0.5",
            Self::Any => "*/*",
        }
    }
}

/// One GET.
pub struct FetchRequest {
    /// What to fetch.
    pub url: CanonicalUrl,
    /// Make the request conditional.
    pub validators: Validators,
    /// What is wanted.
    pub accept: Accept,
    /// Cap on the decoded body.
    pub max_body_bytes: u64,
    /// Asked just before the head is written.
    pub window: Arc<dyn StartWindow>,
}

/// What goes into a request, before it is known which protocol version the connection speaks.
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outgoing {
    pub(super) fn get(url: &CanonicalUrl, user_agent: &HeaderValue, accept: Accept, validators: &Validators) -> Self {
        let mut headers = common_headers(user_agent);
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept.header()));
        // A validator that no header can hold was not made by a server; the request is then unconditional.
        let mut condition = |name: HeaderName, value: &Option<String>| {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
                headers.insert(name, value);
            }
        };
        condition(header::IF_NONE_MATCH, &validators.etag);
        condition(header::IF_MODIFIED_SINCE, &validators.last_modified);
        Self { url: url.as_url().clone(), method: Method::GET, headers, body: Bytes::new() }
    }

    /// The request as the connection's version wants it: HTTP/1.1 a path and `Host`, HTTP/2 the whole URL.
    pub(super) fn to_request(&self, is_http2: bool) -> Result<Request<Full<Bytes>>, FetchError> {
        let invalid = |error: http::Error| FetchError::Internal(error.to_string());
        let path = &self.url[Position::BeforePath..Position::AfterQuery];
        let authority = &self.url[Position::BeforeHost..Position::AfterPort];
        let text = if is_http2 { format!("{}://{authority}{path}", self.url.scheme()) } else { path.to_owned() };
        let uri = text.parse::<Uri>().map_err(|error| invalid(error.into()))?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if !is_http2 {
            let host = HeaderValue::from_str(authority).map_err(|error| invalid(error.into()))?;
            request.headers_mut().insert(header::HOST, host);
        }
        Ok(request)
    }
}

pub(super) fn common_headers(user_agent: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, user_agent.clone());
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
    headers
}
