//! HTTP/2 and HTTP/1.1 over TLS with an authority of our own, and windows that pass during a slow handshake.

use super::window::Window;
use super::{config, get, request_in};
use crate::{EgressConfig, FetchError, GuardedClient};
use argiope_protocol::FailReason;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

struct TlsServer {
    port: u16,
    pem: String,
    n_requests: Arc<AtomicUsize>,
    n_connections: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

/// Waits before each handshake, then answers every request with its version and a header of `header_bytes`.
async fn serve(alpn: &[u8], delay: Duration, header_bytes: usize) -> TlsServer {
    let made = rcgen::generate_simple_self_signed(vec!["tls.test".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("certificate and key match");
    tls.alpn_protocols = vec![alpn.to_vec()];
    let is_http2 = alpn == b"h2";
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (n_requests, n_connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (requests, connections) = (Arc::clone(&n_requests), Arc::clone(&n_connections));
    let accepting = tokio::spawn(async move {
        let mut running = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
            running.spawn(async move {
                tokio::time::sleep(delay).await;
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let body = format!("{:?} {}", request.version(), request.uri());
                    let mut response = http::Response::new(Full::new(bytes::Bytes::from(body)));
                    let value = "y".repeat(header_bytes).parse().expect("a header value");
                    response.headers_mut().insert("x-filler", value);
                    async move { Ok::<_, std::convert::Infallible>(response) }
                });
                let io = TokioIo::new(stream);
                let _ = if is_http2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                } else {
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
                };
            });
        }
    });
    let pem = made.cert.pem();
    TlsServer { port, pem, n_requests, n_connections, _accepting: AbortOnDropHandle::new(accepting) }
}

fn client_for(server: &TlsServer) -> GuardedClient {
    let extra_ca_pem = Some(server.pem.clone().into_bytes());
    GuardedClient::try_new(EgressConfig { extra_ca_pem, ..config() }).expect("valid settings")
}

#[tokio::test]
async fn both_versions_are_spoken_and_connections_reused() {
    for (alpn, expected) in [(&b"h2"[..], "HTTP/2.0 https://tls.test"), (b"http/1.1", "HTTP/1.1 /a")] {
        let server = serve(alpn, Duration::ZERO, 10).await;
        let client = client_for(&server);
        for _ in 0..3 {
            let response = get(&client, &format!("https://tls.test:{}/a", server.port)).await.expect("it answers");
            let body = String::from_utf8_lossy(&response.body).into_owned();
            assert!(body.starts_with(expected), "{body}");
        }
        assert_eq!(server.n_connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn unknown_authorities_wrong_names_and_plain_ports_are_tls_errors() {
    let server = serve(b"h2", Duration::ZERO, 10).await;
    let strict = GuardedClient::try_new(config()).expect("valid settings");
    let plain = super::server::Server::scripted(|mut stream, _| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = stream.read(&mut [0; 1]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    for (client, url) in [
        (&strict, format!("https://tls.test:{}/", server.port)),
        (&client_for(&server), format!("https://a.test:{}/", server.port)),
        (&strict, format!("https://a.test:{}/", plain.address.port())),
    ] {
        let error = get(client, &url).await.expect_err("it is not trusted");
        assert_eq!(error.reason(), FailReason::Tls, "{url}: {error}");
    }
    assert_eq!(server.n_requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_window_that_passes_during_a_slow_handshake_stops_the_request() {
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let server = serve(alpn, Duration::from_millis(400), 10).await;
        let client = client_for(&server);
        let url = format!("https://tls.test:{}/", server.port);
        let window = Window::new(Duration::from_millis(100), false);
        let error = client.fetch(request_in(&url, window)).await.expect_err("it has passed");
        assert!(matches!(error, FetchError::WindowMissed), "{error}");
        let window = Window::new(Duration::from_millis(100), true);
        client.fetch(request_in(&url, window)).await.expect("a new start was given");
        assert_eq!(server.n_requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_large_head_over_http2_is_refused() {
    let server = serve(b"h2", Duration::ZERO, 100 * 1024).await;
    let error = get(&client_for(&server), &format!("https://tls.test:{}/", server.port)).await;
    let error = error.expect_err("its head is too large");
    // The library resets such a stream with the error of any malformed one.
    assert_eq!(error.reason(), FailReason::Protocol, "{error}");
}
