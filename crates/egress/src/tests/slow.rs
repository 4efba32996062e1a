//! Peers that take their time.

use super::server::{Server, read_head};
use super::{config, get};
use crate::{EgressConfig, GuardedClient};
use argiope_protocol::FailReason;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

async fn drip(head: &'static [u8], then: &'static [u8]) -> Server {
    Server::scripted(move |mut stream, log| async move {
        read_head(&mut stream, &log).await;
        let _ = stream.write_all(head).await;
        while stream.write_all(then).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn check(server: Server, total_timeout: Duration, expected: FailReason, at_most: Duration) {
    let client = GuardedClient::try_new(EgressConfig { total_timeout, ..config() }).expect("valid settings");
    let started = Instant::now();
    let error = get(&client, &server.url("/")).await.expect_err("it is too slow");
    assert_eq!(error.reason(), expected, "{error}");
    assert!(started.elapsed() < at_most, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_drip_feed_is_given_up_after_one_window() {
    let server = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x").await;
    check(server, Duration::from_secs(60), FailReason::TooSlow, Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_slow_head_a_silent_peer_and_interim_answers_without_end_meet_the_total_deadline() {
    let soon = Duration::from_millis(700);
    let bound = Duration::from_secs(6);
    check(drip(b"HTTP/1.1 200 OK\r\nX: ", b"y").await, soon, FailReason::Timeout, bound).await;
    check(drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n").await, soon, FailReason::Timeout, bound).await;
    check(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"").await, soon, FailReason::Timeout, bound).await;
}
