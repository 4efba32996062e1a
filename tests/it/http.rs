//! The HTTP interface of a node: jobs from their making to their end, what it refuses, and who may ask.

use crate::content::{Change, Edited};
use crate::node::{Node, call};
use crate::origin::Origin;
use crate::place::{CONTACT, Place};
use argiope_testkit::site::{Generated, unique_word};
use argiope_testkit::{Behaviour, Site};
use serde_json::{Value, json};
use std::time::Duration;

const N_PAGES: usize = 12;

fn origin(seed: u64) -> Origin {
    Origin::start(Site::builder().host("h0.test", Generated::new(0, N_PAGES, seed), Behaviour::default()))
}

/// A place whose node may crawl loopback.
fn place() -> Place {
    Place::new().with("ARGIOPE_EGRESS_ALLOW_CIDRS", "127.0.0.0/8").with("ARGIOPE_CRAWL_CONTACT", CONTACT)
}

/// Events of a stream that has ended.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("an event")).collect()
}

#[test]
fn a_job_is_made_once_followed_to_its_end_and_read() {
    let (origin, place) = (origin(31), place());
    let node = Node::start(&place, &["--name", "node-a"]);
    let body = json!({ "seeds": origin.seeds(), "delay_secs": 0.1, "limit": 100 });
    let key = [("idempotency-key", "first-crawl")];

    let made = node.post_with("/jobs", &key, Some(&body));
    let job = made.ok(201);
    assert_eq!((&job["how"], &job["job"]["settings"]["limit"]), (&"new".into(), &100.into()), "{job}");
    let id = job["job"]["id"].as_str().expect("an id").to_owned();
    assert!(made.head.contains(&format!("location: /api/v1/jobs/{id}")), "{made:?}");
    let again = node.post_with("/jobs", &key, Some(&body)).ok(200);
    assert_eq!((&again["how"], &again["job"]["id"]), (&"known".into(), &id.as_str().into()), "{again}");
    let mut other = body.clone();
    other["limit"] = 99.into();
    let problem = node.post_with("/jobs", &key, Some(&other)).problem(409, "AR0605");
    assert!(problem["causes"].to_string().contains(&id), "{problem}");

    let stream = node.get(&format!("/jobs/{id}/events"));
    assert!(stream.head.contains("text/event-stream"), "{stream:?}");
    let told = events(&stream.text);
    let end = told.last().expect("an end");
    assert_eq!((&end["event"], &end["job"]["state"]), (&"end".into(), &"finished".into()), "{end}");
    assert_eq!(end["job"]["counters"]["stored"], N_PAGES, "{end}");
    for event in ["progress", "url"] {
        assert!(told.iter().any(|line| line["event"] == event), "no {event}: {told:?}");
    }

    read_everything(&node, &origin, &id);
    node.stop();
    // Also after a restart the key is known and the job is listed.
    let node = Node::start(&place, &["--name", "node-a"]);
    let again = node.post_with("/jobs", &key, Some(&body)).ok(200);
    assert_eq!((&again["how"], &again["job"]["state"]), (&"known".into(), &"finished".into()), "{again}");
    assert_eq!(node.get("/jobs").ok(200)["items"].as_array().map(Vec::len), Some(1));
    // Without a key it is crawled again, as by the command.
    let recrawl = node.post("/jobs", Some(&body)).ok(201);
    assert_eq!(recrawl["how"], "recrawl", "{recrawl}");
    node.wait_for_job("last", "end", |job| job["state"] == "finished" && job["counters"]["unchanged"] == N_PAGES);
    node.stop();
    place.verify();
}

