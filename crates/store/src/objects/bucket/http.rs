//! The way to the server: hyper with the TLS of the rest of the program. The client crate's own HTTP client would bring
//! a second one, with another TLS library.

use super::fault::Refusal;
use super::roots;
use ::http::StatusCode;
use ::http::header::{HeaderValue, USER_AGENT};
use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Dial;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use std::time::Duration;

/// For a connection; the call's own deadline counts as well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than servers keep idle connections, so that few requests meet one that was just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Of an answer that is a refusal.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;
const NAME: HeaderValue = HeaderValue::from_static(concat!("argiope/", env!("CARGO_PKG_VERSION")));

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector {
    max_idle: usize,
}

impl Connector {
    pub(super) const fn new(max_idle: usize) -> Self {
        Self { max_idle }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source| object_store::Error::Generic { store: "S3", source };
        let mut dial = Dial::new();
        dial.set_connect_timeout(Some(CONNECT_TIMEOUT));
        dial.set_nodelay(true);
        dial.enforce_http(false);
        let tls = roots::tls_config().map_err(|error| failed(Box::new(error)))?;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(self.max_idle)
            .build(https.wrap_connector(dial));
        Ok(HttpClient::new(Transport { client }))
    }
}

/// One client with its connections.
#[derive(Debug)]
struct Transport {
    client: Client<HttpsConnector<Dial>, HttpRequestBody>,
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        request.headers_mut().insert(USER_AGENT, NAME);
        let answer = self.client.request(request).await.map_err(|error| {
            // Whether the server saw it is not known, unless there was no connection.
            let is_unsent = error.is_connect();
            HttpError::new(if is_unsent { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted }, error)
        })?;
        let (parts, body) = answer.into_parts();
        let is_answer = parts.status.is_success()
            || matches!(
                parts.status,
                StatusCode::NOT_MODIFIED | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
            );
        if is_answer {
            let body = HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)));
            return Ok(HttpResponse::from_parts(parts, body));
        }
        // A refusal whose text does not arrive is one all the same.
        let text =
            Limited::new(body, MAX_REFUSAL_BYTES).collect().await.map(|text| text.to_bytes()).unwrap_or_default();
        // The client crate takes any 404 for an object that is not there.
        if parts.status == StatusCode::NOT_FOUND && !names_a_bucket(&text) {
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal::new(parts.status, &text)))
    }
}

/// Whether an answer says that the bucket is not there.
fn names_a_bucket(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).contains("NoSuchBucket")
}
