//! Pages made to break a crawler: each ends with its reason, in bounded time and memory.

use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::hostile::{CASES, Case, Hostile, Outcome};
use argiope_testkit::{Behaviour, Site};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Anonymous resident memory, by the bounds of the stages: 8 bodies of 10 MiB under way (80), 64 MiB on each of three
/// edges (192), two pages being parsed with text, tree of 600,000 nodes, Markdown and chunks (2 x 180), the stores' caches
/// and queues (80). Seen: 230 to 400.
const MAX_RSS_KIB: u64 = 712 * 1024;
/// The slow cases take the exchange's time limit, which is set to 4 s, and a host that fails so often is parked.
const MAX_TIME: Duration = Duration::from_secs(150);

#[test]
fn hostile_pages_end_with_their_reason() {
    let origin = Origin::start(Site::builder().host("hostile.test", Hostile::default(), Behaviour::default()));
    let place = Place::new().with("ARGIOPE_EGRESS_TOTAL_TIMEOUT_SECS", "4").with("ARGIOPE_CRAWL_MAX_ATTEMPTS", "1");
    // Bodies under way are bounded by requests at once times 10 MiB.
    let words = ["--delay", "0", "--per-host", "8", "--concurrency", "8", "--exclude", "/many/", "--limit", "3000"];

    let ended = place.start_crawl(&origin.seeds(), &words).wait(MAX_TIME);

    println!("{} MB of anonymous memory at most, {} requests", ended.peak_kib / 1024, origin.log().len());
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!((1..MAX_RSS_KIB).contains(&ended.peak_kib), "{} KiB resident", ended.peak_kib);
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for flag in ["--pages", "--skipped", "--failed"] {
        ends.extend(place.urls(flag));
    }
    let rejected = &ended.summary()["rejected"];
    let wrong: Vec<String> = CASES.iter().filter_map(|case| judge(case, &origin, &ends, rejected)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}\n{ended:?}", wrong.len(), CASES.len(), wrong.join("\n"));
    place.verify();
}

/// What is wrong about a case's end.
fn judge(case: &Case, origin: &Origin, ends: &BTreeMap<String, String>, rejected: &Value) -> Option<String> {
    let url = origin.site().hosts()[0].url(case.path);
    let seen = ends.get(&url).map_or("never ended", String::as_str);
    let is_as_told = |outcome: &Outcome| match outcome {
        Outcome::LinksRejected(reason) => seen == "stored" && rejected[reason.code()].as_u64().unwrap_or(0) > 0,
        other => seen == other.code(),
    };
    let expected: Vec<&str> = case.outcomes.iter().map(|outcome| outcome.code()).collect();
    (!case.outcomes.iter().any(is_as_told)).then(|| {
        format!("{} ({}): {seen}, expected {}; rejected: {rejected}", case.path, case.what, expected.join(" or "))
    })
}
