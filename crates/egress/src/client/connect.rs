//! From judged addresses to a connection on which a request can be written: TCP, the proxy's tunnel, TLS, HTTP
//! handshake. No byte of a request is written here.

use super::pool::{Pool, Slot};
use super::watch::{Watch, Watched};
use super::window::StartWindow;
use crate::config::{BuildError, EgressConfig};
use crate::error::FetchError;
use argiope_protocol::Origin;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// More addresses of a host are not tried: each may take its share of the connect timeout.
const MAX_TRIED: usize = 4;
/// HTTP/2 flow control: what a peer may send before we read. Enough for 256 KiB a round trip.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The head of a proxy's answer to `CONNECT`.
const MAX_TUNNEL_HEAD: usize = 8 * 1024;
/// hyper's least read buffer.
const MIN_READ_BUFFER: usize = 8 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Connector {
    tls: TlsConnector,
    timeout: Duration,
    max_header_bytes: usize,
    proxy: Option<(String, u16)>,
}

/// One connection, one request at a time.
pub(super) struct Connection {
    sender: Sender,
    remote: SocketAddr,
    opened_at: Instant,
    slot: Slot,
    watch: Watch,
    _driver: AbortOnDropHandle<()>,
}

/// What a connection is made of besides its protocol.
struct Base {
    remote: SocketAddr,
    slot: Slot,
    watch: Watch,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connector {
    pub(super) fn try_new(config: &EgressConfig) -> Result<Self, BuildError> {
        let proxy = config.proxy.as_ref().map(proxy_address).transpose()?;
        let tls = TlsConnector::from(Arc::new(tls_config(config)?));
        let max_header_bytes = config.max_header_bytes.max(MIN_READ_BUFFER);
        Ok(Self { tls, timeout: config.connect_timeout, max_header_bytes, proxy })
    }

    /// Connects to the first address that has a place free and answers.
    pub(super) async fn connect(
        &self,
        pool: &Pool,
        origin: &Origin,
        addresses: &[SocketAddr],
    ) -> Result<Connection, FetchError> {
        let attempt = async {
            let mut last = None;
            let tried = addresses.get(..MAX_TRIED).unwrap_or(addresses);
            let share = self.timeout / u32::try_from(tried.len().max(1)).unwrap_or(1);
            for address in tried {
                let Some(slot) = pool.reserve(address.ip()) else {
                    last = last.or(Some(FetchError::PerIpBusy(address.ip())));
                    continue;
                };
                match tokio::time::timeout(share, self.dial(*address)).await {
                    Ok(Ok(stream)) => return self.handshake(stream, slot, *address, origin).await,
                    Ok(Err(error)) => last = Some(error),
                    Err(_) => last = Some(FetchError::ConnectTimeout(share)),
                }
            }
            Err(last.unwrap_or_else(|| FetchError::Internal("no address to connect".to_owned())))
        };
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or(Err(FetchError::ConnectTimeout(self.timeout)))
    }

    async fn dial(&self, address: SocketAddr) -> Result<TcpStream, FetchError> {
        let failed =
            |cause: std::io::Error| FetchError::Connect { address: address.to_string(), cause: cause.to_string() };
        let Some((host, port)) = &self.proxy else {
            return dial_tcp(address).await.map_err(failed);
        };
        let mut last = std::io::Error::other("the proxy's name has no address");
        for proxy in tokio::net::lookup_host((host.as_str(), *port)).await.map_err(failed)?.take(MAX_TRIED) {
            match dial_tcp(proxy).await {
                Ok(stream) => return tunnel(stream, address).await.map_err(failed),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        slot: Slot,
        remote: SocketAddr,
        origin: &Origin,
    ) -> Result<Connection, FetchError> {
        let watch = Watch::default();
        let stream = Watched::new(stream, watch.clone());
        let base = Base { remote, slot, watch };
        if !origin.is_https {
            return self.http1(stream, base).await;
        }
        let host = origin.host.as_str();
        let failed = |cause: String| FetchError::Tls { host: host.to_owned(), cause };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_http2 { self.http2(stream, base).await } else { self.http1(stream, base).await }
    }

    async fn http1(&self, stream: impl Stream + 'static, base: Base) -> Result<Connection, FetchError> {
        let mut builder = http1::Builder::new();
        // Odd fields are skipped, folded lines joined: as browsers do, and a crawler keeps no gateway in between.
        builder
            .max_buf_size(self.max_header_bytes)
            .max_header_size(self.max_header_bytes)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(protocol)?;
        Ok(Connection::new(Sender::Http1(sender), base, async move {
            // Its error reaches the request that waits on the connection.
            let _ = driver.await;
        }))
    }

    async fn http2(&self, stream: impl Stream + 'static, base: Base) -> Result<Connection, FetchError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW)
            .max_header_list_size(u32::try_from(self.max_header_bytes).unwrap_or(u32::MAX));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(protocol)?;
        Ok(Connection::new(Sender::Http2(sender), base, async move {
            // Its error reaches the request that waits on the connection.
            let _ = driver.await;
        }))
    }
}

impl Connection {
    fn new(sender: Sender, base: Base, driver: impl Future<Output = ()> + Send + 'static) -> Self {
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let Base { remote, slot, watch } = base;
        Self { sender, remote, opened_at: Instant::now(), slot, watch, _driver: driver }
    }

    /// The request that is sent next may begin only while this window lasts.
    pub(super) fn begin_in(&self, window: Arc<dyn StartWindow>) {
        self.watch.arm(window);
    }

    /// Whether the request was not written, since its window had passed when it was about to be.
    pub(super) fn is_too_late(&self) -> bool {
        self.watch.has_refused()
    }

    pub(super) const fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(super) const fn address(&self) -> IpAddr {
        self.slot.address()
    }

    pub(super) const fn opened_at(&self) -> Instant {
        self.opened_at
    }

    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until the connection takes a request: then writing it begins at once.
    pub(super) async fn ready(&mut self) -> Result<(), hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }

    /// Writes a request. The error holds the request when no byte of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// The only place in the project that connects a socket.
pub(super) async fn dial_tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// `CONNECT` to the judged address: the proxy resolves nothing.
async fn tunnel(mut stream: TcpStream, address: SocketAddr) -> std::io::Result<TcpStream> {
    stream.write_all(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_TUNNEL_HEAD {
            return Err(std::io::Error::other("the proxy's answer is too long"));
        }
        // A byte at a time: what follows the head belongs to the tunnel.
        head.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let is_open = line.starts_with("HTTP/1.") && line.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
    if is_open { Ok(stream) } else { Err(std::io::Error::other(format!("the proxy refuses: {line}"))) }
}

fn proxy_address(url: &url::Url) -> Result<(String, u16), BuildError> {
    let is_plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|_| is_plain).ok_or_else(|| BuildError::Proxy(url.clone()))?;
    Ok((host.trim_matches(['[', ']']).to_owned(), url.port_or_known_default().unwrap_or(80)))
}

fn tls_config(config: &EgressConfig) -> Result<rustls::ClientConfig, BuildError> {
    let mut tls = tls_with(true, config.extra_ca_pem.as_deref())?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// TLS that trusts the public authorities, those of a PEM text, or both.
pub(super) fn tls_with(trusts_public: bool, extra_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, BuildError> {
    let public = if trusts_public { webpki_roots::TLS_SERVER_ROOTS.to_vec() } else { Vec::new() };
    let mut roots = rustls::RootCertStore { roots: public };
    if let Some(pem) = extra_pem {
        let wrong = |cause: String| BuildError::Certificates(cause);
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("no certificate in it".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tls)
}

pub(super) fn protocol(error: hyper::Error) -> FetchError {
    if error.is_parse_too_large() {
        return FetchError::HeadersTooLarge(error.to_string());
    }
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    FetchError::Protocol(format!("{error}{cause}"))
}
