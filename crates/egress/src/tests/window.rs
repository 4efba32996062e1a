//! No byte of a head is written once the start window has passed.

use super::server::{Server, answer};
use super::{client, get, request_in};
use crate::{FetchError, StartWindow, WindowMissed};
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a new start is good for, when its answer is quick.
const FRESH: Duration = Duration::from_secs(60);

/// Open for a while, then refuses or gives more starts.
pub(super) struct Window {
    opened: Mutex<(Instant, Duration)>,
    gives_more: bool,
    /// New starts that have passed when their answer comes.
    n_late: AtomicU64,
    pub(super) n_asked: AtomicU64,
}

impl Window {
    pub(super) fn new(lasts: Duration, gives_more: bool) -> Arc<Self> {
        Arc::new(Self { gives_more, ..Self::late(lasts, 0) })
    }

    fn late(lasts: Duration, n_late: u64) -> Self {
        let opened = Mutex::new((Instant::now(), lasts));
        Self { opened, gives_more: true, n_late: AtomicU64::new(n_late), n_asked: AtomicU64::new(0) }
    }
}

#[async_trait]
impl StartWindow for Window {
    fn is_open(&self) -> bool {
        let (opened_at, lasts) = *self.opened.lock().unwrap();
        opened_at.elapsed() < lasts
    }

    async fn reopen(&self) -> Result<(), WindowMissed> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        if !self.gives_more {
            return Err(WindowMissed);
        }
        let late = |n_late: u64| n_late.checked_sub(1);
        let is_late = self.n_late.fetch_update(Ordering::SeqCst, Ordering::SeqCst, late).is_ok();
        *self.opened.lock().unwrap() = (Instant::now(), if is_late { Duration::ZERO } else { FRESH });
        Ok(())
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

#[tokio::test]
async fn a_start_that_passed_on_its_way_is_not_used() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let client = client();
    let never = Arc::new(Window::late(Duration::ZERO, u64::MAX));
    let error = client.fetch(request_in(&server.url("/"), never.clone())).await.expect_err("all have passed");
    assert!(matches!(error, FetchError::WindowMissed), "{error}");
    assert_eq!(server.n_bytes(), 0);
    let once = Arc::new(Window::late(Duration::ZERO, 1));
    client.fetch(request_in(&server.url("/"), once.clone())).await.expect("the second start is in time");
    assert_eq!(once.n_asked.load(Ordering::SeqCst), 2);
}
