//! Asks the crawl that holds a data directory.

use super::{Answer, DEADLINE, MAX_ANSWER_BYTES, Request, socket};
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Asks the crawl that holds the directory; `None` when no crawl holds it.
///
/// # Errors
/// What the crawl refused, or that it did not answer in time.
pub(super) async fn ask(data_dir: &Path, request: &Request) -> Result<Option<Answer>> {
    // A socket that a killed process left behind refuses connections.
    let Ok(stream) = UnixStream::connect(socket(data_dir)).await else { return Ok(None) };
    let exchange = tokio::time::timeout(request.deadline() + DEADLINE, exchange(stream, request)).await;
    let silent = || CliError::new(ErrorCode::DataDirLocked, "the crawl that holds the data directory does not answer");
    exchange.map_err(|_| silent())?.map_err(|error| silent().because(error))?.accept().map(Some)
}

async fn exchange(mut stream: UnixStream, request: &Request) -> std::io::Result<Answer> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}
