//! Commands beside a running crawl: they reach it, and what they move goes on in it.

use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::{PATIENCE, Place, check_line};
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use serde_json::Value;
use std::time::Duration;

const N_PAGES: usize = 12;

fn origin(seed: u64) -> Origin {
    Origin::start(Site::builder().host("h0.test", Generated::new(0, N_PAGES, seed), Behaviour::default()))
}

/// The `job` line of a command that answers one.
#[track_caller]
fn job_line(place: &Place, words: &[&str]) -> Value {
    let ended = place.run(words);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    ended.events("job").next().unwrap_or_else(|| panic!("no job: {ended:?}")).clone()
}

#[test]
fn questions_are_answered_beside_a_running_crawl() {
    let (origin, place) = (origin(5), Place::new());
    let mut crawl = place.start_crawl(&origin.seeds(), &["--delay", "0.6"]);
    crawl.wait_for_stored(3);

    let ended = place.run(&["verify"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!((&ended.summary()["partial"], &ended.summary()["problems"]), (&true.into(), &0.into()), "{ended:?}");
    assert_eq!(job_line(&place, &["job", "last"])["state"], "running");
    let listed = place.urls("--pages");
    let exported = place.export();
    assert!(listed.len() >= 3 && exported.len() >= listed.len(), "{} {}", listed.len(), exported.len());
    assert!(exported.values().all(|page| page["markdown"].as_str().is_some_and(|text| !text.is_empty())));
    assert!(!place.urls("--open").is_empty());
    let ended = place.run(&["job", "0000"]);
    assert!(ended.status == Some(2) && ended.stderr.contains("AR0005"), "{ended:?}");

    assert_eq!(crawl.wait(PATIENCE).status, Some(0));
    assert_eq!(place.verify()["partial"], false);
    assert_eq!(place.export().len(), N_PAGES);
}

#[test]
fn a_job_that_is_resumed_beside_a_running_crawl_goes_on_in_it() {
    let (first, second, place) = (origin(6), origin(7), Place::new());
    let mut crawl = place.start_crawl(&first.seeds(), &["--delay", "0.4"]);
    crawl.wait_for_stored(2);
    crawl.interrupt();
    let interrupted = crawl.wait(PATIENCE);
    let id = interrupted.summary()["job"].as_str().expect("the job's id").to_owned();
    let mut crawl = place.start_crawl(&second.seeds(), &["--delay", "0.4"]);
    crawl.wait_for_stored(1);
    assert_eq!(job_line(&place, &["job", &id])["state"], "paused");

    assert_eq!(job_line(&place, &["resume", &id])["state"], "running");
    // The crawl's own job pauses and goes on, too; the other one keeps the process alive meanwhile.
    assert_eq!(job_line(&place, &["pause", "last"])["state"], "paused");
    let paused_at = second.log().len();
    crawl.wait_for("the resumed job's pages", |line| {
        line["job"] == id.as_str() && line["stored"].as_u64().is_some_and(|n_pages| n_pages >= 5)
    });
    assert!(second.log().len() <= paused_at + 1, "a paused job was fetched");
    assert_eq!(job_line(&place, &["resume", "last"])["state"], "running");

    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    let other = job_line(&place, &["job", &id]);
    assert_eq!(other["state"], "finished");
    check_line(&other, [N_PAGES as u64, 0, 10, 0]);
    place.verify();
    for origin in [&first, &second] {
        let violations = origin.violations(Duration::from_millis(400), 1);
        assert!(violations.is_empty(), "{violations:#?}");
    }
    let ended = place.run(&["resume", &id]);
    assert!(ended.status == Some(2) && ended.stderr.contains("finished"), "{ended:?}");
}

#[test]
fn failed_pages_are_tried_again_in_the_running_crawl() {
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 8));
    editor.set(&Generated::path(1), Change::Status(500));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let place = Place::new().with("ARGIOPE_CRAWL_MAX_ATTEMPTS", "1");
    let mut crawl = place.start_crawl(&origin.seeds(), &["--delay", "0.4"]);
    crawl.wait_for("a failed page", |line| line["event"] == "progress" && line["failed"] == 1);

    editor.set(&Generated::path(1), Change::Replace("no such text".to_owned(), String::new()));
    let ended = place.run(&["retry", "last"]);
    let retried = ended.events("retried").next().expect("an answer");
    assert_eq!((ended.status, &retried["urls"]), (Some(0), &1.into()), "{ended:?}");

    crawl.wait(PATIENCE).check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
}
