//! Answers while a crawl runs.

use super::{Answer, DEADLINE, MAX_REQUEST_BYTES, Request, socket};
use crate::boot::{self, Stores};
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

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
    pub(crate) fn start(config: &Config, stores: &Stores) -> std::io::Result<Self> {
        let path = socket(&config.data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let served = Arc::new((config.clone(), stores.clone()));
        Ok(Self { path, task: tokio::spawn(serve(listener, served)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, served: Arc<(Config, Stores)>) {
    let places = Arc::new(Semaphore::new(MAX_EXCHANGES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let served = Arc::clone(&served);
        drop(tokio::spawn(async move {
            let outcome = tokio::time::timeout(DEADLINE, exchange(stream, &served.0, &served.1)).await;
            if let Ok(Err(error)) = outcome {
                tracing::debug!(%error, "a control exchange broke off");
            }
            drop(place);
        }));
    }
}

async fn exchange(mut stream: UnixStream, config: &Config, stores: &Stores) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(MAX_REQUEST_BYTES)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => answer(request, config, stores).await.unwrap_or_else(Answer::refuse),
        Err(error) => Answer::refuse(CliError::new(ErrorCode::Usage, "the request is not understood").because(error)),
    };
    let mut reply = serde_json::to_vec(&answer)?;
    reply.push(b'\n');
    stream.write_all(&reply).await
}

async fn answer(request: Request, config: &Config, stores: &Stores) -> Result<Answer> {
    match request {
        Request::Jobs => Ok(Answer::Jobs(stores.frontier.jobs().await?)),
        Request::Move { id, state } => {
            let job = boot::find_job(stores.frontier.as_ref(), &id).await?;
            Ok(Answer::Jobs(vec![stores.frontier.set_job_state(job.id, state, boot::now()).await?]))
        }
        Request::Search(question) => Ok(Answer::Hits(boot::search(config, stores, question).await?)),
    }
}
