//! A small HTTP server on loopback that speaks `/embeddings` by a script.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// One call as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) head: String,
    pub(super) input: Vec<String>,
    pub(super) model: String,
    pub(super) at: Instant,
}

/// Status line, header fields, body.
pub(super) type Answer = (u16, &'static str, Value);

pub(super) struct Server {
    pub(super) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Answers each call by `script`, which is told its number from 0.
    pub(super) async fn start(script: impl Fn(usize, &Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        let script = Arc::new(script);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, calls) = (Arc::clone(&script), Arc::clone(&kept));
                connections.spawn(serve(stream, calls, move |n, call| script(n, call)));
            }
        });
        Self { address, calls, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, calls: Arc<Mutex<Vec<Call>>>, script: impl Fn(usize, &Call) -> Answer) {
    while let Some(call) = read_call(&mut stream).await {
        let n = {
            let mut calls = calls.lock().unwrap();
            calls.push(call.clone());
            calls.len() - 1
        };
        let (status, fields, body) = script(n, &call);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_call(stream: &mut TcpStream) -> Option<Call> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.to_lowercase().split_once("content-length: ")?.1.split_once("\r\n")?.0.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let input = body["input"].as_array()?.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    Some(Call { head, input, model: body["model"].as_str()?.to_owned(), at: Instant::now() })
}

/// What a healthy server answers: each text's length and a 1, in shuffled order when `is_shuffled`.
pub(super) fn vectors(call: &Call, is_shuffled: bool) -> Answer {
    let item =
        |(index, text): (usize, &String)| json!({"object": "embedding", "index": index, "embedding": [text.len(), 1]});
    let mut data: Vec<Value> = call.input.iter().enumerate().map(item).collect();
    if is_shuffled {
        data.reverse();
    }
    let n_tokens = 10 * call.input.len();
    (200, "", json!({"object": "list", "data": data, "model": call.model, "usage": {"total_tokens": n_tokens}}))
}
