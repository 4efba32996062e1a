//! One connection: read a head, log it, answer it, again.

use super::message::{Body, Request, Response};
use crate::access_log::{AccessLog, Running};
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout};

/// Larger request heads end the connection.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// An idle connection is closed after this time: longer than any crawler keeps one.
const IDLE: Duration = Duration::from_secs(120);
/// Endless answers end here, so that a forgotten client does not keep a test machine busy.
const ENDLESS_BYTES: usize = 512 * 1024 * 1024;
const ENDLESS_TIME: Duration = Duration::from_secs(300);

/// Finds the answer to a request, and how long it takes to think of it.
pub(crate) trait Gate: Send + Sync + 'static {
    fn answer(&self, request: &Request, local: SocketAddr) -> (Duration, Response);
}

/// Serves one connection until it is closed.
pub(crate) async fn serve(stream: TcpStream, number: u64, gate: &impl Gate, log: &AccessLog) -> io::Result<()> {
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = Vec::new();
    while let Some(request) = timeout(IDLE, read_head(&mut reader, &mut buffer)).await?? {
        let user_agent = request.header("user-agent").unwrap_or_default().to_owned();
        let mut running = log.begin(request.host(), request.target.clone(), user_agent, number);
        // A client that went away ends its request now, not when the answer would have been ready.
        let stays_open = tokio::select! {
            answered = answer(&request, gate, local, &mut writer, &mut running) => answered?,
            () = peer_gone(&mut reader) => false,
        };
        drop(running);
        if !stays_open {
            break;
        }
    }
    // Closed as a whole: a reset must not be preceded by an orderly end.
    writer.forget();
    Ok(())
}

async fn read_head(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Ok(Request::parse(head.get(..end).unwrap_or_default()));
        }
        if buffer.len() > MAX_HEAD_BYTES || reader.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn peer_gone(reader: &mut OwnedReadHalf) {
    // More bytes are a pipelined request: they stay for the next turn.
    if matches!(reader.peek(&mut [0; 1]).await, Ok(n) if n > 0) {
        std::future::pending::<()>().await;
    }
}

/// Sends the answer; says whether the connection may be used again.
async fn answer(
    request: &Request,
    gate: &impl Gate,
    local: SocketAddr,
    writer: &mut OwnedWriteHalf,
    running: &mut Running,
) -> io::Result<bool> {
    let (think, response) = gate.answer(request, local);
    if !think.is_zero() {
        sleep(think).await;
    }
    match &response.body {
        Body::Garbage(bytes) => return writer.write_all(bytes).await.map(|()| false),
        Body::Reset => {
            writer.as_ref().set_zero_linger()?;
            return Ok(false);
        }
        Body::Silence => {
            sleep(ENDLESS_TIME).await;
            return Ok(false);
        }
        _ => running.set_status(response.status),
    }
    let is_head = request.method == "HEAD";
    let asks_close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let head = head_text(&response);
    if let (Body::Full(bytes), false) = (&response.body, is_head) {
        // In one write: one packet for small answers, as real servers do.
        let whole = [head.as_bytes(), bytes].concat();
        writer.write_all(&whole).await?;
        return Ok(!asks_close);
    }
    writer.write_all(head.as_bytes()).await?;
    if is_head {
        return Ok(!asks_close);
    }
    send_slowly_or_wrongly(&response.body, writer).await.map(|()| false)
}

async fn send_slowly_or_wrongly(body: &Body, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    match body {
        Body::Drip { bytes, step, pause } => {
            for part in bytes.chunks((*step).max(1)) {
                writer.write_all(part).await?;
                sleep(*pause).await;
            }
            Ok(())
        }
        Body::Truncated { bytes, .. } => writer.write_all(bytes).await,
        Body::Endless(chunk) => {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            repeat(&framed.into(), writer).await
        }
        Body::HeaderFlood => repeat(&Bytes::from("x-flood: 0123456789abcdef\r\n".repeat(100)), writer).await,
        Body::Full(_) | Body::Garbage(_) | Body::Reset | Body::Silence => Ok(()),
    }
}

async fn repeat(part: &Bytes, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    let started = Instant::now();
    let mut sent = 0;
    while sent < ENDLESS_BYTES && started.elapsed() < ENDLESS_TIME {
        writer.write_all(part).await?;
        sent += part.len();
    }
    Ok(())
}

fn head_text(response: &Response) -> String {
    let reason = match response.status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    };
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let framing = match &response.body {
        Body::Full(_) if response.status == 304 => "\r\n".to_owned(),
        Body::Full(bytes) | Body::Drip { bytes, .. } => format!("content-length: {}\r\n\r\n", bytes.len()),
        Body::Truncated { announced, .. } => format!("content-length: {announced}\r\n\r\n"),
        Body::Endless(_) => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        Body::HeaderFlood | Body::Garbage(_) | Body::Reset | Body::Silence => String::new(),
    };
    head.push_str(&framing);
    head
}
