//! Codings, lengths, bombs, broken bodies.

use super::server::{Server, answer};
use super::{MIB, client, get, request};
use crate::Accept;
use crate::client::READ_BUFFER;
use argiope_protocol::FailReason;
use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncReadExt};

const TEXT: &[u8] = b"<p>The quick brown fox jumps over the lazy dog.</p>\n";

async fn all(mut reader: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.expect("it reads from memory");
    bytes
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    all(GzipEncoder::new(bytes)).await
}

/// What an answer that is closed after it becomes.
async fn check(name: &str, raw: Vec<u8>, expected: Result<&[u8], FailReason>) {
    let server = Server::closing(raw).await;
    let outcome = get(&client(), &server.url("/")).await;
    let seen = outcome.as_ref().map(|response| response.body.as_ref()).map_err(crate::FetchError::reason);
    assert!(seen == expected, "{name}: {:?}", outcome.map(|response| response.body.len()));
}

async fn check_coded(coding: &str, body: Vec<u8>, expected: Result<&[u8], FailReason>) {
    check(coding, answer("200 OK", &format!("Content-Encoding: {coding}\r\n"), &body), expected).await;
}

#[tokio::test]
async fn every_coding_and_stack_of_codings_is_undone() {
    let gzipped = gzip(TEXT).await;
    check_coded("gzip", gzipped.clone(), Ok(TEXT)).await;
    check_coded("X-GZip", gzipped.clone(), Ok(TEXT)).await;
    check_coded("deflate", all(ZlibEncoder::new(TEXT)).await, Ok(TEXT)).await;
    check_coded("deflate", all(DeflateEncoder::new(TEXT)).await, Ok(TEXT)).await;
    check_coded("br", all(BrotliEncoder::new(TEXT)).await, Ok(TEXT)).await;
    check_coded("zstd", all(ZstdEncoder::new(TEXT)).await, Ok(TEXT)).await;
    check_coded("identity", TEXT.to_vec(), Ok(TEXT)).await;
    check_coded("utf-8", TEXT.to_vec(), Ok(TEXT)).await;
    check_coded("gzip, gzip", gzip(&gzipped).await, Ok(TEXT)).await;
    check_coded("gzip, br", all(BrotliEncoder::new(&gzipped[..])).await, Ok(TEXT)).await;
    check_coded("gzip\r\nContent-Encoding: br", all(BrotliEncoder::new(&gzipped[..])).await, Ok(TEXT)).await;
    check_coded("gzip", [gzipped.clone(), gzipped.clone()].concat(), Ok(&TEXT.repeat(2))).await;
    check_coded("gzip", Vec::new(), Ok(b"")).await;
}

