//! A network between two nodes that can fall silent or break.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Forwards every connection to one address.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    broken: Arc<std::sync::Mutex<CancellationToken>>,
}

impl Proxy {
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_open = Arc::new(watch::channel(true).0);
        let broken = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
        let (gate, breaker) = (Arc::clone(&is_open), Arc::clone(&broken));
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (gate, broken) = (gate.subscribe(), breaker.lock().unwrap().child_token());
                tokio::spawn(broken.run_until_cancelled_owned(pass(from, target, gate)));
            }
        });
        Self { address, is_open, broken }
    }

    /// Bytes wait from now on; no end of a stream is seen either.
    pub(super) fn fall_silent(&self) {
        self.is_open.send_replace(false);
    }

    /// What waits is forwarded, and all that follows.
    pub(super) fn heal(&self) {
        self.is_open.send_replace(true);
    }

    /// Connections are closed, as they are when a process is killed.
    pub(super) fn break_connections(&self) {
        std::mem::take(&mut *self.broken.lock().unwrap()).cancel();
    }
}

async fn pass(from: TcpStream, target: SocketAddr, gate: watch::Receiver<bool>) {
    #[expect(clippy::disallowed_methods, reason = "this is the network between two nodes")]
    let Ok(to) = TcpStream::connect(target).await else { return };
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::select! {
        () = forward(from_read, to_write, gate.clone()) => {}
        () = forward(to_read, from_write, gate.clone()) => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if gate.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        let Ok(n_bytes) = from.read(&mut buffer).await else { return };
        if gate.wait_for(|is_open| *is_open).await.is_err() || n_bytes == 0 {
            return;
        }
        if to.write_all(&buffer[..n_bytes]).await.is_err() {
            return;
        }
    }
}
