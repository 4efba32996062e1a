//! Nothing connects where the policy forbids it, by any way in.

use super::server::{Server, answer};
use super::{client, config, get};
use crate::policy::tests::FORBIDDEN;
use crate::{EgressConfig, FetchError, GuardedClient};
use argiope_protocol::{CanonicalUrl, FailReason, Host};
use std::net::IpAddr;
use tokio::net::TcpListener;

/// Listens on every address of the machine, so that any connection made by mistake is seen.
async fn trap() -> Server {
    let listener = match TcpListener::bind("[::]:0").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("0.0.0.0:0").await.expect("a free port"),
    };
    Server::on(listener, |_, _| async {})
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_place_gets_a_connection() {
    let trap = trap().await;
    let port = trap.address.port();
    let client = GuardedClient::try_new(EgressConfig::default()).expect("valid settings");
    for (host, code) in FORBIDDEN {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            match get(&client, &url).await {
                Err(FetchError::Denied(denied)) => assert_eq!(denied.rule.code(), *code, "{url}"),
                other => panic!("{url}: {:?}", other.map(|response| response.status)),
            }
        }
    }
    assert_eq!(trap.n_connections(), 0);
    let n_denials: u64 = client.counters().denials().map(|(_, count)| count).sum();
    assert_eq!(n_denials, 2 * FORBIDDEN.len() as u64);
}

#[tokio::test]
async fn names_are_judged_by_all_their_addresses_and_denied_ones_are_dropped() {
    let trap = trap().await;
    let port = trap.address.port();
    let addresses =
        |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().expect("an address")).collect() };
    let mut settings = config();
    settings.static_hosts.insert("mixed.test".to_owned(), addresses(&["10.0.0.1", "::1", "127.0.0.1"]));
    settings.static_hosts.insert("mapped.test".to_owned(), addresses(&["::ffff:127.0.0.1"]));
    let bad = ["10.0.0.1", "::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "192.168.1.1"];
    for (number, text) in bad.iter().enumerate() {
        settings.static_hosts.insert(format!("bad{number}.test"), addresses(&[text]));
    }
    settings.static_hosts.insert("bad5.test".to_owned(), addresses(&bad));
    let client = GuardedClient::try_new(settings).expect("valid settings");
    for number in 0..=5 {
        let error = get(&client, &format!("http://bad{number}.test:{port}/")).await.expect_err("all are denied");
        assert_eq!(error.reason(), FailReason::EgressDenied, "{error}");
    }
    assert_eq!(trap.n_connections(), 0);
    for name in ["mixed.test", "mapped.test"] {
        let url = CanonicalUrl::parse(&format!("http://{name}/")).expect("a URL");
        let host: Host = url.host();
        let allowed = client.resolve(&host, 80).await.expect("one is allowed");
        assert_eq!(allowed, ["127.0.0.1:80".parse().expect("an address")], "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_target_is_judged_like_any_url() {
    let forbidden = TcpListener::bind("[::1]:0").await;
    let Ok(forbidden) = forbidden else { panic!("this machine has no ::1") };
    let forbidden = Server::on(forbidden, |_, _| async {});
    let client = client();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: http://{}/x\r\n", forbidden.address);
        let server = Server::answering(answer(&format!("{status} Moved"), &location, b"gone")).await;
        let response = get(&client, &server.url("/")).await.expect("it answers");
        assert_eq!(response.status, status);
        let target = response.location.expect("it says where");
        let error = get(&client, &target).await.expect_err("::1 is not open");
        assert_eq!(error.reason(), FailReason::EgressDenied);
    }
    assert_eq!(forbidden.n_connections(), 0);
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    const CHILD: &str = "EGRESS_TEST_CHILD_URL";
    if let Ok(url) = std::env::var(CHILD) {
        assert_eq!(get(&client(), &url).await.expect("it answers").status, 200);
        return;
    }
    let server = Server::answering(answer("200 OK", "", b"x")).await;
    let proxy = trap().await;
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this test"));
    child.args(["tests::forbidden::proxies_of_the_environment_are_not_used", "--exact"]).env(CHILD, server.url("/"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.address.port()));
    }
    let output = child.output().await.expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((server.n_connections(), proxy.n_connections()), (1, 0));
}

#[tokio::test]
async fn a_configured_proxy_gets_the_judged_address_to_connect_to() {
    let server = Server::scripted(|mut stream, log| async move {
        use tokio::io::AsyncWriteExt;
        super::server::read_head(&mut stream, &log).await;
        let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
        super::server::read_head(&mut stream, &log).await;
        let _ = stream.write_all(&answer("200 OK", "", b"through")).await;
    })
    .await;
    let proxy = Some(format!("http://{}/", server.address).parse().expect("a URL"));
    let client = GuardedClient::try_new(EgressConfig { proxy, ..config() }).expect("valid settings");
    let response = get(&client, "http://a.test:8000/p").await.expect("it answers");
    assert_eq!(response.body.as_ref(), b"through");
    let heads = server.heads();
    assert!(heads[0].starts_with("CONNECT 127.0.0.1:8000 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /p HTTP/1.1\r\n") && heads[1].contains("host: a.test:8000\r\n"), "{}", heads[1]);
    let error = get(&client, "http://10.0.0.1:8000/").await.expect_err("it is denied");
    assert_eq!(error.reason(), FailReason::EgressDenied);
    assert_eq!(server.n_connections(), 1);
}
