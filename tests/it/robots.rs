//! robots.txt decides what is fetched, and how fast.

use crate::content::{Answers, page, robots};
use crate::origin::Origin;
use crate::place::{Ended, Place};
use argiope_testkit::http::{Request, Response};
use argiope_testkit::{Behaviour, Site};
use std::time::Duration;

const N_PAGES: usize = 4;

/// Crawls a host of four pages whose robots.txt is this.
fn crawl(answer: impl Fn(&Request) -> Response + Send + Sync + 'static, words: &[&str]) -> (Origin, Place, Ended) {
    let content = Answers(move |request: &Request, _: &_| match request.path() {
        "/robots.txt" => answer(request),
        "/" => page("front", &(1..N_PAGES).map(|n| format!("/page{n}")).collect::<Vec<_>>()),
        path => page(path.trim_start_matches('/'), &[]),
    });
    let origin = Origin::start(Site::builder().host("robots.test", content, Behaviour::default()));
    let place = Place::new();
    let ended = place.crawl(&origin.seeds(), words);
    (origin, place, ended)
}

fn paths(origin: &Origin) -> Vec<String> {
    let mut paths: Vec<String> = origin.log().into_iter().map(|entry| entry.path).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn robots_that_deny_all_end_the_crawl_with_a_code_of_its_own() {
    let (origin, place, ended) = crawl(|_| robots("User-agent: *\nDisallow: /\n"), &["--delay", "0"]);
    ended.check_ledger(5, [0, 0, 1, 0]);
    assert_eq!(ended.summary()["code"], "AR0102");
    assert_eq!(place.urls("--skipped").into_values().collect::<Vec<_>>(), ["robots_denied"]);
    assert_eq!(paths(&origin), ["/robots.txt"]);
}

#[test]
fn robots_that_cannot_be_read_forbid_everything() {
    let (origin, place, ended) = crawl(|_| Response::status(503), &["--delay", "0"]);
    ended.check_ledger(3, [0, 0, 0, 1]);
    assert_eq!(place.urls("--failed").into_values().collect::<Vec<_>>(), ["robots_unreachable"]);
    let asked = paths(&origin);
    assert!(asked.len() >= 3 && asked.iter().all(|path| path == "/robots.txt"), "{asked:?}");
}

#[test]
fn missing_robots_allow_everything() {
    let (_, _, ended) = crawl(|_| Response::status(404), &["--delay", "0"]);
    ended.check_ledger(0, [4, 0, 0, 0]);
}

#[test]
fn the_rules_for_our_own_name_win_and_the_longest_match_decides() {
    let text = "User-agent: argiope\nDisallow: /page\nAllow: /page2\n\nUser-agent: *\nDisallow: /\n";
    let (origin, place, ended) = crawl(move |_| robots(text), &["--delay", "0"]);
    ended.check_ledger(0, [2, 0, 2, 0]);
    assert!(place.urls("--skipped").values().all(|reason| reason == "robots_denied"));
    assert_eq!(paths(&origin), ["/", "/page2", "/robots.txt"]);
}

#[test]
fn a_crawl_delay_is_longer_than_the_configured_one() {
    let (origin, _, ended) = crawl(|_| robots("User-agent: *\nCrawl-delay: 1\n"), &["--delay", "0", "--per-host", "1"]);
    ended.check_ledger(0, [4, 0, 0, 0]);
    // Nobody knows it before robots.txt is read, so that this request is not judged.
    let mut log = origin.log();
    log.retain(|entry| entry.path != "/robots.txt");
    let rules = argiope_testkit::politeness::Rules {
        delay: Duration::from_secs(1),
        per_host: 1,
        tolerance: crate::origin::TOLERANCE,
    };
    let violations = argiope_testkit::politeness::check(&log, &rules);
    assert!(violations.is_empty(), "{violations:#?}");
}
