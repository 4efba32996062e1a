//! The second crawl of a site: only what changed is fetched whole, embedded and replaced.

use crate::content::{Change, Edited};
use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, Site};

const N_PAGES: usize = 15;
/// The pages that are changed between the crawls: one in every chunk, one in a paragraph, one goes.
const EDITED: usize = 4;
const TOUCHED: usize = 6;
const REMOVED: usize = 14;

#[test]
fn a_second_crawl_embeds_only_what_changed() {
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 5));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let metrics = tempfile::tempdir().expect("a directory");
    let metrics = metrics.path().join("metrics");
    let place = Place::new().with("ARGIOPE_METRICS_FILE", &metrics.display().to_string());
    let line = ["--delay", "0", "--per-host", "4"];
    let url = |page| origin.site().hosts()[0].url(&Generated::path(page));
    let n_embedded = || -> f64 {
        let text = std::fs::read_to_string(&metrics).expect("the metrics file");
        let value = text.lines().find_map(|line| line.strip_prefix("argiope_embedded_chunks_total "));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no embedded_chunks in\n{text}"))
    };

    place.crawl(&origin.seeds(), &line).check_ledger(0, [15, 0, 10, 0]);
    let before = place.export();
    let n_first = n_embedded();
    assert_eq!(place.search(&unique_word(0, EDITED)), [url(EDITED)]);
    assert_eq!(place.search(&unique_word(0, REMOVED)), [url(REMOVED)]);

    let new_word = "xequantaborimoluk";
    editor.set(&Generated::path(EDITED), Change::Replace(unique_word(0, EDITED), new_word.to_owned()));
    editor.set(&Generated::path(TOUCHED), Change::Replace("version 0".to_owned(), "version 1".to_owned()));
    editor.set(&Generated::path(REMOVED), Change::Status(404));
    origin.site().log().clear();
    let ended = place.crawl(&origin.seeds(), &line);

    ended.check_ledger(0, [2, 12, 11, 0]);
    assert_eq!(ended.lines[0]["how"], "recrawl", "{ended:?}");
    let n_unmodified = origin.log().iter().filter(|entry| entry.status == 304).count();
    assert!(n_unmodified >= 12, "{n_unmodified} answers of 304");
    let n_edited = before[&url(EDITED)]["chunks"].as_f64().expect("a number");
    let n_second = n_embedded() - n_edited;
    assert_eq!(n_second, 1.0, "chunks of the touched page were embedded; {n_first} by the first crawl");
    assert_eq!(place.search(new_word), [url(EDITED)]);
    assert!(place.search(&unique_word(0, EDITED)).is_empty(), "a word that is gone is found");
    assert!(place.search(&unique_word(0, REMOVED)).is_empty(), "a page that is gone is found");
    let after = place.export();
    assert_eq!(after.len(), 14);
    assert!(after[&url(EDITED)]["markdown"].as_str().is_some_and(|text| text.contains(new_word)));
    let same = |n: usize| after[&url(n)]["markdown"] == before[&url(n)]["markdown"];
    assert!((0..14).filter(|n| ![EDITED, TOUCHED].contains(n)).all(same));
    assert_eq!(place.verify()["heads"], 14);
}

/// Bytes of responses that are kept.
fn kept_bytes(place: &Place) -> u64 {
    let Ok(segments) = std::fs::read_dir(place.data_dir().join("pages/segments")) else { return 0 };
    segments.map(|entry| entry.and_then(|entry| entry.metadata()).expect("a segment").len()).sum()
}

/// Links and validators are in the record. Who asks for more later gets it: "unchanged" is said only of what is kept.
#[test]
fn a_crawl_for_links_keeps_no_responses_and_a_later_one_that_wants_them_gets_them() {
    let content = Generated::new(0, N_PAGES, 5);
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let place = Place::new();
    let crawl = |words: &[&str]| {
        origin.site().log().clear();
        let ended = place.crawl(&origin.seeds(), &[&["--delay", "0", "--per-host", "4"], words].concat());
        let n_unmodified = origin.log().iter().filter(|entry| entry.status == 304).count();
        (ended, n_unmodified)
    };

    crawl(&["--process", "links"]).0.check_ledger(0, [15, 0, 10, 0]);
    assert_eq!(kept_bytes(&place), 0);
    let pages = place.export();
    assert!(pages.values().any(|page| page["links"].as_array().is_some_and(|links| links.len() > 1)), "{pages:?}");
    let (again, n_unmodified) = crawl(&["--process", "links"]);
    again.check_ledger(0, [0, 15, 10, 0]);
    assert!(n_unmodified >= 14, "{n_unmodified} answers of 304");

    crawl(&["--process", "links", "--retain", "raw"]).0.check_ledger(0, [15, 0, 10, 0]);
    let n_raw = kept_bytes(&place);
    assert!(n_raw > 0);
    crawl(&["--process", "links"]).0.check_ledger(0, [0, 15, 10, 0]);
    assert_eq!(kept_bytes(&place), n_raw, "a page that is as it was keeps what was kept of it");
    crawl(&["--process", "markdown"]).0.check_ledger(0, [15, 0, 10, 0]);
    assert!(place.export().values().all(|page| page["markdown"].as_str().is_some_and(|text| !text.is_empty())));
    place.verify();
}
