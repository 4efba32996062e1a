//! JSON to a configured service, under its own allow rule.

use super::server::{Server, answer};
use crate::{EgressConfig, GuardedClient, JsonPost};
use argiope_protocol::FailReason;
use std::time::Duration;

fn post(url: &str, allow: &[&str]) -> JsonPost {
    JsonPost {
        url: url.parse().expect("a URL"),
        allow_cidrs: allow.iter().map(|cidr| cidr.parse().expect("a CIDR")).collect(),
        bearer: Some("secret".to_owned()),
        body: bytes::Bytes::from_static(b"{\"input\":[]}"),
        timeout: Duration::from_secs(5),
        max_body_bytes: 1_000,
    }
}

#[tokio::test]
async fn the_rule_of_a_post_opens_nothing_for_the_crawl() {
    let server = Server::closing(answer("429 Too Many Requests", "Retry-After: 3\r\n", b"{}")).await;
    let client = GuardedClient::try_new(EgressConfig::default()).expect("valid settings");
    let answer = client.post_json(post(&server.url("/v1/embeddings"), &["127.0.0.0/8"])).await.expect("it answers");
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(3))));
    let heads = server.heads();
    assert!(heads[0].starts_with("POST /v1/embeddings HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("authorization: Bearer secret\r\n") && heads[0].contains("content-length: 12\r\n"));
    let n_connections = server.n_connections();
    let refused = client.post_json(post(&server.url("/"), &[])).await.expect_err("it has no rule");
    assert_eq!(refused.reason(), FailReason::EgressDenied);
    let refused = super::get(&client, &server.url("/")).await.expect_err("the crawl has no such rule");
    assert_eq!(refused.reason(), FailReason::EgressDenied);
    assert_eq!(server.n_connections(), n_connections);
}
