//! One batch: sent, and sent again while that may help.

use super::answer::{Usable, message_of, read};
use super::{Budget, OpenAiOptions};
use crate::embedder::adapter::EmbedError;
use argiope_egress::{FetchError, GuardedClient, JsonAnswer, JsonPost};
use bytes::Bytes;
use governor::DefaultDirectRateLimiter;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use url::Url;

/// Attempts for a batch. With the pauses below they span about 8 s; longer troubles are the stage's business.
const MAX_ATTEMPTS: u32 = 5;
/// Pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A batch is given up when it would take longer than this, pauses included, or twice the timeout if that is more. The
/// rate limit's waiting counts too.
const MAX_TOTAL: Duration = Duration::from_secs(120);
/// Bytes of a number in JSON: sign, 17 digits, point, exponent, and the spaces of a pretty printer.
const MAX_NUMBER_BYTES: u64 = 40;
/// The rest of an answer, for each text and once more.
const MAX_FRAME_BYTES: u64 = 4_096;

pub(super) struct Caller {
    pub(super) url: Url,
    pub(super) options: OpenAiOptions,
    pub(super) client: Arc<GuardedClient>,
    pub(super) limiter: Option<DefaultDirectRateLimiter>,
    pub(super) budget: Budget,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
}

/// How an attempt without vectors ended.
enum Trouble {
    /// No other attempt can help.
    Final(EmbedError),
    /// Another one may, not before this has passed.
    Passing(EmbedError, Option<Duration>),
}

impl Caller {
    /// The vectors of a batch in its order, normalised. `n_tokens` is the estimate taken from the budget.
    pub(super) async fn call(&self, texts: &[&str], n_tokens: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
        let request = Request { model: &self.options.model, input: texts, encoding_format: "float" };
        let body = serde_json::to_vec(&request).map_err(|error| EmbedError::Answer(error.to_string()))?;
        let taken = u64::try_from(n_tokens).unwrap_or(u64::MAX);
        let hold = Hold::take(&self.budget, taken)?;
        let usable = self.until_answered(body.into(), texts.len(), n_tokens).await?;
        hold.settle(usable.n_tokens.unwrap_or(taken));
        Ok(usable.vectors)
    }

    async fn until_answered(&self, body: Bytes, n_texts: usize, n_tokens: usize) -> Result<Usable, EmbedError> {
        let deadline = Instant::now() + MAX_TOTAL.max(self.options.timeout * 2);
        let mut pause = FIRST_PAUSE;
        let mut n_attempts = 1;
        loop {
            let (error, wait) = match self.attempt(body.clone(), n_texts, n_tokens, n_attempts, deadline).await {
                Ok(usable) => return Ok(usable),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(error, wait)) => (error, wait.unwrap_or_else(|| jittered(pause))),
            };
            if n_attempts >= MAX_ATTEMPTS || Instant::now() + wait >= deadline {
                return Err(error);
            }
            debug!(n_attempts, ?wait, %error, "embedding call failed, it is sent again");
            sleep(wait).await;
            pause *= 2;
            n_attempts += 1;
        }
    }

    async fn attempt(
        &self,
        body: Bytes,
        n_texts: usize,
        n_tokens: usize,
        n_attempts: u32,
        deadline: Instant,
    ) -> Result<Usable, Trouble> {
        if let Some(limiter) = &self.limiter {
            let turn = timeout_at(deadline, limiter.until_ready()).await;
            turn.map_err(|_| Trouble::Passing(EmbedError::Unreachable(FetchError::Timeout(MAX_TOTAL)), None))?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let post = self.post(body, n_texts, self.options.timeout.min(left));
        match self.client.post_json(post).await {
            Ok(answer) => self.judge(&answer, n_texts, n_tokens, n_attempts),
            Err(error) => {
                let wait = error.retry_after();
                let error = EmbedError::Unreachable(error);
                Err(if error.is_retryable() { Trouble::Passing(error, wait) } else { Trouble::Final(error) })
            }
        }
    }

    fn post(&self, body: Bytes, n_texts: usize, timeout: Duration) -> JsonPost {
        let n_texts = u64::try_from(n_texts).unwrap_or(u64::MAX);
        let vector_bytes = u64::from(self.options.dimension) * MAX_NUMBER_BYTES + MAX_FRAME_BYTES;
        JsonPost {
            url: self.url.clone(),
            allow_cidrs: self.options.allow_cidrs.clone(),
            bearer: self.options.api_key.clone(),
            body,
            timeout,
            max_body_bytes: n_texts.saturating_mul(vector_bytes).saturating_add(MAX_FRAME_BYTES),
        }
    }

    fn judge(&self, answer: &JsonAnswer, n_texts: usize, n_tokens: usize, n_attempts: u32) -> Result<Usable, Trouble> {
        let model = &self.options.model;
        let status = answer.status;
        if (200..300).contains(&status) {
            return read(&answer.body, n_texts, model, self.options.dimension).map_err(Trouble::Final);
        }
        let (message, is_quota) = message_of(&answer.body);
        Err(match status {
            401 | 403 => Trouble::Final(EmbedError::Unauthorised { status, message }),
            404 => Trouble::Final(EmbedError::UnknownModel { model: model.clone(), message }),
            413 => Trouble::Final(EmbedError::TooLarge { n_tokens, message }),
            // An unpaid bill is also told as 429; waiting does not pay it.
            429 if is_quota => Trouble::Final(EmbedError::Refused { status, message }),
            408 | 429 | 500..=599 => {
                let retry_after = answer.retry_after;
                Trouble::Passing(EmbedError::Busy { status, n_attempts, retry_after, message }, retry_after)
            }
            _ => Trouble::Final(EmbedError::Refused { status, message }),
        })
    }
}

/// Half to all of a pause, so that calls that failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

/// Tokens taken for a call, given back unless the call comes to its end.
struct Hold<'a> {
    budget: &'a Budget,
    taken: u64,
}

impl<'a> Hold<'a> {
    fn take(budget: &'a Budget, taken: u64) -> Result<Self, EmbedError> {
        budget.take(taken)?;
        Ok(Self { budget, taken })
    }

    fn settle(mut self, used: u64) {
        self.budget.correct(self.taken, used);
        self.taken = 0;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.correct(self.taken, 0);
    }
}
