//! Takes connections and hands their requests to routes: HTTP/1.1, plain or over TLS, as many at once as are bounded,
//! each step with a deadline.

use super::patience::Patient;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

/// Connections at once; more wait in the socket's own bounded queue.
const MAX_CONNECTIONS: usize = 256;
/// For the handshake of TLS, and for a request's head, also the next one on a connection that is kept.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// Longest that a client may take no byte of an answer.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head and of what is read ahead.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Pause when the system gives no socket: connections that end give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that is taken but not served yet: who connects waits.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A socket that is served. Dropped, it is gone and its connections break.
pub(crate) struct Listener {
    address: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Bound {
    /// Listens at `HOST:PORT`; port 0 is any free one.
    ///
    /// # Errors
    /// `AR0002` when the address cannot be listened at; `key` is named.
    pub(crate) async fn at(key: &str, address: &str) -> Result<Self> {
        let failed = |error: std::io::Error| {
            CliError::new(ErrorCode::Config, format!("cannot listen at {address} ({key})"))
                .because(error)
                .advise(format!("stop what uses the port, or set {key} to another one; port 0 is any free one"))
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on.
    pub(crate) fn serve(self, tls: Option<TlsAcceptor>, routes: Router) -> Listener {
        let (stop, stopped) = watch::channel(None);
        let task = tokio::spawn(serve(self.listener, tls, routes, stopped));
        Listener { address: self.address, stop, task }
    }
}

impl Listener {
    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way end until the deadline, and breaks the rest.
    pub(crate) async fn stop(mut self, deadline: Duration) {
        let until = Instant::now() + deadline;
        // Nobody listens when the task ended by itself.
        let _ = self.stop.send(Some(until));
        let _ = timeout_at(until, &mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = told(&mut stopped) => break,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers go out at once; without it they wait, which is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let (tls, routes, stopped) = (tls.clone(), routes.clone(), stopped.clone());
        connections.spawn(async move {
            match tls {
                None => exchange(stream, routes, stopped).await,
                Some(tls) => match timeout(HEAD_DEADLINE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => exchange(stream, routes, stopped).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    let until = stopped.borrow().unwrap_or_else(Instant::now);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is left is aborted with the set.
    let _ = timeout_at(until, ended).await;
}

/// Waits for the word to stop; a listener that was dropped says it too.
async fn told(stopped: &mut watch::Receiver<Option<Instant>>) {
    drop(stopped.wait_for(Option::is_some).await);
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| routes.clone().call(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_DEADLINE)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// What speaks TLS with this certificate and key.
///
/// # Errors
/// `AR0006` when a file cannot be read, `AR0002` when the two do not belong together.
pub(crate) fn tls_acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| CliError::file("read", path, &error));
    let wrong = |what: &str, cause: String| {
        CliError::new(ErrorCode::Config, format!("{what} of the HTTP interface cannot be used")).because(cause)
    };
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| wrong("the certificate", error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| wrong("the key", error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("TLS", error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong("the certificate", error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
