//! Commands that ask a node instead of a data directory: the same output, the same exit status.

use crate::content::{Change, Edited};
use crate::node::{Node, call};
use crate::origin::Origin;
use crate::place::{CONTACT, PATIENCE, Place, check_line};
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, Site};
use std::collections::BTreeSet;

const N_PAGES: usize = 8;

fn place() -> Place {
    Place::new().with("ARGIOPE_EGRESS_ALLOW_CIDRS", "127.0.0.0/8").with("ARGIOPE_CRAWL_CONTACT", CONTACT)
}

/// Where commands run that have no data of their own.
fn elsewhere(node: &Node) -> Place {
    Place::new().with("ARGIOPE_CLIENT_ENDPOINT", &node.http)
}

fn origin(seed: u64) -> Origin {
    Origin::start(Site::builder().host("h0.test", Generated::new(0, N_PAGES, seed), Behaviour::default()))
}

#[test]
fn a_crawl_at_a_node_ends_as_one_here_does() {
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 41));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let node_place = place().with("ARGIOPE_CRAWL_MAX_ATTEMPTS", "1");
    let node = Node::start(&node_place, &[]);
    let place = elsewhere(&node);
    let seeds = origin.seeds();
    let line = ["crawl", "--delay", "0.1", seeds[0].as_str()];

    let ended = place.run(&line);
    ended.check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    assert_eq!((&ended.lines[0]["event"], &ended.lines[0]["how"]), (&"job_started".into(), &"new".into()));
    assert_eq!(ended.summary()["endpoint"].as_str().map(|url| url.trim_end_matches('/')), Some(node.http.as_str()));
    assert!(ended.events("url").count() > 0 && ended.events("progress").count() > 0, "{ended:?}");
    assert!(!place.data_dir().exists(), "a command of a node made a data directory");

    editor.set(&Generated::path(1), Change::Status(500));
    let again = place.run(&line);
    assert_eq!((again.status, &again.lines[0]["how"]), (Some(3), &"recrawl".into()), "{again:?}");
    assert_eq!(again.summary()["code"], "AR0401");
    check_line(again.summary(), [0, N_PAGES as u64 - 1, 10, 1]);

    // Every verb that asks has the same answer as beside the crawl.
    assert_eq!(place.run(&["jobs"]).events("job").count(), 2);
    assert_eq!(place.urls("--failed").into_values().collect::<Vec<_>>(), ["http_server_error"]);
    assert_eq!(place.export().len(), N_PAGES - 1);
    assert!(place.search(&unique_word(0, 3))[0].ends_with(&Generated::path(3)));
    let job = place.run(&["job", "last"]);
    assert_eq!(
        job.events("job").next().map(|job| &job["spec"]["politeness"]["delay"]["nanos"]),
        Some(&100_000_000.into())
    );
    editor.set(&Generated::path(1), Change::Replace("no such text".to_owned(), String::new()));
    assert_eq!(place.run(&["retry", "last"]).events("retried").next().map(|line| &line["urls"]), Some(&1.into()));
    node.wait_for_job("last", "end", |job| job["state"] == "finished" && job["counters"]["failed"] == 0);

    let ended = place.run(&["resume", "last"]);
    assert!(ended.status == Some(2) && ended.stderr.contains("AR0007"), "{ended:?}");
    let ended = place.run(&["crawl", "--concurrency", "4", &seeds[0]]);
    assert!(ended.status == Some(2) && ended.stderr.contains("--concurrency"), "{ended:?}");
    let ended = place.run(&["crawl", "http://10.0.0.1/"]);
    assert!(ended.status == Some(5) && ended.stderr.contains("AR0101"), "{ended:?}");
    let ended = place.run(&["verify", "--endpoint", &node.http]);
    assert!(ended.status == Some(2) && ended.stderr.contains("--endpoint"), "{ended:?}");
    node.stop();
    let ended = place.run(&["jobs"]);
    assert!(ended.status == Some(4) && ended.stderr.contains("AR0601"), "{ended:?}");
    node_place.verify();
}

