//! The way to a server that answers late: bytes from it arrive after a pause that a test may change.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pieces of an answer that are under way at once.
const MAX_PIECES: usize = 64;
const PIECE_BYTES: usize = 16 * 1024;

/// A proxy on loopback with the thread that serves it.
pub(super) struct SlowWay {
    address: SocketAddr,
    pause_ms: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl SlowWay {
    /// A way without a pause.
    pub(super) fn start(server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the proxy");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let pause_ms = Arc::<AtomicU64>::default();
        runtime.spawn(serve(listener, server, Arc::clone(&pause_ms)));
        Self { address, pause_ms, _runtime: runtime }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How late answers arrive from now on.
    pub(super) fn slow_down(&self, pause: Duration) {
        self.pause_ms.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, pause_ms: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let pause_ms = Arc::clone(&pause_ms);
        // A connection that breaks off is a matter of its ends.
        tokio::spawn(async move { carry(client, server, &pause_ms).await });
    }
}

#[expect(clippy::disallowed_methods, reason = "a proxy dials for its client, on loopback")]
async fn carry(client: TcpStream, server: SocketAddr, pause_ms: &AtomicU64) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // The first end that is over ends both.
    tokio::select! {
        sent = copy(&mut from_client, &mut to_server) => sent.map(drop),
        answered = delay(from_server, to_client, pause_ms) => answered,
    }
}

/// Each piece arrives a pause after it was read, so that what follows it is not held up.
async fn delay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    pause_ms: &AtomicU64,
) -> io::Result<()> {
    let (pieces, mut late) = mpsc::channel::<(Instant, Vec<u8>)>(MAX_PIECES);
    let read = async move {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let n_bytes = from.read(&mut buffer).await?;
            let due = Instant::now() + Duration::from_millis(pause_ms.load(Ordering::Relaxed));
            let piece = buffer.get(..n_bytes).unwrap_or_default().to_vec();
            if n_bytes == 0 || pieces.send((due, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = late.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}
