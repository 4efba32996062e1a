//! A cluster of real processes: nodes, Redis, Qdrant and an origin on loopback, each of which a test may kill, stop or
//! slow down. What is promised is judged from outside: the ledger, the exported pages, the index, the origin's log.

mod cluster;
mod faults;
mod monitoring;
mod pressure;
mod roles;
mod slow;

use crate::origin::Origin;
use crate::place::{CONTACT, PATIENCE, Place, Running};
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, QdrantServer, RedisServer, Site};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a claim holds in these tests: a takeover lasts little longer.
const CLAIM_TTL: Duration = Duration::from_secs(5);
/// How long a lease of a killed node keeps its URL from others.
const VISIBILITY_SECS: &str = "20";

/// Redirects, missing and forbidden pages and the sitemap of a generated host.
const N_SKIPPED: usize = 10;

/// What nodes share, and the nodes that run.
pub(crate) struct Cluster {
    pub(crate) redis: RedisServer,
    pub(crate) qdrant: QdrantServer,
    nodes: BTreeMap<&'static str, Member>,
    /// For commands that have no data of their own.
    elsewhere: Place,
    shared: tempfile::TempDir,
}

/// A node, or one that was killed: its data directory stays.
struct Member {
    place: Place,
    words: Vec<&'static str>,
    running: Option<Running>,
    http: Option<String>,
    monitor: Option<String>,
}