#[test]
fn ctrl_c_only_detaches_and_a_restart_is_waited_for() {
    let (origin, place) = (origin(42), place());
    let node = Node::start(&place, &[]);
    let port = node.http.rsplit(':').next().expect("a port").to_owned();
    let elsewhere = elsewhere(&node);
    let line = ["crawl", "--delay", "0.4", &origin.seeds()[0]];
    let mut first = elsewhere.start(&line);
    first.wait_for_stored(1);
    first.interrupt();
    let ended = first.wait(PATIENCE);
    let detached = ended.events("detached").next().unwrap_or_else(|| panic!("not detached: {ended:?}"));
    let id = detached["job"].as_str().expect("an id").to_owned();
    assert_eq!(ended.status, Some(130), "{ended:?}");
    assert!(ended.stderr.contains(&format!("argiope cancel {id}")), "{ended:?}");
    assert_eq!(node.get(&format!("/jobs/{id}")).ok(200)["state"], "running");

    let mut second = elsewhere.start(&line);
    second.wait_for("the same job", |line| line["how"] == "resumed" && line["job"] == id.as_str());
    second.wait_for_stored(2);
    node.stop();
    let node = Node::start(&place, &["--listen", &format!("127.0.0.1:{port}")]);
    second.wait(PATIENCE).check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    node.stop();
    let violations = origin.violations(std::time::Duration::from_millis(400), 1);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn an_operator_asks_a_node_and_drains_it() {
    let (origin, place) = (origin(43), place());
    let node = Node::start(&place, &["--name", "node-b", "--roles", "control,frontier,fetch,embed"]);
    let elsewhere = elsewhere(&node);
    elsewhere.run(&["crawl", "--delay", "0", &origin.seeds()[0]]).check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    let ask = |words: &[&str]| elsewhere.run(&[&["admin"], words].concat());
    let nodes = ask(&["nodes"]);
    assert_eq!(nodes.events("node").next().map(|node| &node["name"]), Some(&"node-b".into()), "{nodes:?}");
    assert_eq!(ask(&["shards"]).events("shard").filter(|shard| shard["owner"] == "node-b").count(), 256);
    assert_eq!(ask(&["status"]).events("status").next().map(|status| &status["jobs"]["finished"]), Some(&1.into()));
    assert_eq!(ask(&["host", "127.0.0.1"]).events("host").next().map(|host| &host["queued"]), Some(&0.into()));
    let allowed = ask(&["explain", &origin.seeds()[0], "--job", "last"]);
    assert_eq!(allowed.status, Some(0), "{allowed:?}");
    let denied = ask(&["explain", "http://10.0.0.1/"]);
    assert_eq!(denied.status, Some(5), "{denied:?}");
    let unknown = ask(&["drain", "node-z"]);
    assert!(unknown.status == Some(2) && unknown.stderr.contains("AR0604"), "{unknown:?}");
    assert_eq!(ask(&["drain", "node-b"]).status, Some(0));
    assert_eq!(node.running.wait(PATIENCE).status, Some(0));
}

#[test]
fn a_node_without_the_role_control_answers_monitors_only() {
    let place = place();
    let mut node = place.start(&["node", "--roles", "frontier,fetch", "--metrics-listen", "127.0.0.1:0"]);
    node.wait_for("the node", |line| line["event"] == "node_started");
    let line = node.lines()[0].clone();
    assert_eq!(line["http"], serde_json::Value::Null, "{line}");
    let metrics = line["metrics"].as_str().expect("an address").to_owned();
    assert_eq!(call(&metrics, "GET", "/healthz", &[], None).ok(200)["status"], "ok");
    node.interrupt();
    assert_eq!(node.wait(PATIENCE).status, Some(0));
}

#[test]
fn metrics_of_a_node_are_documented_and_have_types() {
    let (origin, place) = (origin(44), place());
    let node = Node::start(&place, &[]);
    let elsewhere = elsewhere(&node);
    elsewhere.run(&["crawl", "--delay", "0.05", &origin.seeds()[0]]).check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    assert_eq!(call(&node.metrics, "GET", "/readyz", &[], None).ok(200)["status"], "ready");
    call(&node.metrics, "GET", "/nothing", &[], None).problem(404, "AR0604");
    // Counted every 5 s, and at the start.
    let answer = call(&node.metrics, "GET", "/metrics", &[], None);
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{answer:?}");
    let (written, mut expected) = (crate::metrics::names(&answer.text), crate::metrics::documented());
    assert!(expected.remove(crate::metrics::ABSENT));
    assert_eq!(written, expected, "{}", answer.text);
    for about in ["HELP", "TYPE"] {
        let prefix = format!("# {about} ");
        let lines = answer.text.lines().filter_map(|line| line.strip_prefix(&prefix)?.split(' ').next());
        assert_eq!(lines.map(str::to_owned).collect::<BTreeSet<_>>(), written, "{about}");
    }
    node.stop();
}
