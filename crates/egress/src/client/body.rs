//! Reads a body to its end under caps: bytes on the wire, decoded bytes, ratio, minimum rate.

use super::connect::protocol;
use super::decode::{Coding, Reader, decoder};
use super::rate::{Rate, STEP};
use crate::counters::EgressCounters;
use crate::error::FetchError;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::AsyncBufReadExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::io::StreamReader;

/// Bytes read at once; what is decoded exceeds a cap by no more.
pub(crate) const READ_BUFFER: usize = 16 * 1024;
/// Memory taken for an announced length before its bytes are there.
const MAX_ROOM: usize = 1024 * 1024;
/// A body may decode to this many times its size. Text of tables and logs reaches 50, gzip's bound is 1,030.
const MAX_RATIO: u64 = 200;
/// Below this much decoded text the ratio says nothing: a page of one repeated line is no attack.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;
/// Codings may add a little to what they do not compress, and empty members without end add nothing to the text.
const WIRE_SLACK: u64 = 64 * 1024;

/// What is done at the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtCap {
    Fail,
    Truncate,
}

pub(super) struct Limits {
    pub(super) max_bytes: u64,
    pub(super) at_cap: AtCap,
    pub(super) min_bytes_per_sec: u64,
}

pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) truncated: bool,
}

/// The body could not be read from the network, which is no mistake of its coding.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("{0}")]
    Broken(String),
    #[error("more bytes on the wire than the cap")]
    TooLarge,
}

/// Frames as they come, counted. Trailers are dropped.
struct Wire {
    incoming: Incoming,
    n_bytes: Arc<AtomicU64>,
    max_bytes: u64,
}

impl futures_util::Stream for Wire {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut frame = self.incoming.frame();
            let Poll::Ready(frame) = Pin::new(&mut frame).poll(cx) else { return Poll::Pending };
            let bytes = match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error = WireError::Broken(protocol(error).to_string());
                    return Poll::Ready(Some(Err(std::io::Error::other(error))));
                }
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            let before = self.n_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if before.saturating_add(bytes.len() as u64) > self.max_bytes {
                return Poll::Ready(Some(Err(std::io::Error::other(WireError::TooLarge))));
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

/// Reads and decodes. `n_wire` counts what came from the network, also when the reading fails.
pub(super) async fn read(
    incoming: Incoming,
    codings: &[Coding],
    limits: &Limits,
    n_wire: &Arc<AtomicU64>,
    counters: &EgressCounters,
) -> Result<Body, FetchError> {
    let max_bytes = limits.max_bytes.saturating_add(WIRE_SLACK);
    // An announced length is believed: what would be given up at the cap is not begun.
    if limits.at_cap == AtCap::Fail && hyper::body::Body::size_hint(&incoming).lower() > max_bytes {
        return Err(FetchError::BodyTooLarge(limits.max_bytes));
    }
    // What is not coded is as long as announced: it is read into one piece of memory.
    let announced = hyper::body::Body::size_hint(&incoming).exact().filter(|_| codings.is_empty());
    let room = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX).min(MAX_ROOM);
    let wire = Wire { incoming, n_bytes: Arc::clone(n_wire), max_bytes };
    let mut progress = Progress { limits, n_wire, counters, decoded: BytesMut::with_capacity(room) };
    let reading = progress.read(Box::new(StreamReader::new(wire)), codings);
    let watching = watch(n_wire, limits.min_bytes_per_sec);
    let outcome = tokio::select! { outcome = reading => outcome, error = watching => Err(error) };
    let truncated = match outcome {
        Ok(truncated) => truncated,
        // The cap on the wire is one on the body too: where cutting is allowed, what came so far is the answer.
        Err(FetchError::BodyTooLarge(_)) if limits.at_cap == AtCap::Truncate => true,
        Err(error) => return Err(error),
    };
    Ok(Body { bytes: progress.decoded.freeze(), truncated })
}

/// Ends when the body comes too slowly.
async fn watch(n_wire: &AtomicU64, min_bytes_per_sec: u64) -> FetchError {
    let start = Instant::now();
    let mut rate = Rate::new(min_bytes_per_sec, start);
    let mut steps = interval_at(start + STEP, STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = steps.tick().await;
        if !rate.is_enough(n_wire.load(Ordering::Relaxed), now) {
            return FetchError::TooSlow(min_bytes_per_sec);
        }
    }
}

struct Progress<'a> {
    limits: &'a Limits,
    n_wire: &'a AtomicU64,
    counters: &'a EgressCounters,
    decoded: BytesMut,
}

impl Progress<'_> {
    /// `true` when the body was cut at the cap.
    async fn read(&mut self, wire: Reader, codings: &[Coding]) -> Result<bool, FetchError> {
        let mut reader = decoder(wire, codings).await.map_err(|error| self.reason(&error))?;
        loop {
            // A bomb decodes without ever waiting for the network: others get their turn, and the deadline its look.
            tokio::task::consume_budget().await;
            let read = reader.fill_buf().await.map_err(|error| self.reason(&error))?;
            let piece = read.get(..READ_BUFFER).unwrap_or(read);
            let n_read = piece.len();
            self.decoded.extend_from_slice(piece);
            reader.consume(n_read);
            EgressCounters::add(&self.counters.decoded_bytes, n_read as u64);
            if n_read == 0 {
                return Ok(false);
            }
            let n_decoded = self.decoded.len() as u64;
            let n_wire = self.n_wire.load(Ordering::Relaxed);
            if n_decoded > self.limits.max_bytes {
                self.decoded.truncate(usize::try_from(self.limits.max_bytes).unwrap_or(usize::MAX));
                return match self.limits.at_cap {
                    AtCap::Truncate => Ok(true),
                    AtCap::Fail => Err(FetchError::BodyTooLarge(self.limits.max_bytes)),
                };
            }
            if n_decoded > RATIO_FREE_BYTES && n_decoded / MAX_RATIO > n_wire {
                return Err(FetchError::DecompressionBomb(MAX_RATIO));
            }
        }
    }

    fn reason(&self, error: &std::io::Error) -> FetchError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<WireError>()) {
            Some(WireError::Broken(cause)) => FetchError::Protocol(cause.clone()),
            Some(WireError::TooLarge) => FetchError::BodyTooLarge(self.limits.max_bytes),
            None => FetchError::ContentEncoding(error.to_string()),
        }
    }
}
