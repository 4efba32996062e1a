//! No byte of a head is written once the start window has passed.

use super::server::{Server, answer};
use super::{client, get, request_in};
use crate::{FetchError, StartWindow, WindowMissed};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Open for a while, then refuses or gives one more start.
pub(super) struct Window {
    opened_at: Instant,
    lasts: Duration,
    gives_more: AtomicBool,
    pub(super) n_asked: AtomicU64,
}

impl Window {
    pub(super) fn new(lasts: Duration, gives_more: bool) -> Arc<Self> {
        let (gives_more, n_asked) = (AtomicBool::new(gives_more), AtomicU64::new(0));
        Arc::new(Self { opened_at: Instant::now(), lasts, gives_more, n_asked })
    }
}

#[async_trait]
impl StartWindow for Window {
    fn is_open(&self) -> bool {
        self.opened_at.elapsed() < self.lasts
    }

    fn may_still_start(&self) -> bool {
        self.is_open() || self.n_asked.load(Ordering::SeqCst) > 0
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        if self.gives_more.load(Ordering::SeqCst) { Ok(()) } else { Err(WindowMissed) }
    }
}

#[tokio::test]
async fn a_refused_start_writes_nothing_on_new_and_on_kept_connections() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let client = client();
    let refused = Window::new(Duration::ZERO, false);
    let error = client.fetch(request_in(&server.url("/"), refused)).await.expect_err("it was refused");
    assert!(matches!(error, FetchError::WindowMissed) && error.gives_lease_back(), "{error}");
    assert_eq!(server.n_bytes(), 0);
    get(&client, &server.url("/")).await.expect("it answers");
    let n_bytes = server.n_bytes();
    let refused = Window::new(Duration::ZERO, false);
    client.fetch(request_in(&server.url("/"), refused)).await.expect_err("it was refused");
    get(&client, &server.url("/")).await.expect("it answers");
    assert_eq!(server.n_bytes(), 2 * n_bytes);
}

#[tokio::test]
async fn a_new_start_is_asked_for_and_used() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let client = client();
    let window = Window::new(Duration::ZERO, true);
    client.fetch(request_in(&server.url("/"), window.clone())).await.expect("it answers");
    assert_eq!(window.n_asked.load(Ordering::SeqCst), 1);
    let open = Window::new(Duration::from_secs(60), false);
    client.fetch(request_in(&server.url("/"), open.clone())).await.expect("it answers");
    assert_eq!(open.n_asked.load(Ordering::SeqCst), 0);
}

/// Open when it is asked before the head, passed when the head is about to be written: a process that was frozen between.
struct Passing;

#[async_trait]
impl StartWindow for Passing {
    fn is_open(&self) -> bool {
        true
    }

    fn may_still_start(&self) -> bool {
        false
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        Ok(())
    }
}

#[tokio::test]
async fn a_window_that_passes_between_question_and_write_writes_nothing() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let client = client();
    let check = async |n_bytes: usize| {
        let error = client.fetch(request_in(&server.url("/"), Arc::new(Passing))).await.expect_err("it is too late");
        assert!(matches!(error, FetchError::WindowMissed) && error.gives_lease_back(), "{error}");
        assert_eq!(server.n_bytes(), n_bytes);
    };
    check(0).await;
    get(&client, &server.url("/")).await.expect("it answers");
    let n_bytes = server.n_bytes();
    // On the connection that was kept.
    check(n_bytes).await;
    get(&client, &server.url("/")).await.expect("it answers");
}
