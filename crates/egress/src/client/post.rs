//! JSON to a service that the operator configured: a remote embedder. It has an allow rule of its own, so that opening
//! it opens nothing for the crawl, and connections of its own.

use super::body::AtCap;
use super::request::{Outgoing, common_headers};
use super::{AlwaysOpen, Exchange, GuardedClient, origin_of};
use crate::error::FetchError;
use crate::policy::Policy;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// To one address at once; how many calls there are is the embedder's own bound.
pub(super) const MAX_CONNECTIONS: u16 = 16;

/// One POST.
pub struct JsonPost {
    /// The whole URL; its port is allowed, whatever it is.
    pub url: Url,
    /// Ranges in which the service may be, beside the public Internet.
    pub allow_cidrs: Vec<IpNet>,
    /// Sent as `Authorization: Bearer`, and never logged.
    pub bearer: Option<String>,
    /// The JSON text.
    pub body: Bytes,
    /// For the whole exchange.
    pub timeout: Duration,
    /// Cap on the decoded answer.
    pub max_body_bytes: u64,
}

/// Its answer, whatever the status.
#[derive(Debug)]
pub struct JsonAnswer {
    /// HTTP status.
    pub status: u16,
    /// The decoded body; at most 64 KiB unless the status is 2xx.
    pub body: Bytes,
    /// From `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl GuardedClient {
    /// Sends JSON and reads the answer. A redirect is an answer: credentials are never carried on.
    ///
    /// # Errors
    /// As [`GuardedClient::fetch`].
    pub async fn post_json(&self, post: JsonPost) -> Result<JsonAnswer, FetchError> {
        let started = Instant::now();
        let port = post.url.port_or_known_default().unwrap_or(0);
        let policy = Policy::new(post.allow_cidrs, Some(vec![port]));
        policy.check_url(&post.url).inspect_err(|denied| self.counters.count_denial(denied.rule))?;
        let mut headers = common_headers(&self.user_agent);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &post.bearer {
            let value = HeaderValue::from_str(&format!("Bearer {bearer}"));
            let mut value = value.map_err(|_| FetchError::Internal("the API key is no header value".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut exchange = Exchange {
            origin: origin_of(&post.url)?,
            outgoing: Outgoing { url: post.url, method: Method::POST, headers, body: post.body },
            policy: &policy,
            pool: &self.api_pool,
            window: Arc::new(AlwaysOpen),
            gate: None,
            place: None,
            total_timeout: post.timeout,
            deadline: started + post.timeout,
        };
        let (connection, response) = self.exchange(&mut exchange).await?;
        let answer = self.read(exchange, connection, response, post.max_body_bytes, AtCap::Fail, started).await?;
        Ok(JsonAnswer { status: answer.status, body: answer.body, retry_after: answer.retry_after })
    }
}
