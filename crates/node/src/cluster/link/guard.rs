//! The stream that the transport reads and writes: cut from outside, and by itself when nothing moves.
//!
//! The transport waits for ever on a peer that says nothing and queues without bound for one that does not read. The
//! heartbeat notices both sooner; these limits hold where it does not, before a session is ready.

use super::counters::{Counters, count_many};
use super::socket::Stream;
use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A little more than the silence that ends a session, so that the heartbeat names the reason.
const STILL: Duration = Duration::from_secs(6);

/// A stream with limits.
pub(super) struct Guarded {
    pub(super) stream: Box<dyn Stream>,
    /// How the transport names it in events.
    pub(super) label: String,
    /// Ends both directions.
    pub(super) cut: CancellationToken,
    pub(super) counters: Arc<Counters>,
}

impl ClusterBidiStream for Guarded {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.stream);
        let half = || Half { cut: Box::pin(self.cut.clone().cancelled_owned()), still: Still::default() };
        let reader = Reader { inner: read, half: half(), cut: self.cut.clone(), counters: Arc::clone(&self.counters) };
        let writer = Writer { inner: write, half: half(), counters: self.counters };
        (Box::new(reader), Box::new(writer))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}

/// How long a direction has stood still. The timer is moved only when it fires, not at every byte.
#[derive(Default)]
struct Still {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Still {
    fn moved(&mut self) {
        self.since = None;
    }

    /// Ready when nothing has moved for too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.since.get_or_insert_with(Instant::now) + STILL;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}

struct Half {
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    still: Still,
}

impl Half {
    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.cut.as_mut().poll(cx).is_ready()
    }

    /// Passes on what the stream answered; an error when it has stood still for too long.
    fn watched<T>(&mut self, cx: &mut Context<'_>, answer: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if answer.is_ready() {
            self.still.moved();
            return answer;
        }
        self.still.poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

struct Reader {
    inner: ReadHalf<Box<dyn Stream>>,
    half: Half,
    cut: CancellationToken,
    counters: Arc<Counters>,
}

impl AsyncRead for Reader {
    /// A cut reads as the end of the stream: the transport then closes without a warning, for the reason is ours.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.half.is_cut(cx) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let answer = Pin::new(&mut this.inner).poll_read(cx, buffer);
        match this.half.watched(cx, answer) {
            Poll::Ready(Err(_)) => {
                this.cut.cancel();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => {
                count_many(&this.counters.received_bytes, buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

struct Writer {
    inner: WriteHalf<Box<dyn Stream>>,
    half: Half,
    counters: Arc<Counters>,
}

impl Writer {
    fn checked<T>(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut WriteHalf<Box<dyn Stream>>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.half.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let answer = act(Pin::new(&mut self.inner), cx);
        self.half.watched(cx, answer)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let n_bytes = ready!(self.checked(cx, |inner, cx| inner.poll_write(cx, bytes)))?;
        count_many(&self.counters.sent_bytes, n_bytes);
        Poll::Ready(Ok(n_bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.checked(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.checked(cx, |inner, cx| inner.poll_shutdown(cx))
    }
}
