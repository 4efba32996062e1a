//! A job's stream of events, begun anew when it breaks: a node that restarts is no end of a job.

use super::{Endpoint, TIMEOUT};
use crate::errors::{CliError, Result};
use crate::http::SseReader;
use argiope_egress::{ApiError, ApiStream};
use argiope_protocol::{ErrorCode, JobId};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Silence after which a stream is given up; the node sends something every 10 s.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a node may be away.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows one job.
pub(crate) struct Follower {
    endpoint: Endpoint,
    job: JobId,
    open: Option<(ApiStream, SseReader)>,
    /// Since when nothing was heard; nothing while the stream is open.
    lost_at: Option<Instant>,
}

impl Follower {
    pub(super) const fn new(endpoint: Endpoint, job: JobId) -> Self {
        Self { endpoint, job, open: None, lost_at: None }
    }

    /// The next events, each as one JSON object.
    ///
    /// # Errors
    /// What the node refused, or `AR0601` when it stays away.
    ///
    /// # Cancel
    /// Bytes that were read are kept; a stream that was being opened is opened anew.
    pub(crate) async fn next(&mut self) -> Result<Vec<Value>> {
        loop {
            match self.read().await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    self.lost_at = None;
                    return Ok(events);
                }
                Err(error) if matches!(error.code, ErrorCode::EndpointUnreachable | ErrorCode::NodeBusy) => {
                    self.open = None;
                    if self.lost_at.is_none() {
                        tracing::warn!(job = %self.job, %error, "the node is away, trying again");
                    }
                    let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
                    if lost_at.elapsed() > PATIENCE {
                        return Err(error.because(format!("the node was away for {} s", PATIENCE.as_secs())));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Value>> {
        if self.open.is_none() {
            self.open = Some((self.begin().await?, SseReader::default()));
        }
        let Some((stream, reader)) = &mut self.open else { return Ok(Vec::new()) };
        match stream.next(SILENCE).await {
            Ok(Some(bytes)) => reader.read(&bytes),
            Ok(None) => Err(self.endpoint.unreachable(&ApiError::Protocol("the stream ended".to_owned()))),
            Err(error) => Err(self.endpoint.unreachable(&error)),
        }
    }

    async fn begin(&self) -> Result<ApiStream> {
        let path = format!("/api/v1/jobs/{}/events", self.job);
        let mut request = self.endpoint.request(http::Method::GET, &path, None);
        request.timeout = TIMEOUT;
        let answer = self.endpoint.api.stream(request).await.map_err(|error| self.endpoint.unreachable(&error))?;
        answer.map_err(|answer| -> CliError { self.endpoint.refused(&answer) })
    }
}