/// Lists, pages, search, and what an operator sees, of a finished job.
fn read_everything(node: &Node, origin: &Origin, id: &str) {
    let mut urls = Vec::new();
    let mut after = String::new();
    loop {
        let part = node.get(&format!("/jobs/{id}/urls?filter=pages&limit=5{after}")).ok(200);
        urls.extend(part["items"].as_array().expect("items").clone());
        let Some(next) = part["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(urls.len(), N_PAGES);
    assert!(urls.iter().all(|url| url["state"] == "stored" && url["attempts"] == 1), "{urls:?}");
    let part = node.get(&format!("/jobs/{id}/pages?markdown=true&limit=200")).ok(200);
    let pages = part["items"].as_array().expect("items");
    assert_eq!((pages.len(), &part["missing"]), (N_PAGES, &0.into()));
    assert!(pages.iter().all(|page| page["markdown"].as_str().is_some_and(|text| !text.is_empty())), "{part}");
    let front = &origin.seeds()[0];
    let page = node.get(&format!("/pages?url={front}")).ok(200);
    assert_eq!((page["url"].as_str(), &page["markdown"]), (Some(front.as_str()), &Value::Null), "{page}");
    node.get(&format!("/pages?url={front}nowhere")).problem(404, "AR0604");
    assert_eq!(node.get("/pages?limit=3").ok(200)["items"].as_array().map(Vec::len), Some(3));
    assert!(node.get(&format!("/jobs/{id}/rejected")).ok(200)["items"].is_array());

    let question = json!({ "query": unique_word(0, 3), "mode": "lexical", "per_page": true });
    let hits = node.post("/search", Some(&question)).ok(200);
    assert!(hits["hits"][0]["url"].as_str().is_some_and(|url| url.contains(&Generated::path(3))), "{hits}");

    let nodes = node.get("/nodes").ok(200);
    assert_eq!((&nodes["items"][0]["name"], &nodes["items"][0]["state"]), (&"node-a".into(), &"live".into()));
    let shards = node.get("/shards").ok(200);
    assert_eq!(shards["items"].as_array().map(Vec::len), Some(256));
    assert_eq!(node.get("/hosts/127.0.0.1").ok(200)["owner"], "node-a");
    node.get("/hosts/never.example").problem(404, "AR0604");
    assert_eq!(node.get("/status").ok(200)["jobs"]["finished"], 1);
    let explained = node.get(&format!("/explain?url={front}&job={id}")).ok(200);
    assert_eq!((&explained["allowed"], &explained["job"]["url"]["state"]), (&true.into(), &"stored".into()));
    let explained = node.get(&format!("/explain?url=http://10.0.0.1/&job={id}")).ok(200);
    assert_eq!((&explained["allowed"], &explained["job"]["url"]), (&false.into(), &Value::Null), "{explained}");
    for (rule, passes) in [("scope", false), ("egress", false)] {
        let said = explained["rules"].as_array().and_then(|rules| rules.iter().find(|said| said["rule"] == rule));
        assert_eq!(said.map(|said| &said["passes"]), Some(&passes.into()), "{explained}");
    }
}

#[test]
fn a_job_is_paused_goes_on_is_retried_and_cancelled() {
    let (content, editor) = Edited::new(Generated::new(0, N_PAGES, 32));
    editor.set(&Generated::path(1), Change::Status(500));
    let origin = Origin::start(Site::builder().host("h0.test", content, Behaviour::default()));
    let place = place().with("ARGIOPE_CRAWL_MAX_ATTEMPTS", "1");
    let node = Node::start(&place, &[]);
    let body = json!({ "seeds": origin.seeds(), "delay_secs": 0.2 });
    let id = node.post("/jobs", Some(&body)).ok(201)["job"]["id"].as_str().expect("an id").to_owned();
    node.wait_for_job(&id, "stored page", |job| job["counters"]["stored"].as_u64() >= Some(2));

    assert_eq!(node.post(&format!("/jobs/{id}/pause"), None).ok(200)["state"], "paused");
    let paused = node.wait_for_job(&id, "pause", |job| job["counters"]["leased"] == 0);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(node.get(&format!("/jobs/{id}")).ok(200)["counters"], paused["counters"]);
    assert_eq!(node.get("/jobs?state=paused").ok(200)["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(node.get("/jobs?state=running").ok(200)["items"].as_array().map(Vec::len), Some(0));
    // A paused job is not resumed by a restart, a resumed one goes on.
    assert_eq!(node.post(&format!("/jobs/{id}/resume"), None).ok(200)["state"], "running");
    node.stop();
    let node = Node::start(&place, &[]);
    let ended = node.wait_for_job(&id, "end", |job| job["state"] == "finished");
    assert_eq!((&ended["counters"]["failed"], &ended["counters"]["stored"]), (&1.into(), &(N_PAGES - 1).into()));
    let failed = node.get(&format!("/jobs/{id}/urls?filter=failed")).ok(200);
    assert_eq!(failed["items"][0]["reason"], "http_server_error", "{failed}");
    node.post(&format!("/jobs/{id}/pause"), None).problem(409, "AR0007");
    node.post(&format!("/jobs/{id}/resume"), None).problem(409, "AR0007");

    editor.set(&Generated::path(1), Change::Replace("no such text".to_owned(), String::new()));
    assert_eq!(node.post(&format!("/jobs/{id}/retry"), None).ok(200)["urls"], 1);
    node.wait_for_job(&id, "retried page", |job| job["counters"]["stored"] == N_PAGES);

    let slow = json!({ "seeds": origin.seeds(), "delay_secs": 5, "scope": "host" });
    let id = node.post("/jobs", Some(&slow)).ok(201)["job"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(node.post("/jobs/last/cancel", None).ok(200)["id"], id.as_str());
    let cancelled = node.wait_for_job(&id, "end", |job| job["counters"]["leased"] == 0);
    assert_eq!((&cancelled["state"], &cancelled["counters"]["queued"]), (&"cancelled".into(), &0.into()));
    node.stop();
    place.verify();
    let violations = origin.violations(Duration::from_millis(200), 1);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn what_is_wrong_with_a_request_is_told_at_once() {
    let place = place();
    let node = Node::start(&place, &[]);
    let bad = json!({ "seeds": ["ftp://a.example/", "nonsense"], "limit": 0, "delay": 1, "scope": "moon" });
    let problem = node.post("/jobs", Some(&bad)).problem(400, "AR0603");
    let causes = problem["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), 5, "{problem}");
    for word in ["ftp", "nonsense", "limit = 0", "delay", "moon"] {
        assert!(
            causes.iter().any(|cause| cause.as_str().is_some_and(|cause| cause.contains(word))),
            "{word}: {problem}"
        );
    }
    let denied = json!({ "seeds": ["http://10.0.0.1/"] });
    node.post("/jobs", Some(&denied)).problem(403, "AR0101");
    assert_eq!(node.get("/jobs").ok(200)["items"].as_array().map(Vec::len), Some(0));
    node.get("/jobs/00000000-0000-0000-0000-000000000000").problem(404, "AR0005");
    node.get("/jobs/last/events").problem(404, "AR0005");
    node.get("/jobs?limit=0&colour=red").problem(400, "AR0603");
    node.get("/nothing").problem(404, "AR0604");
    node.get("/explain").problem(400, "AR0603");
    let wrong_method = node.post("/nodes", None);
    wrong_method.problem(405, "AR0603");
    assert!(wrong_method.head.contains("allow: get"), "{wrong_method:?}");
    let plain = [("content-type", "text/plain")];
    call(&node.http, "POST", "/api/v1/jobs", &plain, Some("{}")).problem(415, "AR0603");
    call(&node.http, "POST", "/api/v1/jobs", &[], Some("{")).problem(400, "AR0603");
    let huge = format!("{{\"seeds\": [\"{}\"]}}", "x".repeat(9 * 1024 * 1024));
    call(&node.http, "POST", "/api/v1/jobs", &[], Some(&huge)).problem(413, "AR0603");
    // A page of another origin, and a name that leads here, are no programs of this machine.
    for field in [("origin", "https://evil.example"), ("host", "evil.example")] {
        call(&node.http, "GET", "/api/v1/jobs", &[field], None).problem(401, "AR0602");
    }
    node.stop();
}

#[test]
fn only_a_key_opens_and_beyond_loopback_it_needs_tls() {
    let place = place();
    let (key, wrong) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeX");
    std::fs::write(place.path("key"), format!("{key}\n")).expect("a key file");
    let file = format!("file:{}", place.path("key").display());
    let place = place.with("ARGIOPE_HTTP_KEYS", &file);
    let node = Node::start(&place, &[]);
    let ask = |key: Option<&str>| {
        let field = key.map(|key| ("authorization", format!("Bearer {key}")));
        let fields: Vec<(&str, &str)> = field.iter().map(|(name, value)| (*name, value.as_str())).collect();
        call(&node.http, "GET", "/api/v1/jobs", &fields, None)
    };
    let refused = ask(None);
    refused.problem(401, "AR0602");
    assert!(refused.head.contains("www-authenticate: bearer"), "{refused:?}");
    ask(Some(wrong)).problem(401, "AR0602");
    call(&node.http, "GET", "/nothing", &[], None).problem(401, "AR0602");
    ask(Some(key)).ok(200);
    assert_eq!(call(&node.metrics, "GET", "/healthz", &[], None).status, 200);
    let ended = place.run(&["jobs", "--endpoint", &node.http]);
    assert!(ended.status == Some(2) && ended.stderr.contains("AR0602"), "{ended:?}");
    let ended = node.stop();
    assert!(!ended.stderr.contains(key), "{ended:?}");

    let ended = place.run(&["node", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("AR0002") && ended.stderr.contains("http.tls_cert_file"), "{ended:?}");
    let taken = Node::start(&place, &[]);
    let address = taken.metrics.trim_start_matches("http://").to_owned();
    let other = Place::new();
    let ended = other.run(&["node", "--listen", "127.0.0.1:0", "--metrics-listen", &address]);
    assert!(ended.status == Some(2) && ended.stderr.contains("http.metrics_listen"), "{ended:?}");
    taken.stop();

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(place.path("cert.pem"), made.cert.pem()).expect("a certificate file");
    std::fs::write(place.path("key.pem"), made.signing_key.serialize_pem()).expect("a key file");
    let path = |name: &str| place.path(name).display().to_string();
    let (certificate, private) = (path("cert.pem"), path("key.pem"));
    let place = place.with("ARGIOPE_HTTP_TLS_CERT_FILE", &certificate).with("ARGIOPE_HTTP_TLS_KEY_FILE", &private);
    let node = Node::start(&place, &["--listen", "0.0.0.0:0"]);
    let port = node.http.rsplit(':').next().expect("a port");
    assert!(node.http.starts_with("https://"), "{}", node.http);
    let endpoint = format!("https://localhost:{port}");
    let ended = place.run(&["admin", "status", "--endpoint", &endpoint]);
    assert!(ended.status == Some(4) && ended.stderr.contains("AR0601"), "an unknown authority: {ended:?}");
    let place = place.with("ARGIOPE_CLIENT_CA_FILE", &certificate);
    let ended = place.run(&["admin", "status", "--endpoint", &endpoint]);
    assert!(ended.status == Some(2) && ended.stderr.contains("AR0602"), "no key: {ended:?}");
    let place = place.with("ARGIOPE_CLIENT_KEY", &file);
    let ended = place.run(&["admin", "status", "--endpoint", &endpoint]);
    assert_eq!((ended.status, &ended.lines[0]["state"]), (Some(0), &"live".into()), "{ended:?}");
    node.stop();
}
