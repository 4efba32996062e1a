//! An HTTP proxy on loopback that takes its time for every other tunnel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A running proxy with the thread that serves it.
pub(crate) struct SlowProxy {
    address: SocketAddr,
    _runtime: Runtime,
}

impl SlowProxy {
    /// The first tunnel stands at once, the second after `pause`, and so on in turn.
    pub(crate) fn start(pause: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the proxy");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        runtime.spawn(serve(listener, pause));
        Self { address, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, pause: Duration) {
    let mut is_slow = true;
    while let Ok((client, _)) = listener.accept().await {
        is_slow = !is_slow;
        let pause = if is_slow { pause } else { Duration::ZERO };
        // A tunnel that breaks off is a matter of its ends.
        tokio::spawn(async move { tunnel(client, pause).await });
    }
}

#[expect(clippy::disallowed_methods, reason = "a proxy dials for its client, from the address to it on loopback")]
async fn tunnel(mut client: TcpStream, pause: Duration) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
        if head.len() > 4_096 {
            return Err(io::Error::other("no CONNECT"));
        }
    }
    let line = String::from_utf8_lossy(&head).into_owned();
    let target = line.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let target: SocketAddr = target.and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("no address"))?;
    tokio::time::sleep(pause).await;
    let mut server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
