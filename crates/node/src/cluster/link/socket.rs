//! Streams between nodes, plain or with TLS.

use super::tls::{self, TlsMaterial};
use rustls::pki_types::{CertificateDer, ServerName};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Either end of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A stream and the certificate of its other end, where there is TLS.
pub(super) struct Secured {
    pub(super) stream: Box<dyn Stream>,
    pub(super) certificate: Option<CertificateDer<'static>>,
}

/// Connects to a node.
pub(super) async fn connect(address: &str, tls: Option<&TlsMaterial>) -> io::Result<Secured> {
    #[expect(
        clippy::disallowed_methods,
        reason = "nodes of the cluster are no targets of a crawl: egress policy \
        would deny their private addresses, and who answers is proved by certificate and cookie"
    )]
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Secured { stream: Box::new(stream), certificate: None }) };
    // No name is asked for or looked at here, see `tls`.
    let name = ServerName::try_from("argiope").map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls.client.clone()).connect(name, stream).await?;
    let certificate = first(stream.get_ref().1.peer_certificates());
    Ok(Secured { stream: Box::new(stream), certificate })
}

/// Makes a connection that came in a stream.
pub(super) async fn accepted(stream: TcpStream, tls: Option<&TlsMaterial>) -> io::Result<Secured> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Secured { stream: Box::new(stream), certificate: None }) };
    let stream = TlsAcceptor::from(tls.server.clone()).accept(stream).await?;
    let certificate = first(stream.get_ref().1.peer_certificates());
    Ok(Secured { stream: Box::new(stream), certificate })
}

fn first(chain: Option<&[CertificateDer<'static>]>) -> Option<CertificateDer<'static>> {
    chain.and_then(<[_]>::first).cloned()
}

impl Secured {
    /// Whether the other end may call itself so: always without TLS, which is on loopback only.
    pub(super) fn may_be(&self, name: &argiope_protocol::NodeName) -> bool {
        self.certificate.as_ref().is_none_or(|certificate| tls::is_for(certificate, name))
    }
}
