//! Heads: what is sent, what is read, and what is refused.

use super::server::{Server, answer, read_head};
use super::{client, get, request};
use argiope_protocol::{FailReason, Validators};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn check(name: &str, raw: impl Into<Vec<u8>>, expected: FailReason) {
    let server = Server::closing(raw).await;
    let error = get(&client(), &server.url("/")).await.expect_err(name);
    assert_eq!(error.reason(), expected, "{name}: {error}");
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused() {
    let flood: String = (0..50_000).map(|number| format!("X-{number}: y\r\n")).collect();
    check("flood", format!("HTTP/1.1 200 OK\r\n{flood}\r\n"), FailReason::HeadersTooLarge).await;
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    check("200 fields", format!("HTTP/1.1 200 OK\r\n{many}\r\n"), FailReason::HeadersTooLarge).await;
    let long = "y".repeat(100 * 1024);
    check("100 KiB line", format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"), FailReason::HeadersTooLarge).await;
    check("HTTP/0.9", "<html>hello</html>", FailReason::Protocol).await;
    check("garbage", vec![0xff_u8; 300], FailReason::Protocol).await;
    check("closed at once", "", FailReason::Protocol).await;
    check("half a head", "HTTP/1.1 200 OK\r\nContent-", FailReason::Protocol).await;
    check("switching", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", FailReason::Protocol).await;
}

#[tokio::test]
async fn a_reset_is_a_broken_exchange_and_a_closed_port_no_connection() {
    let server = Server::scripted(|mut stream, log| async move {
        read_head(&mut stream, &log).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc").await;
        let _ = stream.set_zero_linger();
    })
    .await;
    let error = get(&client(), &server.url("/")).await.expect_err("it was reset");
    assert_eq!(error.reason(), FailReason::Protocol, "{error}");
    let url = server.url("/");
    drop(server);
    tokio::task::yield_now().await;
    let error = get(&client(), &url).await.expect_err("nobody listens");
    assert_eq!(error.reason(), FailReason::Connect, "{error}");
}

#[tokio::test]
async fn a_request_says_who_asks_and_nothing_else() {
    let server = Server::answering(answer("200 OK", "ETag: W/\"1\"\r\nLast-Modified: yesterday\r\n", b"x")).await;
    let client = client();
    let first = get(&client, &server.url("/a?b=c%20d")).await.expect("it answers");
    assert_eq!(first.validators.etag.as_deref(), Some("W/\"1\""));
    let validators = Validators { etag: first.validators.etag, last_modified: first.validators.last_modified };
    let conditional = crate::FetchRequest { validators, ..request(&server.url("/")) };
    client.fetch(conditional).await.expect("it answers");
    let odd = Validators { etag: Some("a\r\nX: y".to_owned()), last_modified: None };
    client.fetch(crate::FetchRequest { validators: odd, ..request(&server.url("/")) }).await.expect("it answers");
    let heads = server.heads();
    let fields = |number: usize| -> Vec<String> {
        let mut names: Vec<String> =
            heads[number].lines().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect();
        names.sort();
        names
    };
    assert!(heads[0].starts_with("GET /a?b=c%20d HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("user-agent: TestBot/1.0 (+mailto:test@example.org)\r\n"), "{}", heads[0]);
    assert_eq!(fields(0), ["accept", "accept-encoding", "host", "user-agent"]);
    assert!(heads[1].contains("if-none-match: W/\"1\"\r\n") && heads[1].contains("if-modified-since: yesterday\r\n"));
    assert_eq!(fields(2), fields(0), "a validator that is no header value is left out");
}

#[tokio::test]
async fn odd_fields_are_kept_as_bytes_or_skipped() {
    let raw = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nX-Latin: caf\xe9\r\nB@d N\xe4me: x\r\nRetry-After: 7\r\nX-Two: a\r\nX-Two: b\r\n\r\n";
    let server = Server::answering(&raw[..]).await;
    let response = get(&client(), &server.url("/")).await.expect("it answers");
    assert_eq!((response.status, response.retry_after), (503, Some(Duration::from_secs(7))));
    let values = |name: &str| -> Vec<&[u8]> {
        response.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    };
    assert_eq!(values("x-latin"), [b"caf\xe9"]);
    assert_eq!(values("x-two"), [b"a", b"b"]);
    assert_eq!(response.header("x-latin").as_deref(), Some("caf\u{e9}"));
}

#[tokio::test]
async fn connections_are_kept_counted_and_never_more_than_allowed_to_one_address() {
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let port = server.address.port();
    let client = client();
    for _ in 0..5 {
        get(&client, &format!("http://a.test:{port}/")).await.expect("it answers");
    }
    assert_eq!(server.n_connections(), 1);
    assert_eq!(client.counters().connections_reused.load(Ordering::Relaxed), 4);
    // Three names on one address, two connections allowed: the idle one that is oldest makes room.
    for name in ["b.test", "tls.test", "a.test", "b.test"] {
        get(&client, &format!("http://{name}:{port}/")).await.expect("it answers");
        assert!(client.n_open("127.0.0.1".parse().expect("an address")) <= 2);
    }
}

#[tokio::test]
async fn a_busy_address_gives_the_lease_back_at_once() {
    let server = Server::scripted(|mut stream, log| async move {
        read_head(&mut stream, &log).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let client = std::sync::Arc::new(client());
    let url = server.url("/");
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (client, url) = (std::sync::Arc::clone(&client), url.clone());
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move { get(&client, &url).await.map(|_| ()) }))
        })
        .collect();
    while server.heads().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = get(&client, &url).await.expect_err("both places are taken");
    assert!(matches!(error, crate::FetchError::PerIpBusy(_)) && error.gives_lease_back(), "{error}");
    drop(busy);
    let address = "127.0.0.1".parse().expect("an address");
    while client.n_open(address) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.n_connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let server = Server::closing(answer("200 OK", "", b"x")).await;
    let client = client();
    for number in 1..=3 {
        get(&client, &server.url("/")).await.expect("it answers");
        assert_eq!(server.n_connections(), number);
        // The close must have arrived: a request that crosses it fails, since it may have been read.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn bytes_after_an_answer_are_not_taken_for_the_next_one() {
    let fake = [answer("200 OK", "", b"ab"), answer("200 OK", "", b"fake")].concat();
    let server = Server::answering(fake).await;
    let client = client();
    for _ in 0..20 {
        if let Ok(response) = get(&client, &server.url("/")).await {
            assert_eq!(response.body.as_ref(), b"ab");
        }
    }
}
