//! Answers while a crawl runs.

use super::{Answer, DEADLINE, MAX_REQUEST_BYTES, Request, socket};
use crate::boot::Service;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Exchanges at once; more wait in the socket's own bounded queue.
const MAX_EXCHANGES: usize = 8;

/// The listening socket of a running crawl. Dropped, it is gone.
pub(crate) struct Server {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens inside the data directory, whose lock this process holds.
    ///
    /// # Errors
    /// When the socket cannot be made, e.g. because the path is longer than the system allows.
    pub(crate) fn start(data_dir: &Path, service: Service) -> std::io::Result<Self> {
        let path = socket(data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok(Self { path, task: tokio::spawn(serve(listener, Arc::new(service))) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, service: Arc<Service>) {
    let places = Arc::new(Semaphore::new(MAX_EXCHANGES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let service = Arc::clone(&service);
        drop(tokio::spawn(async move {
            if let Err(error) = exchange(stream, &service).await {
                tracing::debug!(%error, "a control exchange broke off");
            }
            drop(place);
        }));
    }
}

async fn exchange(mut stream: UnixStream, service: &Service) -> std::io::Result<()> {
    let mut line = String::new();
    timeout(DEADLINE, BufReader::new((&mut stream).take(MAX_REQUEST_BYTES)).read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => timely_answer(request, service).await.unwrap_or_else(Answer::refuse),
        Err(error) => Answer::refuse(CliError::new(ErrorCode::Usage, "the request is not understood").because(error)),
    };
    let mut reply = serde_json::to_vec(&answer)?;
    reply.push(b'\n');
    timeout(DEADLINE, stream.write_all(&reply)).await?
}

async fn timely_answer(request: Request, service: &Service) -> Result<Answer> {
    let late = |_| CliError::new(ErrorCode::StoreUnavailable, "the crawl did not find the answer in time");
    timeout(request.deadline(), request.answer(service)).await.map_err(late)?
}
