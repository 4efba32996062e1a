//! A command's way to a node: the HTTP interface at `client.endpoint`, and nothing else.
//!
//! [`answer`] turns what commands ask of a data directory into requests of the interface, so that a verb does not know
//! whom it talks to; [`follow`] reads a job's stream. Errors of the node come back with their code, causes and next
//! step.

mod answer;
mod follow;

pub(crate) use follow::Follower;

use crate::api::{Created, Explanation, HostView, List, NodeStatus, NodeView, ShardView};
use crate::config::{Client, Config, Secret};
use crate::errors::{CliError, Result};
use crate::http::ProblemBody;
use argiope_egress::{ApiAnswer, ApiClient, ApiConfig, ApiError, ApiRequest};
use argiope_protocol::{ErrorCode, JobId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// For a whole exchange: the node gives up its side after 30 s.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Bytes of an answer: 200 pages with their Markdown, or a job with a hundred thousand seeds.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A node that commands talk to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Endpoint {
    api: Arc<ApiClient>,
    url: Url,
}

impl Endpoint {
    /// The configured one.
    ///
    /// # Errors
    /// `AR0002` or `AR0006` when key or certificate authority cannot be read.
    pub(crate) fn new(client: &Client) -> Result<Self> {
        let is_local =
            client.endpoint.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        if client.key.is_some() && client.endpoint.scheme() == "http" && !is_local {
            tracing::warn!(endpoint = %client.endpoint, "the key goes over the network in the clear");
        }
        let bearer = client.key.as_ref().map(Secret::read).transpose()?;
        let read =
            |path: &std::path::PathBuf| std::fs::read(path).map_err(|error| CliError::file("read", path, &error));
        let api = ApiClient::try_new(ApiConfig {
            base: client.endpoint.clone(),
            bearer,
            ca_pem: client.ca_file.as_ref().map(read).transpose()?,
            user_agent: concat!("argiope/", env!("CARGO_PKG_VERSION")).to_owned(),
        });
        let wrong = |error| CliError::new(ErrorCode::Config, "the [client] settings cannot be used").because(error);
        Ok(Self { api: Arc::new(api.map_err(wrong)?), url: client.endpoint.clone() })
    }

    /// The configured one, else the node that listens here by this configuration.
    ///
    /// # Errors
    /// As [`Endpoint::new`], and `AR0001` when there is neither.
    pub(crate) fn of_operator(config: &Config) -> Result<Self> {
        if let Some(client) = &config.client {
            return Self::new(client);
        }
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        let url = config.http.listen.as_ref().and_then(|address| format!("{scheme}://{address}").parse().ok());
        let nobody = || CliError::new(ErrorCode::Usage, "no node is named").advise("give `--endpoint URL`");
        Self::new(&Client { endpoint: url.ok_or_else(nobody)?, key: None, ca_file: None })
    }

    /// Its base URL.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Hands in a job: the fields of a request's body.
    pub(crate) async fn create(&self, fields: &Value) -> Result<Created> {
        self.post("/api/v1/jobs", Some(fields)).await
    }

    /// A job's events from now on.
    pub(crate) fn follow(&self, job: JobId) -> Follower {
        Follower::new(self.clone(), job)
    }

    /// All nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<NodeView>> {
        self.get::<List<NodeView>>("/api/v1/nodes").await.map(|list| list.items)
    }

    /// All shards.
    pub(crate) async fn shards(&self) -> Result<Vec<ShardView>> {
        self.get::<List<ShardView>>("/api/v1/shards").await.map(|list| list.items)
    }

    /// The node at a glance.
    pub(crate) async fn status(&self) -> Result<NodeStatus> {
        self.get("/api/v1/status").await
    }

    /// One host.
    pub(crate) async fn host(&self, host: &str) -> Result<HostView> {
        self.get(&format!("/api/v1/hosts/{}", part(host))).await
    }

    /// Has a node end.
    pub(crate) async fn drain(&self, node: &str) -> Result<Value> {
        self.post(&format!("/api/v1/nodes/{}/drain", part(node)), None).await
    }

    /// Why a URL is (not) crawled.
    pub(crate) async fn explain(&self, url: &str, job: Option<&str>) -> Result<Explanation> {
        let mut query = vec![("url", url.to_owned())];
        query.extend(job.map(|job| ("job", job.to_owned())));
        self.get(&format!("/api/v1/explain{}", query_of(&query))).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.request(http::Method::GET, path, None)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Option<&Value>) -> Result<T> {
        self.read(self.request(http::Method::POST, path, body)).await
    }

    fn request(&self, method: http::Method, path: &str, body: Option<&Value>) -> ApiRequest {
        ApiRequest {
            method,
            path: path.to_owned(),
            body: body.map(|body| body.to_string().into()),
            idempotency_key: None,
            timeout: TIMEOUT,
            max_body_bytes: MAX_ANSWER_BYTES,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: ApiRequest) -> Result<T> {
        let answer = self.api.call(request).await.map_err(|error| self.unreachable(&error))?;
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.odd(answer.status).because(error))
    }

    /// The error that the node told.
    fn refused(&self, answer: &ApiAnswer) -> CliError {
        match serde_json::from_slice::<ProblemBody>(&answer.body) {
            Ok(problem) => problem.into_error(),
            Err(_) => self.odd(answer.status),
        }
    }

    fn odd(&self, status: u16) -> CliError {
        let message = format!("{} answers with status {status}, but not as a node of this version", self.url);
        CliError::new(ErrorCode::EndpointUnreachable, message)
    }

    fn unreachable(&self, error: &ApiError) -> CliError {
        CliError::new(ErrorCode::EndpointUnreachable, format!("{} does not answer", self.url)).because(error)
    }
}

/// A part of a path.
fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// `?…`, or nothing.
fn query_of(pairs: &[(&str, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
    let text = query.extend_pairs(pairs).finish();
    if pairs.is_empty() { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_types_stays_one_part_of_the_url() {
        assert_eq!(part("a b/../c?d"), "a%20b%2F..%2Fc%3Fd");
        assert_eq!(query_of(&[]), "");
        assert_eq!(
            query_of(&[("url", "http://a.example/?x=1&y=2".to_owned()), ("job", "last".to_owned())]),
            "?url=http%3A%2F%2Fa.example%2F%3Fx%3D1%26y%3D2&job=last"
        );
    }

    #[test]
    fn an_answer_of_somebody_else_is_told_as_such() {
        let client = Client { endpoint: "http://127.0.0.1:1/".parse().unwrap(), key: None, ca_file: None };
        let endpoint = Endpoint::new(&client).unwrap();
        let error = endpoint.refused(&ApiAnswer { status: 502, body: "<html>".into() });
        assert_eq!(error.code, ErrorCode::EndpointUnreachable);
        assert!(error.message.contains("status 502"), "{error}");
    }
}
