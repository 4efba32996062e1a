//! A listener that runs a script for each connection and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

#[derive(Default)]
pub(super) struct Log {
    n_connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    n_bytes: AtomicUsize,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    log: Arc<Log>,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Runs `script` for each connection.
    pub(super) async fn scripted<F, R>(script: F) -> Self
    where
        F: Fn(TcpStream, Arc<Log>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), script)
    }

    pub(super) fn on<F, R>(listener: TcpListener, script: F) -> Self
    where
        F: Fn(TcpStream, Arc<Log>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().expect("it is bound");
        let log = Arc::new(Log::default());
        let kept = Arc::clone(&log);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                kept.n_connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(script(stream, Arc::clone(&kept)));
            }
        });
        Self { address, log, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Answers every request with the same bytes and keeps the connection.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::scripted(move |mut stream, log| {
            let answer = Arc::clone(&answer);
            async move { while read_head(&mut stream, &log).await && stream.write_all(&answer).await.is_ok() {} }
        })
        .await
    }

    /// Answers one request with bytes, then closes the connection.
    pub(super) async fn closing(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::scripted(move |mut stream, log| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut stream, &log).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                // The peer closes: what it had not read yet would be lost by a reset otherwise.
                let _ = stream.read(&mut [0; 16]).await;
            }
        })
        .await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn n_connections(&self) -> usize {
        self.log.n_connections.load(Ordering::SeqCst)
    }

    /// Bytes of heads that came.
    pub(super) fn n_bytes(&self) -> usize {
        self.log.n_bytes.load(Ordering::SeqCst)
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.log.heads.lock().expect("no test panics while it holds it").clone()
    }
}

/// Reads one request head; `false` when the peer has closed.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin), log: &Log) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return false };
        log.n_bytes.fetch_add(1, Ordering::SeqCst);
        head.push(byte);
    }
    log.heads.lock().expect("no test panics while it holds it").push(String::from_utf8_lossy(&head).into_owned());
    true
}

/// A whole answer with `Content-Length`.
pub(super) fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