#[tokio::test]
async fn what_does_not_decode_is_a_content_encoding_error() {
    let gzipped = gzip(&TEXT.repeat(100)).await;
    let wrong = Err(FailReason::ContentEncoding);
    check_coded("gzip", gzipped[..gzipped.len() - 9].to_vec(), wrong).await;
    check_coded("gzip", TEXT.to_vec(), wrong).await;
    check_coded("br", vec![0x11, 0x1e, 0, 0, 0, 0], wrong).await;
    check_coded("zstd", TEXT.to_vec(), wrong).await;
    check_coded("gzip, gzip, gzip, gzip", gzipped.clone(), wrong).await;
    check_coded("compress", TEXT.to_vec(), wrong).await;
    // A zstd frame that asks for a window of 128 MiB.
    check_coded("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00], wrong).await;
}

#[tokio::test]
async fn lengths_are_held_to_their_word() {
    let lines = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let chunked = lines("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n");
    check("chunked", chunked, Ok(b"abc")).await;
    check("until close", lines("HTTP/1.1 200 OK\n\nabc"), Ok(b"abc")).await;
    check("HTTP/1.0", lines("HTTP/1.0 200 OK\n\nabc"), Ok(b"abc")).await;
    check("too short", lines("HTTP/1.1 200 OK\nContent-Length: 9\n\nabc"), Err(FailReason::Protocol)).await;
    check("too long", lines("HTTP/1.1 200 OK\nContent-Length: 2\n\nabc"), Ok(b"ab")).await;
    check(
        "two lengths",
        lines("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nabc"),
        Err(FailReason::Protocol),
    )
    .await;
    check("no number", lines("HTTP/1.1 200 OK\nContent-Length: -1\n\nabc"), Err(FailReason::Protocol)).await;
    let cut = lines("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n");
    check("chunked, cut", cut, Err(FailReason::Protocol)).await;
    let bad = lines("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\nabc\n0\n\n");
    check("chunked, no size", bad, Err(FailReason::Protocol)).await;
    check("204", lines("HTTP/1.1 204 No Content\nContent-Length: 5\n\n"), Ok(b"")).await;
    check("304", lines("HTTP/1.1 304 Not Modified\nContent-Length: 5\nContent-Encoding: gzip\n\n"), Ok(b"")).await;
    check(
        "103 first",
        lines("HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 1\n\na"),
        Ok(b"a"),
    )
    .await;
}

#[tokio::test]
async fn a_bomb_ends_at_the_ratio_and_never_decodes_more_than_a_buffer_beyond_the_cap() {
    let bomb = gzip(&vec![b'a'; 64 * 1024 * 1024]).await;
    for (name, fields, body) in [
        ("gzip", "Content-Encoding: gzip\r\n", bomb.clone()),
        ("gzip twice", "Content-Encoding: gzip, gzip\r\n", gzip(&bomb).await),
    ] {
        for (max_body_bytes, expected) in
            [(MIB / 2, FailReason::BodyTooLarge), (32 * MIB, FailReason::DecompressionBomb)]
        {
            let server = Server::closing(answer("200 OK", fields, &body)).await;
            let client = client();
            let outcome = client.fetch(crate::FetchRequest { max_body_bytes, ..request(&server.url("/")) }).await;
            let reason = outcome.map(|response| response.body.len()).map_err(|error| error.reason());
            assert_eq!(reason, Err(expected), "{name}");
            let n_decoded = client.counters().decoded_bytes.load(Ordering::Relaxed);
            assert!(n_decoded <= max_body_bytes + READ_BUFFER as u64, "{name}: {n_decoded}");
        }
    }
}

#[tokio::test]
async fn at_the_cap_a_page_fails_and_robots_and_error_pages_are_cut() {
    let server = Server::answering(answer("200 OK", "", &vec![b'x'; 100_000])).await;
    let missing = Server::answering(answer("404 Not Found", "", &vec![b'x'; 300_000])).await;
    let client = client();
    let capped = |accept| crate::FetchRequest { accept, max_body_bytes: 50_000, ..request(&server.url("/")) };
    let page = client.fetch(capped(Accept::Html)).await.expect_err("it is over the cap");
    assert_eq!(page.reason(), FailReason::BodyTooLarge);
    let robots = client.fetch(capped(Accept::Robots)).await.expect("it is cut");
    assert_eq!((robots.body.len(), robots.truncated), (50_000, true));
    let missing = get(&client, &missing.url("/")).await.expect("its status is the answer");
    assert_eq!((missing.status, missing.body.len(), missing.truncated), (404, 64 * 1024, true));
}

#[tokio::test]
async fn chunks_without_end_stop_at_the_cap() {
    let server = Server::scripted(|mut stream, log| async move {
        use tokio::io::AsyncWriteExt;
        super::server::read_head(&mut stream, &log).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while stream.write_all(b"1000\r\n").await.is_ok() && stream.write_all(&[b'x'; 4098]).await.is_ok() {}
    })
    .await;
    // The two bytes after each chunk are no line end: the first well-formed chunk is followed by a broken one.
    let reason = get(&client(), &server.url("/")).await.expect_err("it is broken").reason();
    assert_eq!(reason, FailReason::Protocol);
    let server = Server::scripted(|mut stream, log| async move {
        use tokio::io::AsyncWriteExt;
        super::server::read_head(&mut stream, &log).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let client = client();
    let reason = get(&client, &server.url("/")).await.expect_err("it has no end").reason();
    assert_eq!(reason, FailReason::BodyTooLarge);
    assert!(client.counters().wire_bytes.load(Ordering::Relaxed) < 5 * MIB);
}
