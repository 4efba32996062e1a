//! The site over real sockets, and the two binaries.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use argiope_testkit::access_log::read_log;
use argiope_testkit::hostile::{CASES, Hostile};
use argiope_testkit::politeness::{Rules, check};
use argiope_testkit::site::{Behaviour, FailureKind, Failures, Generated, Site, SiteHost, Tree};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// One request on its own connection, at most `limit` bytes of the answer; `Err` when the connection breaks.
async fn get_with(host: &SiteHost, path: &str, fields: &str, limit: u64) -> std::io::Result<Answer> {
    let mut stream = TcpSocket::new_v4()?.connect((host.address, host.port).into()).await?;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kit\r\nConnection: close\r\n{fields}\r\n", host.name);
    stream.write_all(head.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(limit).read_to_end(&mut bytes).await?;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { status: head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0), head, body })
}

async fn get(host: &SiteHost, path: &str) -> Answer {
    get_with(host, path, "", u64::MAX).await.unwrap()
}

#[tokio::test]
async fn a_generated_site_answers_by_host_and_logs_every_request() {
    let site = Site::generated(3, 40, 7).await.unwrap();
    let expected = Generated::expected(40);
    for host in site.hosts() {
        for (paths, status) in
            [(&expected.pages, 200), (&expected.redirects, 301), (&expected.denied, 200), (&expected.missing, 404)]
        {
            for path in paths {
                assert_eq!(get(host, path).await.status, status, "{path}");
            }
        }
        let sitemap = String::from_utf8(get(host, "/sitemap.xml").await.body).unwrap();
        assert_eq!(sitemap.matches("<loc>").count(), 40);
        assert!(String::from_utf8(get(host, "/robots.txt").await.body).unwrap().contains("Disallow: /private/"));
    }
    let log = site.log().entries();
    assert_eq!(log.len(), 3 * (40 + 9 + 2));
    assert!(log.iter().all(|e| e.end_micros >= e.start_micros && e.user_agent == "kit" && e.status >= 200));
    assert_eq!(log.iter().filter(|entry| entry.host == "h2.test").count(), 51);
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let site = Site::generated(1, 5, 7).await.unwrap();
    let host = &site.hosts()[0];
    let first = get(host, "/").await;
    let etag = first.head.split("etag: ").nth(1).unwrap().split("\r\n").next().unwrap();
    for (field, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        ("If-None-Match: \"other\"\r\n".to_owned(), 200),
        ("If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT\r\n".to_owned(), 304),
    ] {
        let answer = get_with(host, "/", &field, u64::MAX).await.unwrap();
        assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304), "{field}");
    }
}

