//! The index on a real Qdrant server: the same commands, the same answers.

use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::{PATIENCE, Place};
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, QdrantServer, Site};
use std::time::Duration;

const N_PAGES: usize = 15;
const EDITED: usize = 4;
const LINE: [&str; 4] = ["--delay", "0", "--per-host", "4"];

/// A place whose configuration file names the server.
fn place_with(server: &QdrantServer) -> Place {
    let place = Place::new();
    let path = place.path("cluster.toml");
    let file = format!("[vectors]\nbackend = \"qdrant\"\nurl = \"{}\"\napi_key = \"env:TEST_KEY\"\n", server.url());
    std::fs::write(&path, file).expect("a configuration file");
    place.with("ARGIOPE_CONFIG", &path.display().to_string()).with("TEST_KEY", "right")
}

#[test]
fn a_crawl_fills_a_server_and_every_place_that_names_it_can_search() {
    let dir = tempfile::tempdir().expect("a directory");
    let test = "a_crawl_fills_a_server_and_every_place_that_names_it_can_search";
    let Some(server) = QdrantServer::start(test, dir.path(), &[("QDRANT__SERVICE__API_KEY", "right")]) else { return };
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 5));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let url = |page| origin.site().hosts()[0].url(&Generated::path(page));
    let place = place_with(&server);

    place.crawl(&origin.seeds(), &LINE).check_ledger(0, [15, 0, 10, 0]);
    assert_eq!(place.search(&unique_word(0, EDITED)), [url(EDITED)]);
    let hybrid = place.run(&["search", &unique_word(0, EDITED), "--mode", "hybrid"]);
    assert!(
        hybrid.events("hit").next().is_some_and(|hit| hit["url"].as_str().is_some_and(|u| u.starts_with(&url(EDITED))))
    );
    assert_eq!(place.verify()["heads"], N_PAGES);
    assert!(!place.data_dir().join("vectors").exists(), "nothing is indexed in the data directory");

    let new_word = "xequantaborimoluk";
    editor.set(&Generated::path(EDITED), Change::Replace(unique_word(0, EDITED), new_word.to_owned()));
    place.crawl(&origin.seeds(), &LINE).check_ledger(0, [1, 14, 10, 0]);
    assert!(place.search(&unique_word(0, EDITED)).is_empty(), "a word that is gone is found");
    assert_eq!(place.verify()["heads"], N_PAGES);
    // Another node, with a data directory of its own.
    assert_eq!(place_with(&server).search(new_word), [url(EDITED)]);

    let refused = place.with("TEST_KEY", "wrong").run(&["search", new_word]);
    assert_eq!(refused.status, Some(4), "{refused:?}");
    assert!(format!("{refused:?}").contains("AR0203"), "{refused:?}");
}

#[test]
fn a_crawl_waits_for_a_server_that_was_killed_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let test = "a_crawl_waits_for_a_server_that_was_killed_and_goes_on";
    let Some(mut server) = QdrantServer::start(test, dir.path(), &[]) else { return };
    let content = Generated::new(0, 60, 5);
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let place = place_with(&server);

    let mut crawl = place.start_crawl(&origin.seeds(), &["--delay", "0.02"]);
    crawl.wait_for_stored(10);
    server.kill();
    std::thread::sleep(Duration::from_secs(3));
    server.restart();
    let ended = crawl.wait(PATIENCE);

    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.summary()["stored"], 60, "{ended:?}");
    assert_eq!(place.verify()["heads"], 60);
    let asked_twice = origin.log().iter().filter(|entry| entry.path == Generated::path(30)).count();
    assert_eq!(asked_twice, 1, "a page is not fetched again because its index was away");
}
