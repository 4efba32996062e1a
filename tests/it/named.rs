//! `--resolve`: sites under names that no resolver knows.

use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};

#[test]
fn a_name_is_crawled_at_the_address_that_is_given_and_the_policy_judges_it() {
    let host = |builder: argiope_testkit::SiteBuilder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, 4, 3), Behaviour::default())
    };
    let origin = Origin::start((0..2).fold(Site::builder(), host));
    let hosts = origin.site().hosts();
    let seeds: Vec<String> = hosts.iter().map(|host| host.named_url("/")).collect();
    let given: Vec<String> = hosts.iter().map(|host| format!("{}:{}", host.name, host.address)).collect();
    let words = ["--delay", "0", "--resolve", &given[0], "--resolve", &given[1]];

    let place = Place::new();
    let denied = place.crawl(&seeds, &[&words[..], &["--allow-cidr", "10.0.0.0/8"]].concat());
    assert_eq!((denied.status, &denied.summary()["code"]), (Some(5), &"AR0101".into()), "{denied:?}");
    assert!(origin.log().is_empty());

    let place = Place::new();
    place.crawl(&seeds, &words).check_ledger(0, [8, 0, 20, 0]);
    assert!(place.export().keys().all(|url| url.contains(".test:")));
    assert!(origin.log().iter().all(|entry| entry.host.ends_with(".test")));
}
