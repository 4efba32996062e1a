//! Names looked up at a DNS server on loopback that lies.

use super::config;
use crate::{EgressConfig, FetchError, GuardedClient};
use argiope_protocol::{CanonicalUrl, FailReason};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// Address records by the first label of the name; time to live 0.
fn records(label: &str) -> Option<&'static [[u8; 4]]> {
    match label {
        "good" => Some(&[[127, 0, 0, 1]]),
        "mixed" => Some(&[[10, 0, 0, 1], [127, 0, 0, 1], [169, 254, 169, 254]]),
        "inside" => Some(&[[10, 0, 0, 1], [192, 168, 0, 1]]),
        "empty" => Some(&[]),
        _ => None,
    }
}

/// RFC 1035 §4.1: the question is repeated, answers point to its name.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let label_length = usize::from(*query.get(12)?);
    let label = String::from_utf8_lossy(query.get(13..13 + label_length)?).to_ascii_lowercase();
    if label == "silent" {
        return None;
    }
    let question_length = query.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let question = query.get(12..12 + question_length)?;
    let is_a = question.get(question_length - 4..question_length - 2)? == [0, 1];
    let found = records(&label);
    let answers = found.filter(|_| is_a).unwrap_or_default();
    let code = if found.is_some() { 0x80 } else { 0x83 };
    let mut bytes = query.get(..2)?.to_vec();
    bytes.extend([0x81, code, 0, 1, 0, u8::try_from(answers.len()).ok()?, 0, 0, 0, 0]);
    bytes.extend(question);
    for address in answers {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        bytes.extend(address);
    }
    Some(bytes)
}

async fn name_server() -> (SocketAddr, AbortOnDropHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(bytes) = buffer.get(..length).and_then(reply) {
                let _ = socket.send_to(&bytes, from).await;
            }
        }
    });
    (address, AbortOnDropHandle::new(serving))
}

async fn check(client: &GuardedClient, name: &str, expected: Result<&str, FailReason>) {
    let host = CanonicalUrl::parse(&format!("http://{name}/")).expect("a URL").host();
    let found = client.resolve(&host, 80).await;
    let texts = found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    assert_eq!(texts.as_deref().map_err(FetchError::reason), expected, "{name}: {texts:?}");
}

#[tokio::test]
async fn answers_are_judged_cached_and_waited_for_with_a_deadline() {
    let (address, _serving) = name_server().await;
    let dns_timeout = Duration::from_secs(2);
    let settings = EgressConfig { name_servers: vec![address], dns_timeout, ..config() };
    let client = GuardedClient::try_new(settings).expect("valid settings");
    for _ in 0..3 {
        check(&client, "good.example", Ok("127.0.0.1:80")).await;
        check(&client, "mixed.example", Ok("127.0.0.1:80")).await;
        check(&client, "inside.example", Err(FailReason::EgressDenied)).await;
    }
    assert_eq!(client.counters().dns_lookups.load(Ordering::Relaxed), 3);
    assert_eq!(client.counters().dns_cache_hits.load(Ordering::Relaxed), 6);
    check(&client, "empty.example", Err(FailReason::Dns)).await;
    check(&client, "missing.example", Err(FailReason::Dns)).await;
    check(&client, "silent.example", Err(FailReason::Dns)).await;
    check(&client, "localhost", Ok("127.0.0.1:80")).await;
    check(&client, "127.1", Ok("127.0.0.1:80")).await;
}