impl Cluster {
    /// Servers without nodes. `None` when one of them is missing on this machine, which is said with the test's name.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if !RedisServer::is_there(test) {
            return None;
        }
        let shared = tempfile::tempdir().expect("a directory");
        let qdrant = QdrantServer::start(test, shared.path().join("qdrant"), &[])?;
        let redis = RedisServer::start(shared.path().join("redis"), &["--appendfsync", "everysec"]);
        std::fs::write(shared.path().join("cookie"), "a cookie of these tests, long enough for any link\n")
            .expect("a file");
        Some(Self { redis, qdrant, nodes: BTreeMap::new(), elsewhere: Place::new(), shared })
    }

    /// A place with the cluster's configuration.
    pub(crate) fn place(&self) -> Place {
        let path = |name: &str| self.shared.path().join(name).display().to_string();
        let settings = [
            ("ARGIOPE_FRONTIER_BACKEND", "redis".to_owned()),
            ("ARGIOPE_FRONTIER_REDIS_URLS", self.redis.url()),
            ("ARGIOPE_FRONTIER_VISIBILITY_SECS", VISIBILITY_SECS.to_owned()),
            ("ARGIOPE_FRONTIER_CLAIM_TTL_SECS", CLAIM_TTL.as_secs().to_string()),
            ("ARGIOPE_PAGES_BACKEND", "objects".to_owned()),
            ("ARGIOPE_PAGES_URL", format!("file://{}", path("pages"))),
            ("ARGIOPE_VECTORS_BACKEND", "qdrant".to_owned()),
            ("ARGIOPE_VECTORS_URL", self.qdrant.url()),
            ("ARGIOPE_CLUSTER_LISTEN", "127.0.0.1:0".to_owned()),
            ("ARGIOPE_CLUSTER_COOKIE", format!("file:{}", path("cookie"))),
            ("ARGIOPE_EGRESS_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("ARGIOPE_CRAWL_CONTACT", CONTACT.to_owned()),
            ("ARGIOPE_CRAWL_CONCURRENCY", "32".to_owned()),
        ];
        settings.iter().fold(Place::new(), |place, (name, value)| place.with(name, value))
    }

    /// Starts a node with these words on its command line, and waits until it listens.
    #[track_caller]
    pub(crate) fn add(&mut self, name: &'static str, words: &[&'static str]) {
        let place = self.place();
        self.add_at(place, name, words);
    }

    /// The same, in a place of its own settings.
    #[track_caller]
    pub(crate) fn add_at(&mut self, place: Place, name: &'static str, words: &[&'static str]) {
        let member = Member { place, words: words.to_vec(), running: None, http: None, monitor: None };
        self.nodes.insert(name, member);
        self.restart(name);
    }

    /// Starts a node again that was killed or stopped.
    #[track_caller]
    pub(crate) fn restart(&mut self, name: &'static str) {
        let member = self.nodes.get_mut(name).expect("the node is known");
        let mut line = vec!["node", "--name", name, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        line.extend(&member.words);
        let mut running = member.place.start(&line);
        running.wait_for("the node", |line| line["event"] == "node_started");
        let started = running.lines().into_iter().find(|line| line["event"] == "node_started").unwrap_or_default();
        member.http = started["http"].as_str().map(str::to_owned);
        member.monitor = started["metrics"].as_str().map(str::to_owned);
        member.running = Some(running);
    }

    fn running(&self, name: &str) -> &Running {
        self.nodes.get(name).and_then(|member| member.running.as_ref()).expect("the node runs")
    }

    /// Sends a signal to a node.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        let pid = i32::try_from(self.running(name).pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a signal to a child");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, name: &str) {
        // Dropping kills.
        drop(self.nodes.get_mut(name).expect("the node is known").running.take());
    }

    /// Interrupts a node; it must drain and end well.
    #[track_caller]
    pub(crate) fn stop(&mut self, name: &str) {
        let running = self.nodes.get_mut(name).and_then(|member| member.running.take()).expect("the node runs");
        running.interrupt();
        let ended = running.wait(PATIENCE);
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }

    /// Stops all that run.
    #[track_caller]
    pub(crate) fn stop_all(&mut self) {
        let running: Vec<&'static str> =
            self.nodes.iter().filter(|(_, member)| member.running.is_some()).map(|(name, _)| *name).collect();
        running.into_iter().for_each(|name| self.stop(name));
    }

    /// The HTTP interface of a node.
    pub(crate) fn endpoint(&self, name: &str) -> &str {
        self.nodes.get(name).and_then(|member| member.http.as_deref()).expect("the node has an HTTP interface")
    }

    /// Where a node answers monitors.
    pub(crate) fn monitor(&self, name: &str) -> &str {
        self.nodes.get(name).and_then(|member| member.monitor.as_deref()).expect("the node answers monitors")
    }

    /// What a node tells monitors now: samples by name and labels.
    pub(crate) fn metrics(&self, name: &str) -> BTreeMap<String, f64> {
        crate::metrics::samples(&crate::node::call(self.monitor(name), "GET", "/metrics", &[], None).text)
    }

    /// Starts a command against a node.
    pub(crate) fn ask(&self, node: &str, words: &[&str]) -> Running {
        self.elsewhere.start(&[words, &["--endpoint", self.endpoint(node)]].concat())
    }

    /// Starts a crawl of the origin at a node.
    pub(crate) fn crawl(&self, node: &str, origin: &Origin, words: &[&str]) -> Running {
        let seeds = origin.seeds();
        let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
        self.ask(node, &[&["crawl"], words, &seeds].concat())
    }

    /// Shards by the node that owns them, as a node sees it; those without an owner under `""`.
    #[track_caller]
    pub(crate) fn owners(&self, asked: &str) -> BTreeMap<String, usize> {
        let reply = crate::node::call(self.endpoint(asked), "GET", "/api/v1/shards", &[], None).ok(200);
        let shards = reply["items"].as_array().cloned().unwrap_or_default();
        assert_eq!(shards.len(), 256, "{reply}");
        let mut owners = BTreeMap::new();
        for shard in shards {
            *owners.entry(shard["owner"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        owners
    }

    /// Waits until these nodes own all shards between them; answers how long that took.
    #[track_caller]
    pub(crate) fn wait_for_owners(&self, names: &[&str], patience: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let owners = self.owners(names[0]);
            if owners.len() == names.len() && names.iter().all(|name| owners.contains_key(*name)) {
                return began.elapsed();
            }
            assert!(began.elapsed() < patience, "shards are owned by {owners:?} after {patience:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Resident memory of a node in KiB.
    pub(crate) fn rss_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running(name).pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
    }

    /// Stops all nodes, then compares frontier, pages, heads and chunks; they must agree. The summary.
    #[track_caller]
    pub(crate) fn verify(&mut self) -> Value {
        self.stop_all();
        self.place().verify()
    }

    /// Where nodes' data lies, for messages.
    pub(crate) fn shared(&self) -> &Path {
        self.shared.path()
    }
}

/// Hosts with generated pages that think a little before they answer.
pub(crate) fn origin(n_hosts: usize, n_pages: usize, seed: u64) -> Origin {
    let behaviour = || Behaviour { think: Duration::from_millis(50), ..Behaviour::default() };
    let builder = (0..n_hosts).fold(Site::builder(), |builder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, n_pages, seed), behaviour())
    });
    Origin::start(builder)
}

/// Requests for each page that was asked for.
pub(crate) fn page_requests(origin: &Origin) -> BTreeMap<(String, String), u64> {
    let mut requests = BTreeMap::new();
    for entry in origin.log() {
        if entry.path == "/" || entry.path.starts_with("/docs/") {
            *requests.entry((entry.host, entry.path)).or_default() += 1;
        }
    }
    requests
}

/// No host was asked sooner than promised, nor by two at once.
#[track_caller]
pub(crate) fn check_polite(origin: &Origin, delay: Duration) {
    let violations = origin.violations(delay, 1);
    let n_requests = origin.log().len();
    assert!(violations.is_empty(), "{} violations in {n_requests} requests: {violations:#?}", violations.len());
}

/// An HTTP interface as the other tests know it.
pub(crate) fn get(cluster: &Cluster, node: &str, path: &str) -> Value {
    crate::node::call(cluster.endpoint(node), "GET", &format!("/api/v1{path}"), &[], None).ok(200)
}
