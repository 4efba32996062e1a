//! Pages in a directory that nodes share: the same commands, the same answers, and nothing of them in the data directory.

use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, Site};
use std::path::Path;

const N_PAGES: usize = 15;
const EDITED: usize = 4;
const LINE: [&str; 4] = ["--delay", "0", "--per-host", "4"];

fn place_with(url: &str) -> Place {
    Place::new().with("ARGIOPE_PAGES_BACKEND", "objects").with("ARGIOPE_PAGES_URL", url)
}

fn url_of(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

#[test]
fn a_crawl_a_recrawl_an_export_and_verify_work_on_shared_pages() {
    let shared = tempfile::tempdir().expect("a directory");
    let url = url_of(&shared.path().join("pages"));
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 5));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let place = place_with(&url);

    place.crawl(&origin.seeds(), &LINE).check_ledger(0, [15, 0, 10, 0]);
    assert!(!place.data_dir().join("pages").exists(), "pages are kept in the data directory");
    let pages = place.export();
    assert_eq!(pages.len(), N_PAGES);
    assert_eq!(place.verify()["pages"], N_PAGES);

    editor.set(&Generated::path(EDITED), Change::Replace(unique_word(0, EDITED), "xequantaborimoluk".to_owned()));
    place.crawl(&origin.seeds(), &LINE).check_ledger(0, [1, 14, 10, 0]);
    assert_eq!(place.verify()["pages"], N_PAGES);
    let pages = place.export();
    let markdown = pages.values().map(|page| page["markdown"].as_str().unwrap_or_default());
    assert_eq!(markdown.filter(|markdown| markdown.contains("xequantaborimoluk")).count(), 1);
    let doctor = place.run(&["doctor"]);
    let check = doctor.events("check").find(|check| check["name"] == "shared pages");
    assert!(check.is_some_and(|check| check["good"] == true), "{doctor:?}");

    // A page that is damaged is named, and `verify` says so with its status.
    let mut waiting = vec![shared.path().join("pages/pages")];
    let file = loop {
        let path = waiting.pop().expect("there are pages");
        if path.is_file() {
            break path;
        }
        waiting.extend(std::fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.path()));
    };
    std::fs::write(&file, b"garbage").expect("the page is damaged");
    let verify = place.run(&["verify"]);
    assert_eq!(verify.status, Some(4), "{verify:?}");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(format!("{verify:?}").contains(&name), "{verify:?}");
}

#[test]
fn storage_that_cannot_be_opened_is_named_with_a_next_step() {
    let shared = tempfile::tempdir().expect("a directory");
    let check = |place: Place, status: i32, expected: &[&str]| {
        let ended = place.crawl(&["http://127.0.0.1:8080/".to_owned()], &[]);
        assert_eq!(ended.status, Some(status), "{ended:?}");
        for expected in expected {
            assert!(format!("{ended:?}").contains(expected), "{expected}: {ended:?}");
        }
        assert!(!format!("{ended:?}").contains("not-to-be-shown"), "{ended:?}");
    };
    check(place_with(&url_of(&shared.path().join("a/b"))), 4, &["AR0203", "a/b (pages.url)", "mounted"]);
    check(place_with("s3://crawl/x").with("ARGIOPE_PAGES_ACCESS_KEY", "env:HOME"), 2, &["AR0002", "half a key"]);
    let away = place_with("s3://crawl/x")
        .with("ARGIOPE_PAGES_ENDPOINT", "http://127.0.0.1:1")
        .with("TEST_KEY", "not-to-be-shown")
        .with("ARGIOPE_PAGES_ACCESS_KEY", "env:TEST_KEY")
        .with("ARGIOPE_PAGES_SECRET_KEY", "env:TEST_KEY");
    check(away, 4, &["AR0203", "s3://crawl/x (pages.url)", "pages.endpoint"]);
}
