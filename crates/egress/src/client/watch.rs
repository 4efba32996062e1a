//! The last look at a start window: in the call that hands a request's head to the system.
//!
//! Between the question whether a request may start and its first byte on the socket lie a channel and a task of hyper's.
//! A process that is frozen there, or gets no processor for long, would write the head when it wakes, long after
//! another node has taken the host over. So the stream below TLS asks once more, in the very call that writes.

use super::window::StartWindow;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Watches the first write after a request was handed to a connection. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// A request was handed over and none of it was written.
    Armed(Arc<dyn StartWindow>),
    /// Its window had passed: nothing was written, and nothing will be.
    Refused,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next write begins a request with this window.
    pub(super) fn arm(&self, window: Arc<dyn StartWindow>) {
        *self.lock() = State::Armed(window);
    }

    /// Whether a request was refused: none of its bytes left.
    pub(super) fn has_refused(&self) -> bool {
        matches!(*self.lock(), State::Refused)
    }

    /// Writes by `write`, unless a request would begin too late.
    fn guard(&self, write: impl FnOnce() -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if matches!(&*state, State::Armed(window) if !window.may_still_start()) {
            *state = State::Refused;
        }
        if matches!(*state, State::Refused) {
            let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the request's start window has passed");
            return Poll::Ready(Err(error));
        }
        let written = write();
        if matches!(written, Poll::Ready(Ok(1..))) {
            *state = State::Idle;
        }
        written
    }
}

/// A TCP stream that is watched.
pub(super) struct Watched {
    stream: TcpStream,
    watch: Watch,
}

impl Watched {
    pub(super) const fn new(stream: TcpStream, watch: Watch) -> Self {
        Self { stream, watch }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, watch } = self.get_mut();
        watch.guard(|| Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, watch } = self.get_mut();
        watch.guard(|| Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
