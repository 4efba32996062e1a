//! A cluster of real processes: nodes, Redis, Qdrant and an origin on loopback, each of which a test may kill, stop or
//! slow down. What is promised is judged from outside: the ledger, the exported pages, the index, the origin's log.

mod addresses;
mod cluster;
mod faults;
mod monitoring;
mod net;
mod partition;
mod plan;
mod pressure;
mod refusals;
mod restore;
mod roles;
mod slow;
mod soak;
mod versions;
pub(crate) mod zombie;

use crate::node::Reply;
use crate::origin::Origin;
use crate::place::{CONTACT, Ended, PATIENCE, Place, Running};
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, QdrantServer, RedisServer, Site, SiteBuilder};
use net::Net;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long a claim holds in these tests: a takeover lasts little longer.
const CLAIM_TTL: Duration = Duration::from_secs(5);
/// How long a lease of a killed node keeps its URL from others.
const VISIBILITY_SECS: &str = "20";

/// For one exchange with a node that may be away.
const EXCHANGE: Duration = Duration::from_secs(10);

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
    /// Where nodes have network namespaces of their own.
    net: Option<Net>,
}

/// A node, or one that was killed: its data directory stays.
struct Member {
    place: Place,
    words: Vec<&'static str>,
    running: Option<Running>,
    http: Option<String>,
    metrics: Option<String>,
}

