//! A real S3 server inside the test: `s3s` speaks the protocol and checks signatures, `s3s-fs` keeps the objects.
//!
//! What comes in passes through here, so that requests are counted, refused, answered into the void, or answered
//! without a look at their conditions. Writes go one after the other, since `s3s-fs` compares and writes in two steps.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const BUCKET: &str = "crawl";
pub(crate) const KEY_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "a-secret-for-tests";

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// What the server does wrong.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Requests that are answered with `503 Slow Down`.
    pub(crate) busy: AtomicU32,
    /// Writes that are done, but whose answers are lost with the connection.
    pub(crate) lost: AtomicU32,
    /// Whether conditions of writes are ignored: 1 is yes.
    pub(crate) unconditional: AtomicU32,
}

/// A server on a port of its own; ends when it is dropped.
pub(crate) struct S3Server {
    pub(crate) endpoint: String,
    pub(crate) trouble: Arc<Trouble>,
    requests: Arc<Mutex<BTreeMap<&'static str, u32>>>,
    root: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let front =
            Front { s3: builder.build(), trouble: Arc::default(), requests: Arc::default(), writes: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (trouble, requests) = (Arc::clone(&front.trouble), Arc::clone(&front.requests));
        let task = tokio::spawn(serve(listener, front));
        Self { endpoint, trouble, requests, root, task }
    }

    /// The file of an object.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(name)
    }

    pub(crate) fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// Requests since the last call, by kind.
    pub(crate) fn take_requests(&self) -> BTreeMap<&'static str, u32> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// Names of objects below a folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let (mut found, mut waiting) = (Vec::new(), vec![self.file(folder)]);
        while let Some(path) = waiting.pop() {
            for entry in std::fs::read_dir(path).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(relative(&path, &self.bucket()));
                }
            }
        }
        found
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

async fn serve(listener: TcpListener, front: Front) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let front = front.clone();
        let service = service_fn(move |request| {
            let front = front.clone();
            async move { front.pass(request).await }
        });
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[derive(Clone)]
struct Front {
    s3: S3Service,
    trouble: Arc<Trouble>,
    requests: Arc<Mutex<BTreeMap<&'static str, u32>>>,
    writes: Arc<tokio::sync::Mutex<()>>,
}

impl Front {
    async fn pass(&self, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
        let kind = kind(&request);
        *self.requests.lock().unwrap().entry(kind).or_default() += 1;
        if take(&self.trouble.busy) {
            let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, text));
        }
        // As S3 says it; `s3s-fs` would make the bucket.
        if !request.uri().path().trim_start_matches('/').starts_with(BUCKET) {
            let text = "<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist.</Message></Error>";
            return Ok(answer(StatusCode::NOT_FOUND, text));
        }
        let is_conditional = ["if-match", "if-none-match"].iter().any(|name| request.headers().contains_key(*name));
        if self.trouble.unconditional.load(Ordering::Relaxed) == 1 && kind == "put" && is_conditional {
            // The headers are signed, so they cannot be taken away; the answer is what such a server gives.
            return Ok(answer(StatusCode::OK, ""));
        }
        let _one_at_a_time = if kind == "put" { Some(self.writes.lock().await) } else { None };
        let answer = self
            .s3
            .call(request.map(s3s::Body::from))
            .await
            .map_err(|error| std::io::Error::other(format!("{error:?}")))?;
        if kind == "put" && take(&self.trouble.lost) {
            return Err(std::io::Error::other("the connection breaks"));
        }
        Ok(answer.map(|body| body.map_err(|error| std::io::Error::other(error.to_string())).boxed_unsync()))
    }
}

fn answer(status: StatusCode, text: &'static str) -> Answer {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("etag", "\"1\"").body(body).unwrap()
}

fn kind(request: &Request<Incoming>) -> &'static str {
    match *request.method() {
        Method::PUT => "put",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::POST => "post",
        _ if request.uri().query().is_some_and(|query| query.contains("list-type")) => "list",
        _ => "get",
    }
}

/// Uses up one of what is left.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
