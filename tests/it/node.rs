//! A running `argiope node`, and a small HTTP client: no library of ours between the test and the wire.

use crate::place::{Ended, PATIENCE, Place, Running};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// For one exchange on a busy machine.
const EXCHANGE: Duration = Duration::from_secs(60);

/// A node on free ports of loopback, which may crawl loopback.
pub(crate) struct Node {
    pub(crate) running: Running,
    pub(crate) http: String,
    pub(crate) metrics: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A problem of this status and code; its JSON.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{self:?}");
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        problem
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

impl Node {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(place: &Place, words: &[&str]) -> Self {
        let mut line = vec!["node", "--metrics-listen", "127.0.0.1:0"];
        if !words.contains(&"--listen") {
            line.extend(["--listen", "127.0.0.1:0"]);
        }
        line.extend(words);
        let mut running = place.start(&line);
        running.wait_for("the node", |line| line["event"] == "node_started");
        let lines = running.lines();
        let address = |name: &str| lines[0][name].as_str().expect("an address").to_owned();
        let (http, metrics) = (address("http"), address("metrics"));
        Self { running, http, metrics }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        call(&self.http, "GET", &format!("/api/v1{path}"), &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: Option<&Value>) -> Reply {
        self.post_with(path, &[], body)
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Reply {
        call(&self.http, "POST", &format!("/api/v1{path}"), headers, body.map(Value::to_string).as_deref())
    }

    /// Waits until the job satisfies `is_it`; the job.
    #[track_caller]
    pub(crate) fn wait_for_job(&self, id: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.get(&format!("/jobs/{id}")).ok(200);
            if is_it(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "no {what}: {job}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Interrupts it; it must drain.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.running.interrupt();
        let ended = self.running.wait(PATIENCE);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        ended
    }
}

/// One exchange. HTTP/1.0, so that the answer ends with the connection and comes as it is.
pub(crate) fn call(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
    let reply = try_call(base, (method, path), headers, body, EXCHANGE);
    reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// The same with a node that may be away.
///
/// # Errors
/// What the connection says, or that what came was no answer.
#[expect(clippy::disallowed_methods, reason = "the test is the outside world")]
pub(crate) fn try_call(
    base: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&str>,
    patience: Duration,
) -> std::io::Result<Reply> {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    let mut head = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "content-type") && body.is_some() {
        head.push_str("content-type: application/json\r\n");
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    let body = body.unwrap_or_default();
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    // A node that refuses by the head alone closes before the body is through.
    let _ = stream.write_all(body.as_bytes());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.split_once("\r\n\r\n").and_then(|(head, text)| {
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok())?;
        Some(Reply { status, head: head.to_ascii_lowercase(), text: text.to_owned() })
    });
    match read {
        // One that was refused by its head may end with a reset after the answer.
        Err(error) if whole.is_none() || error.kind() != ErrorKind::ConnectionReset => Err(error),
        _ => whole.ok_or_else(|| std::io::Error::other(format!("no answer: {text:?}"))),
    }
}