impl Cluster {
    /// Servers without nodes. `None` when one of them is missing on this machine, which is said with the test's name.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_on(None, test)
    }

    /// The same on a network of its own.
    pub(crate) fn start_on(net: Option<Net>, test: &str) -> Option<Self> {
        if !RedisServer::is_there(test) {
            return None;
        }
        let shared = tempfile::tempdir().expect("a directory");
        let address = |wanted: Ipv4Addr| if net.is_some() { wanted } else { Ipv4Addr::LOCALHOST };
        let qdrant = QdrantServer::start_at(address(net::QDRANT), test, shared.path().join("qdrant"), &[])?;
        let redis = shared.path().join("redis");
        let redis = RedisServer::start_at(address(net::REDIS), redis, &["--appendfsync", "everysec"]);
        let elsewhere = Place::new();
        let dir = shared.path().display().to_string();
        if net.is_some() {
            let made = elsewhere.run(&["ca", "init", "--dir", &dir]);
            assert_eq!(made.status, Some(0), "{made:?}");
        } else {
            let cookie = "a cookie of these tests, long enough for any link\n";
            std::fs::write(shared.path().join("cookie"), cookie).expect("a file");
        }
        Some(Self { redis, qdrant, nodes: BTreeMap::new(), elsewhere, shared, net })
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
            ("ARGIOPE_EGRESS_ALLOW_CIDRS", format!("127.0.0.0/8,{}", net::ORIGIN_CIDR)),
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

    /// What a node in a network namespace of its own needs: that, and a certificate.
    #[track_caller]
    fn on_net(&mut self, place: Place, name: &'static str) -> Place {
        let Some(net) = &mut self.net else { return place };
        let (address, launcher) = net.join(name);
        let dir = self.shared.path();
        let made = self.elsewhere.run(&[
            "ca",
            "issue",
            name,
            "--dir",
            &dir.display().to_string(),
            "--host",
            &address.to_string(),
        ]);
        assert_eq!(made.status, Some(0), "{made:?}");
        let file = |file: String| dir.join(file).display().to_string();
        place
            .with_launcher(&launcher)
            .with("ARGIOPE_CLUSTER_LISTEN", &format!("{address}:7710"))
            .with("ARGIOPE_CLUSTER_CA_FILE", &file("ca.pem".to_owned()))
            .with("ARGIOPE_CLUSTER_CERT_FILE", &file(format!("{name}.pem")))
            .with("ARGIOPE_CLUSTER_KEY_FILE", &file(format!("{name}-key.pem")))
    }

    /// The same, in a place of its own settings.
    #[track_caller]
    pub(crate) fn add_at(&mut self, place: Place, name: &'static str, words: &[&'static str]) {
        let place = self.on_net(place, name).with("ARGIOPE_EGRESS_USER_AGENT", name);
        let member = Member { place, words: words.to_vec(), running: None, http: None, metrics: None };
        self.nodes.insert(name, member);
        self.restart(name);
    }

    /// Starts a node again that was killed or stopped.
    #[track_caller]
    pub(crate) fn restart(&mut self, name: &'static str) {
        self.launch(name);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_started(name) {
            let ended = self.end_of(name);
            assert!(ended.is_none() && Instant::now() < deadline, "{name} does not start: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same without waiting.
    fn launch(&mut self, name: &'static str) {
        let member = self.nodes.get_mut(name).expect("the node is known");
        let mut line = vec!["node", "--name", name, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        line.extend(&member.words);
        member.http = None;
        member.running = Some(member.place.start(&line));
    }

    /// How a node that should run ended.
    fn end_of(&mut self, name: &str) -> Option<String> {
        let running = self.nodes.get_mut(name).and_then(|member| member.running.as_mut())?;
        running.has_ended().then(|| running.diagnostics())
    }

    /// Whether a node that was started listens.
    fn has_started(&mut self, name: &str) -> bool {
        let member = self.nodes.get_mut(name).expect("the node is known");
        let lines = member.running.as_ref().map(Running::lines).unwrap_or_default();
        let Some(started) = lines.into_iter().find(|line| line["event"] == "node_started") else { return false };
        member.http = started["http"].as_str().map(str::to_owned);
        member.metrics = started["metrics"].as_str().map(str::to_owned);
        true
    }

    fn running(&self, name: &str) -> &Running {
        self.nodes.get(name).and_then(|member| member.running.as_ref()).expect("the node runs")
    }

    /// Waits until a node's log has this in it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, name: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.running(name).diagnostics().contains(text) {
            assert!(Instant::now() < deadline, "{name} does not say {text}: {}", self.running(name).diagnostics());
            std::thread::sleep(Duration::from_millis(20));
        }
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

    /// What a node that runs has logged.
    pub(crate) fn log(&self, name: &str) -> String {
        self.running(name).log()
    }

    /// Interrupts a node; it must drain and end well.
    #[track_caller]
    pub(crate) fn stop(&mut self, name: &str) -> Ended {
        let running = self.nodes.get_mut(name).and_then(|member| member.running.take()).expect("the node runs");
        running.interrupt();
        let ended = running.wait(PATIENCE);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        ended
    }

    /// Stops all that run.
    #[track_caller]
    pub(crate) fn stop_all(&mut self) {
        let running: Vec<&'static str> =
            self.nodes.iter().filter(|(_, member)| member.running.is_some()).map(|(name, _)| *name).collect();
        for name in running {
            self.stop(name);
        }
    }

    /// The HTTP interface of a node.
    pub(crate) fn endpoint(&self, name: &str) -> &str {
        self.nodes.get(name).and_then(|member| member.http.as_deref()).expect("the node has an HTTP interface")
    }

    /// Where a node answers monitors.
    pub(crate) fn monitor(&self, name: &str) -> &str {
        self.nodes.get(name).and_then(|member| member.metrics.as_deref()).expect("the node answers monitors")
    }

    /// What a node tells monitors now: samples by name and labels.
    pub(crate) fn metrics(&self, name: &str) -> BTreeMap<String, f64> {
        crate::metrics::samples(&crate::node::call(self.monitor(name), "GET", "/metrics", &[], None).text)
    }

    /// Starts a command against a node.
    pub(crate) fn ask(&self, node: &str, words: &[&str]) -> Running {
        let launcher = self.net.as_ref().map(|net| net.launcher(node)).unwrap_or_default();
        self.elsewhere.start_by(&launcher, &[words, &["--endpoint", self.endpoint(node)]].concat())
    }

    /// One question to a node that may be away, in its own network.
    fn try_call(&self, node: &str, base: &str, path: &str) -> io::Result<Reply> {
        self.try_call_with(node, base, ("GET", path), None, EXCHANGE)
    }

    /// The same with any request, and as much patience.
    fn try_call_with(
        &self,
        node: &str,
        base: &str,
        line: (&str, &str),
        body: Option<&str>,
        patience: Duration,
    ) -> io::Result<Reply> {
        let exchange = || crate::node::try_call(base, line, &[], body, patience);
        match &self.net {
            None => exchange(),
            Some(net) => net.within(node, exchange),
        }
    }

    /// What a node's interface answers in time.
    fn try_get(&self, node: &str, path: &str) -> io::Result<Value> {
        let reply = self.try_call(node, self.endpoint(node), &format!("/api/v1{path}"))?;
        if reply.status == 200 { Ok(reply.json()) } else { Err(io::Error::other(format!("{reply:?}"))) }
    }

    /// The value of a node's metric, by the beginning of its line.
    fn metric(&self, node: &str, name: &str) -> Option<f64> {
        let base = self.nodes.get(node).and_then(|member| member.metrics.as_deref())?;
        let text = self.try_call(node, base, "/metrics").ok()?.text;
        text.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse().ok())
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
        self.try_owners(asked).unwrap_or_else(|error| panic!("{asked}: {error}"))
    }

    fn try_owners(&self, asked: &str) -> io::Result<BTreeMap<String, usize>> {
        let mut owners = BTreeMap::new();
        for owner in self.owner_of_shards(asked)? {
            *owners.entry(owner).or_default() += 1;
        }
        Ok(owners)
    }

    /// The owner of each shard, as a node sees it.
    fn owner_of_shards(&self, asked: &str) -> io::Result<Vec<String>> {
        let reply = self.try_get(asked, "/shards")?;
        let shards = reply["items"].as_array().cloned().unwrap_or_default();
        assert_eq!(shards.len(), 256, "{reply}");
        Ok(shards.iter().map(|shard| shard["owner"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Waits until these nodes own all shards between them; answers how long that took.
    #[track_caller]
    pub(crate) fn wait_for_owners(&self, names: &[&str], patience: Duration) -> Duration {
        let began = Instant::now();
        loop {
            // A node that waits for a server answers later.
            let owners = self.try_owners(names[0]).unwrap_or_default();
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

    /// Where what nodes share lies.
    pub(crate) fn shared(&self) -> &std::path::Path {
        self.shared.path()
    }

    /// Stops all nodes, then compares frontier, pages, heads and chunks; they must agree. The summary.
    #[track_caller]
    pub(crate) fn verify(&mut self) -> Value {
        self.stop_all();
        self.place().verify()
    }
}

/// Hosts with generated pages that think a little before they answer.
pub(crate) fn origin(n_hosts: usize, n_pages: usize, seed: u64) -> Origin {
    Origin::start(hosts(n_hosts, n_pages, seed))
}

/// The same before they are started.
fn hosts(n_hosts: usize, n_pages: usize, seed: u64) -> SiteBuilder {
    let behaviour = || Behaviour { think: Duration::from_millis(50), ..Behaviour::default() };
    (0..n_hosts).fold(Site::builder(), |builder, n| {
        builder.host(&format!("h{n}.test"), Generated::new(n, n_pages, seed), behaviour())
    })
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
    cluster.try_get(node, path).unwrap_or_else(|error| panic!("{node}: {error}"))
}