#[tokio::test]
async fn chosen_paths_fail_as_often_as_asked_and_then_answer() {
    let failures = Failures { share: 1.0, times: 2, kinds: vec![FailureKind::Status(503)], seed: 1 };
    let behaviour = Behaviour { think: Duration::from_millis(30), failures };
    let site = Site::builder().host("a.test", Generated::new(0, 5, 1), behaviour).start().await.unwrap();
    let host = &site.hosts()[0];
    let mut statuses = Vec::new();
    let started = Instant::now();
    for _ in 0..3 {
        statuses.push(get(host, "/").await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
    assert!(started.elapsed() >= Duration::from_millis(90));
    assert_eq!(get(host, "/robots.txt").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let behaviour = Behaviour { think: Duration::from_secs(3600), ..Behaviour::default() };
    let site = Site::builder().host("a.test", Generated::new(0, 5, 1), behaviour).start().await.unwrap();
    let gave_up = tokio::time::timeout(Duration::from_millis(100), get(&site.hosts()[0], "/")).await;
    assert!(gave_up.is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while site.log().n_requests() == 0 {
        assert!(Instant::now() < deadline, "the request is still under way");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(site.log().entries()[0].status, 0);
}

#[tokio::test]
async fn a_tree_is_served_as_its_files_are() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("sub dir")).unwrap();
    std::fs::write(directory.path().join("index.html"), "<p>front").unwrap();
    std::fs::write(directory.path().join("sub dir/a&b.html"), "<p>inner").unwrap();
    std::fs::write(directory.path().join("sub dir/style.css"), "p{}").unwrap();
    std::os::unix::fs::symlink("/etc", directory.path().join("out")).unwrap();
    let tree = Tree::open(directory.path()).unwrap();
    assert_eq!(tree.pages(), ["/", "/sub%20dir/a&b.html"]);
    let site = Site::builder().host("tree.test", tree, Behaviour::default()).start().await.unwrap();
    let host = &site.hosts()[0];
    for (path, status, body) in [
        ("/", 200, "<p>front"),
        ("/sub%20dir/a&b.html", 200, "<p>inner"),
        ("/sub%20dir/style.css", 200, "p{}"),
        ("/sub%20dir", 301, ""),
        ("/out/hostname", 404, "<!doctype html><title>404</title><p>status 404"),
        ("/../../etc/hostname", 400, "<!doctype html><title>400</title><p>status 400"),
    ] {
        let answer = get(host, path).await;
        assert_eq!((answer.status, String::from_utf8(answer.body).unwrap().as_str()), (status, body), "{path}");
    }
    assert!(String::from_utf8(get(host, "/sitemap.xml").await.body).unwrap().contains("/sub%20dir/a&amp;b.html"));
}

#[tokio::test]
async fn every_hostile_page_begins_to_answer_as_its_table_says() {
    let site = Site::builder().host("bad.test", Hostile::default(), Behaviour::default()).start().await.unwrap();
    let host = &site.hosts()[0];
    let front = String::from_utf8(get(host, "/").await.body).unwrap();
    for case in CASES {
        assert!(front.contains(&format!("\"{}\"", case.path)), "{} is not linked", case.path);
        let asked = get_with(host, case.path, "", 3 * 1024 * 1024);
        match tokio::time::timeout(Duration::from_secs(if case.is_slow { 1 } else { 30 }), asked).await {
            Err(_) => assert!(case.is_slow, "{} takes too long", case.path),
            Ok(Err(_)) => assert_eq!(case.path, "/reset"),
            Ok(Ok(answer)) => assert!(answer.status > 0 || case.path == "/garbage", "{}", case.path),
        }
    }
    let bomb = get(host, "/gzip-bomb").await.body;
    assert!(bomb.len() < 400_000, "{}", bomb.len());
}

#[test]
fn the_origin_outlives_its_clients_and_its_log_is_judged_by_the_checker() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.jsonl");
    let mut origin = Command::new(env!("CARGO_BIN_EXE_test-origin"))
        .args(["--hosts", "2", "--pages", "10", "--until-stdin-closes", "--log"])
        .arg(&log)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(origin.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|l| l != "ready")
        .collect();
    assert_eq!(lines.len(), 2);
    let url: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    let address = url["url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (ip, port) = address.split_once(':').unwrap();
    let host = SiteHost { name: address.clone(), address: ip.parse().unwrap(), port: port.parse().unwrap() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..2 {
            assert_eq!(get(&host, "/").await.status, 200);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    });
    drop(origin.stdin.take());
    assert!(origin.wait().unwrap().success());
    let entries = read_log(BufReader::new(std::fs::File::open(&log).unwrap())).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.host.as_str()).collect::<Vec<_>>(), ["127.0.0.2"; 2]);
    assert_eq!(check(&entries, &Rules::new(Duration::from_millis(50), 1)), []);
    for (delay, is_polite) in [("0.05", true), ("10", false)] {
        let run =
            Command::new(env!("CARGO_BIN_EXE_politeness-check")).arg(&log).args(["--delay", delay]).output().unwrap();
        assert_eq!(run.status.success(), is_polite, "{}", String::from_utf8_lossy(&run.stdout));
    }
}
