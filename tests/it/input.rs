//! Input that cannot be crawled: each ends with one clear reason, and nothing is lost.

use crate::content::{Answers, page};
use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::http::{Request, Response};
use argiope_testkit::{Behaviour, Site};

#[test]
fn an_unreachable_host_is_named_with_its_reason() {
    // The port was free a moment ago, and nobody else asks for it on this address.
    let listener = std::net::TcpListener::bind("127.77.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    drop(listener);
    let place = Place::new();
    let ended = place.crawl(std::slice::from_ref(&url), &["--delay", "0"]);
    ended.check_ledger(3, [0, 0, 0, 1]);
    assert_eq!(ended.summary()["code"], "AR0401");
    assert_eq!(place.urls("--failed").into_iter().collect::<Vec<_>>(), [(url, "connect".to_owned())]);
}

#[test]
fn a_pdf_is_skipped_and_the_pages_beside_it_are_stored() {
    let content = Answers(|request: &Request, _: &_| match request.path() {
        "/" => page("front", &["/manual".to_owned()]),
        "/manual" => Response::ok("application/pdf", &b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"[..]),
        _ => Response::status(404),
    });
    let origin = Origin::start(Site::builder().host("pdf.test", content, Behaviour::default()));
    let place = Place::new();
    place.crawl(&origin.seeds(), &["--delay", "0"]).check_ledger(0, [1, 0, 1, 0]);
    assert_eq!(place.urls("--skipped").into_values().collect::<Vec<_>>(), ["unsupported_media"]);
    place.verify();
}

#[test]
fn a_data_directory_of_a_newer_version_is_left_alone() {
    let place = Place::new();
    let format = place.data_dir().join("format");
    std::fs::create_dir_all(place.data_dir()).expect("a directory");
    std::fs::write(&format, "4000\n").expect("a file");
    let ended = place.crawl(&["http://127.0.0.1:9000/".to_owned()], &[]);
    assert_eq!(ended.status, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("AR0202") && ended.stderr.contains("4000"), "{ended:?}");
    assert!(ended.lines.is_empty(), "{ended:?}");
    assert_eq!(std::fs::read_to_string(format).expect("a file"), "4000\n");
}
