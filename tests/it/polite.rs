//! Politeness, judged from the origin's access log alone.

use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use std::time::Duration;

const N_HOSTS: usize = 3;
const N_PAGES: usize = 8;

/// Hosts that also redirect to each other.
fn origin() -> Origin {
    let builder = (0..N_HOSTS).fold(Site::builder(), |builder, n| {
        let (content, editor) = Edited::new(Generated::new(n, N_PAGES, 3));
        for odd in 0..3 {
            editor.set(&format!("/old/{odd}.html"), Change::ToHost((n + 1) % N_HOSTS, Generated::path(odd + 1)));
        }
        builder.host(&format!("h{n}.test"), content, Behaviour::default())
    });
    Origin::start(builder)
}

#[test]
fn politeness_holds_and_the_checker_sees_a_violation() {
    let (origin, place) = (origin(), Place::new());
    let delay = Duration::from_millis(300);

    let ended = place.crawl(&origin.seeds(), &["--delay", "0.3"]);

    ended.check_ledger(0, [24, 0, 30, 0]);
    let log = origin.log();
    let n_requests = |path: &str| log.iter().filter(|entry| entry.path == path).count();
    assert_eq!([n_requests("/robots.txt"), n_requests("/sitemap.xml"), n_requests("/old/1.html")], [N_HOSTS; 3]);
    assert!(log.iter().all(|entry| entry.user_agent.contains("argiope") && entry.user_agent.contains('@')));
    let violations = origin.violations(delay, 1);
    assert!(violations.is_empty(), "{violations:#?}");
    // The check can fail: by a stricter rule the same log is full of violations.
    let n_strict = origin.violations(Duration::from_secs(3), 1).len();
    assert!(n_strict > log.len() / 2, "{n_strict} violations of a delay of 3 s in {} requests", log.len());
}

#[test]
fn the_checker_sees_a_crawl_without_delays() {
    let (origin, place) = (origin(), Place::new());
    place.crawl(&origin.seeds(), &["--delay", "0", "--per-host", "8"]).check_ledger(0, [24, 0, 30, 0]);
    let n_violations = origin.violations(Duration::from_millis(300), 1).len();
    assert!(n_violations > 10, "only {n_violations} violations found in the log of an impolite crawl");
}
