//! Ctrl-C, and two processes at once.

use crate::origin::Origin;
use crate::place::{PATIENCE, Place, check_balance};
use argiope_testkit::Behaviour;
use argiope_testkit::Site;
use argiope_testkit::site::Generated;
use std::time::Duration;

const N_PAGES: usize = 20;

fn origin() -> Origin {
    Origin::start(Site::builder().host("h0.test", Generated::new(0, N_PAGES, 2), Behaviour::default()))
}

#[test]
fn ctrl_c_drains_and_the_next_run_goes_on() {
    let (origin, place) = (origin(), Place::new());
    let words = ["--delay", "0.1"];
    let mut running = place.start_crawl(&origin.seeds(), &words);
    running.wait_for_stored(4);
    running.interrupt();

    // The design promises 30 s.
    let first = running.wait(Duration::from_secs(32));

    assert_eq!((first.status, &first.summary()["code"]), (Some(130), &"AR0402".into()), "{first:?}");
    assert!(first.stderr.contains("drained: nothing is in flight"), "{first:?}");
    check_balance(first.summary());
    assert_eq!(first.summary()["leased"], 0, "{first:?}");
    let n_stored = first.summary()["stored"].as_u64().unwrap_or_default();
    assert!((4..20).contains(&n_stored), "{first:?}");

    let second = place.crawl(&origin.seeds(), &words);
    second.check_ledger(0, [20, 0, 10, 0]);
    assert_eq!((&second.lines[0]["how"], &second.lines[0]["job"]), (&"resumed".into(), &first.summary()["job"]));
    assert_eq!(place.export().len(), N_PAGES);
    place.verify();
    let log = origin.log();
    let n_requests = |path: &str| log.iter().filter(|entry| entry.path == path).count();
    assert!((0..N_PAGES).all(|n| n_requests(&Generated::path(n)) == 1), "a page was fetched twice");
    let violations = origin.violations(Duration::from_millis(100), 1);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn two_processes_cannot_use_one_directory() {
    let (origin, place) = (origin(), Place::new());
    let mut first = place.start_crawl(&origin.seeds(), &["--delay", "0.5"]);
    first.wait_for_stored(1);

    let second = place.crawl(&origin.seeds(), &["--delay", "0.5"]);

    assert_eq!(second.status, Some(4), "{second:?}");
    for text in ["AR0201", &first.pid().to_string()] {
        assert!(second.stderr.contains(text), "{text} is missing: {second:?}");
    }
    first.interrupt();
    assert_eq!(first.wait(PATIENCE).status, Some(130));
}
