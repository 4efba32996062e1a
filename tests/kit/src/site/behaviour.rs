//! How a host behaves beside its content: slow, or failing at first.

use crate::http::{Body, Request, Response};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How a host behaves.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Time between a request and the first byte of its answer.
    pub think: Duration,
    /// Which requests fail.
    pub failures: Failures,
}

/// Failures that heal: a chosen path fails some times, then answers. `/robots.txt` is never chosen.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// Share of paths that fail, 0 to 1. Which ones depends on path and `seed` alone.
    pub share: f64,
    /// Requests to a chosen path that fail, before it answers; `u32::MAX` for ever.
    pub times: u32,
    /// How they fail; each chosen path in one of these ways.
    pub kinds: Vec<FailureKind>,
    /// Chooses.
    pub seed: u64,
}

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// This status instead.
    Status(u16),
    /// The connection is reset.
    Reset,
    /// Half of the body, then the connection closes.
    Truncated,
    /// The right answer, ten bytes at a time with this pause.
    Slow(Duration),
}

/// Applies failures, remembering how often each chosen path was asked for.
#[derive(Debug)]
pub(super) struct Injector {
    failures: Failures,
    /// Bounded by the content's own paths that were chosen.
    asked: Mutex<HashMap<String, u32>>,
}

impl Injector {
    pub(super) fn new(failures: Failures) -> Self {
        Self { failures, asked: Mutex::default() }
    }

    pub(super) fn apply(&self, request: &Request, response: Response) -> Response {
        let Some(kind) = self.chosen(request.path()) else { return response };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let n_asked = asked.entry(request.path().to_owned()).or_default();
        if *n_asked >= self.failures.times {
            return response;
        }
        *n_asked += 1;
        fail(kind, response)
    }

    fn chosen(&self, path: &str) -> Option<FailureKind> {
        // The upper half chooses the path, the lower half the way.
        let hash = xxh3_64_with_seed(path.as_bytes(), self.failures.seed);
        let [upper, lower] = [hash >> 32, hash & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(0));
        if path == "/robots.txt" || f64::from(upper) / f64::from(u32::MAX) >= self.failures.share {
            return None;
        }
        self.failures.kinds.get(lower as usize % self.failures.kinds.len().max(1)).copied()
    }
}

fn fail(kind: FailureKind, response: Response) -> Response {
    let whole = |body: &Body| if let Body::Full(bytes) = body { bytes.clone() } else { Bytes::new() };
    match kind {
        FailureKind::Status(status) => Response::status(status),
        FailureKind::Reset => Response { body: Body::Reset, ..response },
        FailureKind::Truncated => {
            let bytes = whole(&response.body);
            let half = bytes.slice(..bytes.len() / 2);
            Response { body: Body::Truncated { bytes: half, announced: bytes.len() as u64 + 1 }, ..response }
        }
        FailureKind::Slow(pause) => {
            Response { body: Body::Drip { bytes: whole(&response.body), step: 10, pause }, ..response }
        }
    }
}
