//! The way to the server: each call under a deadline, none while the server is away or asked for a pause.

use super::breaker::{Breaker, Gate};
use super::fault::Failure;
use super::options::QdrantOptions;
use crate::error::ServerFault;
use crate::{Error, Result};
use qdrant_client::{Qdrant, QdrantError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For a connection; the call's own deadline counts as well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client and what is known about its server.
pub(super) struct Link {
    client: Qdrant,
    call_timeout: Duration,
    breaker: Mutex<Breaker>,
}

impl Link {
    /// Connects with the first call.
    pub(super) fn new(options: &QdrantOptions) -> Result<Self> {
        let refused = |message: String| Failure::new(ServerFault::Refused, message).into_error("set up the client");
        // The client would repeat a key that it cannot send.
        if options.api_key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(refused("the API key has characters that cannot be sent".to_owned()));
        }
        let client = Qdrant::from_url(&options.url)
            .api_key(options.api_key.clone())
            .connect_timeout(CONNECT_TIMEOUT.min(options.call_timeout))
            // Ours ends first: after its own the client would send the call once more.
            .timeout(options.call_timeout.saturating_mul(2))
            .keep_alive_while_idle()
            // It would print to standard output.
            .skip_compatibility_check()
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { client, call_timeout: options.call_timeout, breaker: Mutex::default() })
    }

    /// The end of a read that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.call_timeout
    }

    /// One attempt, after the pause that the server asked for.
    ///
    /// # Cancel
    /// The server may do what was asked all the same.
    pub(super) async fn call<T, Answer>(
        &self,
        context: &'static str,
        until: Instant,
        request: impl FnOnce(Qdrant) -> Answer + Send,
    ) -> Result<T>
    where
        Answer: Future<Output = std::result::Result<T, QdrantError>> + Send,
    {
        self.pass(context, until).await?;
        let wait = self.call_timeout.min(until.saturating_duration_since(Instant::now()));
        // Boxed: the client's futures have many kilobytes, and each caller would carry them.
        let answer = tokio::time::timeout(wait, Box::pin(request(self.client.clone()))).await;
        let failure = match answer {
            Ok(Ok(answer)) => {
                self.breaker().answered();
                return Ok(answer);
            }
            Ok(Err(error)) => Failure::of(error),
            Err(_) => Failure::timeout(wait),
        };
        let now = Instant::now();
        if failure.is_silence() {
            self.breaker().failed(now);
        } else {
            self.breaker().answered();
        }
        if let Some(pause) = failure.pause {
            self.breaker().paused(now, pause);
        }
        Err(failure.into_error(context))
    }

    /// A call that changes nothing: tried again while the server is busy and the time is not up.
    pub(super) async fn read<T, Answer>(
        &self,
        context: &'static str,
        until: Instant,
        request: impl Fn(Qdrant) -> Answer + Send + Sync,
    ) -> Result<T>
    where
        Answer: Future<Output = std::result::Result<T, QdrantError>> + Send,
    {
        loop {
            match self.call(context, until, &request).await {
                Err(Error::Server { fault: ServerFault::Busy, .. }) if Instant::now() < until => {}
                result => return result,
            }
        }
    }

    /// Waits until the server may be called.
    async fn pass(&self, context: &'static str, until: Instant) -> Result<()> {
        loop {
            let gate = self.breaker().ask(Instant::now(), self.call_timeout);
            let left = until.saturating_duration_since(Instant::now());
            let failure = match gate {
                Gate::Open if !left.is_zero() => return Ok(()),
                Gate::Paused(wait) if wait < left => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Gate::Open => Failure::new(ServerFault::Timeout, "the time for the whole operation is over"),
                Gate::Paused(wait) => {
                    let message = format!("the server asks to be left alone for {} ms", wait.as_millis());
                    Failure::new(ServerFault::Busy, message)
                }
                Gate::Away(wait) => {
                    let message = format!("the server does not answer, next attempt in {} ms", wait.as_millis());
                    Failure::new(ServerFault::Unreachable, message)
                }
            };
            return Err(failure.into_error(context));
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}
