//! Client of our own HTTP interface: a command talks to the node that the user named, and to nobody else.
//!
//! Not the guarded client: the endpoint may lie anywhere, for it was typed by the user and no page can name it. Still
//! no redirect is followed, no proxy used, nothing read from the environment, and every step has a deadline.

use super::connect::{dial_tcp, tls_with};
use crate::config::BuildError;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// For a connection and its TLS handshake, over all addresses tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// More addresses of the endpoint are not tried.
const MAX_TRIED: usize = 4;

/// Settings of an [`ApiClient`].
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Base URL; paths are appended to its own.
    pub base: Url,
    /// Sent as `Authorization: Bearer`, and never logged.
    pub bearer: Option<String>,
    /// The authority that signed the endpoint's certificate, as PEM; without it the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// `User-Agent`.
    pub user_agent: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection.
    #[error("connect to {address}: {cause}")]
    Connect {
        /// The endpoint.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// TLS handshake or certificate.
    #[error("TLS handshake with {host}: {cause}")]
    Tls {
        /// The name the certificate was to show.
        host: String,
        /// What the TLS library said.
        cause: String,
    },
    /// Not HTTP, or broken in the middle.
    #[error("HTTP exchange: {0}")]
    Protocol(String),
    /// Not in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// More bytes than are read.
    #[error("the answer exceeds {0} bytes")]
    TooLarge(usize),
}

/// One request.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// Its method.
    pub method: Method,
    /// Path and query, from `/`.
    pub path: String,
    /// JSON, when there is a body.
    pub body: Option<Bytes>,
    /// Names the request, so that it may be repeated.
    pub idempotency_key: Option<String>,
    /// For the whole exchange; of a stream, for its head.
    pub timeout: Duration,
    /// Bytes of the answer; of a stream, of its answer when it is an error.
    pub max_body_bytes: usize,
}

/// Its answer, whatever the status.
#[derive(Debug)]
pub struct ApiAnswer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// An answer that comes piece by piece.
pub struct ApiStream {
    body: Incoming,
    _driver: AbortOnDropHandle<()>,
}

/// A client of one endpoint.
pub struct ApiClient {
    base: Url,
    tls: TlsConnector,
    authorization: Option<HeaderValue>,
    user_agent: HeaderValue,
}

impl ApiClient {
    /// # Errors
    /// When a setting cannot be used.
    pub fn try_new(config: ApiConfig) -> Result<Self, BuildError> {
        let mut tls = tls_with(config.ca_pem.is_none(), config.ca_pem.as_deref())?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|_| BuildError::UserAgent(config.user_agent.clone()));
        let authorization = config.bearer.as_ref().map(|bearer| {
            let mut value = HeaderValue::from_str(&format!("Bearer {bearer}")).map_err(|_| BuildError::Bearer)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            user_agent: value(&config.user_agent)?,
            authorization: authorization.transpose()?,
            tls: TlsConnector::from(Arc::new(tls)),
            base: config.base,
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer in time and bounds.
    pub async fn call(&self, request: ApiRequest) -> Result<ApiAnswer, ApiError> {
        let (limit, max_bytes) = (request.timeout, request.max_body_bytes);
        let exchange = async {
            let (response, driver) = self.exchange(&request).await?;
            let answer = whole(response, max_bytes).await;
            drop(driver);
            answer
        };
        timeout(limit, exchange).await.unwrap_or(Err(ApiError::Timeout(limit)))
    }

    /// Sends a request whose answer is a stream; an answer without success is read whole.
    ///
    /// # Errors
    /// As [`ApiClient::call`].
    pub async fn stream(&self, request: ApiRequest) -> Result<Result<ApiStream, ApiAnswer>, ApiError> {
        let (limit, max_bytes) = (request.timeout, request.max_body_bytes);
        let exchange = async {
            let (response, driver) = self.exchange(&request).await?;
            if response.status().is_success() {
                return Ok(Ok(ApiStream { body: response.into_body(), _driver: driver }));
            }
            whole(response, max_bytes).await.map(Err)
        };
        timeout(limit, exchange).await.unwrap_or(Err(ApiError::Timeout(limit)))
    }

    async fn exchange(&self, request: &ApiRequest) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), ApiError> {
        let (host, port) = self.place();
        let stream = timeout(CONNECT_TIMEOUT, self.dial(&host, port))
            .await
            .unwrap_or(Err(ApiError::Timeout(CONNECT_TIMEOUT)))?;
        let request = self.request(request)?;
        if self.base.scheme() != "https" {
            return send(stream, request).await;
        }
        let failed = |cause: String| ApiError::Tls { host: host.clone(), cause };
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(error.to_string()))?;
        let stream = timeout(CONNECT_TIMEOUT, self.tls.connect(name, stream))
            .await
            .map_err(|_| ApiError::Timeout(CONNECT_TIMEOUT))?
            .map_err(|error| failed(error.to_string()))?;
        send(stream, request).await
    }

    /// Host without brackets, and port.
    fn place(&self) -> (String, u16) {
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, self.base.port_or_known_default().unwrap_or(80))
    }

    async fn dial(&self, host: &str, port: u16) -> Result<tokio::net::TcpStream, ApiError> {
        let failed =
            |cause: std::io::Error| ApiError::Connect { address: format!("{host}:{port}"), cause: cause.to_string() };
        let mut last = std::io::Error::other("the name has no address");
        for address in tokio::net::lookup_host((host, port)).await.map_err(failed)?.take(MAX_TRIED) {
            match dial_tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    fn request(&self, request: &ApiRequest) -> Result<Request<Full<Bytes>>, ApiError> {
        let odd = |error: http::Error| ApiError::Protocol(error.to_string());
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), request.path);
        let host = self.base.port().map_or_else(
            || self.base.host_str().unwrap_or_default().to_owned(),
            |port| format!("{}:{port}", self.base.host_str().unwrap_or_default()),
        );
        let mut builder = Request::builder()
            .method(request.method.clone())
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, self.user_agent.clone())
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        if request.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &request.idempotency_key {
            builder = builder.header(HeaderName::from_static("idempotency-key"), key.as_str());
        }
        builder.body(Full::new(request.body.clone().unwrap_or_default())).map_err(odd)
    }
}

impl ApiStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When nothing comes for `patience`, or the connection breaks.
    pub async fn next(&mut self, patience: Duration) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = timeout(patience, self.body.frame()).await.map_err(|_| ApiError::Timeout(patience))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(protocol(&error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), ApiError> {
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| protocol(&error))?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        // Its error reaches the request that waits on the connection.
        let _ = driver.await;
    }));
    let response = sender.send_request(request).await.map_err(|error| protocol(&error))?;
    Ok((response, driver))
}

async fn whole(response: Response<Incoming>, max_bytes: usize) -> Result<ApiAnswer, ApiError> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), max_bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ApiError::TooLarge(max_bytes)
        } else {
            ApiError::Protocol(error.to_string())
        }
    })?;
    Ok(ApiAnswer { status, body: body.to_bytes() })
}

fn protocol(error: &hyper::Error) -> ApiError {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    ApiError::Protocol(format!("{error}{cause}"))
}
