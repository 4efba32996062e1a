//! The metrics file of a crawl: every name is documented, every documented name is there, and the numbers add up.

use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../docs/METRICS.md");
/// Appears with its first event: the names of stages are not known before.
pub(crate) const ABSENT: &str = "argiope_stage_restarts_total";

/// Begins what only a node of a cluster writes; tested beside its collector.
const OF_NODES: &str = "## Link";

/// The names in the first column of the tables about a crawl.
pub(crate) fn documented() -> BTreeSet<String> {
    let of_crawls = DOCUMENT.split(OF_NODES).next().unwrap_or_default();
    let names = of_crawls.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

/// Samples by name and labels, as they are written.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

fn name_of(sample: &str, histograms: &BTreeSet<String>) -> String {
    let name = sample.split('{').next().unwrap_or_default();
    let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    parts.filter(|base| histograms.contains(*base)).unwrap_or(name).to_owned()
}

/// The names of all metrics in a text.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let histograms = types.filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name.to_owned()).collect();
    samples(text).keys().map(|sample| name_of(sample, &histograms)).collect()
}

#[test]
fn the_metrics_file_holds_what_is_documented_and_tells_the_truth() {
    let host = |builder: argiope_testkit::SiteBuilder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, 6, 8), Behaviour::default())
    };
    let origin = Origin::start((0..2).fold(Site::builder(), host));
    let place = Place::new();
    let file = place.path("argiope.prom");
    let place = place.with("ARGIOPE_METRICS_FILE", &file.display().to_string());

    // One seed is denied when it is fetched: the policy is asked about every address.
    let mut seeds = origin.seeds();
    seeds.push("http://10.255.0.1/".to_owned());
    let ended = place.crawl(&seeds, &["--delay", "0.2"]);

    let text = std::fs::read_to_string(&file).expect("the metrics file");
    let samples = samples(&text);
    let mut expected = documented();
    assert!(expected.remove(ABSENT));
    // A crawl answers no HTTP.
    expected.retain(|name| !name.starts_with("argiope_http_"));
    assert_eq!(names(&text), expected, "{text}");

    let value = |name: &str| samples.get(name).copied().unwrap_or_else(|| panic!("{name} is missing:\n{text}"));
    assert_eq!(value("argiope_urls_total{fate=\"stored\",reason=\"\"}"), 12.0, "{ended:?}");
    assert_eq!(value("argiope_egress_requests_total"), origin.log().len() as f64);
    assert!(value("argiope_egress_denied_total{reason=\"private\"}") >= 1.0, "{text}");
    assert_eq!(value("argiope_politeness_margin_seconds_bucket{le=\"0.0\"}"), 0.0, "{text}");
    // All but the first request to each host have one before them.
    assert_eq!(value("argiope_politeness_margin_seconds_count"), origin.log().len() as f64 - 2.0);
    let n_queued: f64 =
        samples.iter().filter(|(name, _)| name.starts_with("argiope_queued_urls{")).map(|(_, n)| n).sum();
    assert_eq!(samples.keys().filter(|name| name.starts_with("argiope_queued_urls{")).count(), 256);
    assert_eq!(n_queued, 0.0, "{text}");
    for edge in ["fetch", "parse", "embed", "write"] {
        assert_eq!(value(&format!("argiope_edge_items{{edge=\"{edge}\"}}")), 0.0, "{edge}");
    }
    for stage in ["fetcher", "parser", "embedder", "writer"] {
        assert!(value(&format!("argiope_stage_busy_seconds_total{{stage=\"{stage}\"}}")) > 0.0, "{stage}");
    }
    for (store, operation) in [("frontier", "lease"), ("frontier", "settle"), ("pages", "put"), ("vectors", "apply")] {
        let name = format!("argiope_store_seconds_count{{store=\"{store}\",operation=\"{operation}\"}}");
        assert!(value(&name) >= 12.0, "{name}");
    }
    let (stored, resident) = (value("argiope_stored_bytes_total"), value("argiope_resident_memory_bytes"));
    assert!(stored > 0.0 && resident > 1e6, "{stored} {resident}");
}
