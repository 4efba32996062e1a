//! A real Prometheus looks at a cluster: what it reads agrees with the ledger, and its own checker has nothing to say.

use super::{Cluster, N_SKIPPED, origin};
use crate::node::call;
use crate::place::PATIENCE;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
const METRICS: &str = include_str!("../../docs/METRICS.md");
/// For a server that starts, and for a scrape after the last change.
const PROMETHEUS_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus").join(name)
}

/// Whether `prometheus` and `promtool` can be run. When not, this fails in CI; elsewhere the test is named as skipped.
fn is_there(test: &str) -> bool {
    let runs = |program: &str| {
        let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let is_there = runs("prometheus") && runs("promtool");
    assert!(is_there || std::env::var_os("CI").is_none(), "prometheus is missing: apt-get install prometheus");
    if !is_there {
        eprintln!("SKIPPED {test}: prometheus or promtool is missing (apt-get install prometheus)");
    }
    is_there
}

/// A server with a port and a directory of its own, gone with the test.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    /// Looks every second at these addresses, and thinks about our alerts.
    #[track_caller]
    fn start(dir: &Path, targets: &[String]) -> Self {
        let targets: Vec<String> =
            targets.iter().map(|url| format!("\"{}\"", url.trim_start_matches("http://"))).collect();
        let alerts = deployed("alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\nscrape_configs:\n\
             - job_name: argiope\n  static_configs:\n  - targets: [{}]\n    labels: {{cluster: argiope}}\n",
            alerts.display().to_string(),
            targets.join(", ")
        );
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).expect("a configuration file");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a free port").port();
        let log = std::fs::File::create(dir.join("prometheus.log")).expect("a log file");
        // The kernel ends the server when the test is killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "prometheus", "--log.level=warn"])
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus can be started");
        let server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "a look whether the server on loopback listens")]
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        while !listens() || call(&server.url, "GET", "/-/ready", &[], None).status != 200 {
            let log = std::fs::read_to_string(dir.join("prometheus.log")).unwrap_or_default();
            assert!(began.elapsed() < PROMETHEUS_PATIENCE, "prometheus does not answer: {log}");
            std::thread::sleep(LOOK);
        }
        server
    }

    /// The value of an expression that has one; nothing when it has none.
    #[track_caller]
    fn value(&self, expression: &str) -> Option<f64> {
        let mut encoded = String::new();
        expression.bytes().for_each(|byte| {
            let _ = write!(encoded, "%{byte:02x}");
        });
        let reply = call(&self.url, "GET", &format!("/api/v1/query?query={encoded}"), &[], None).ok(200);
        let results = reply["data"]["result"].as_array().cloned().unwrap_or_default();
        assert!(results.len() < 2, "{expression}: {reply}");
        results.first().and_then(|one| one["value"][1].as_str()).and_then(|text| text.parse().ok())
    }

    /// Waits for a scrape that shows this value.
    #[track_caller]
    fn wait_for(&self, expression: &str, wanted: f64) {
        let began = Instant::now();
        loop {
            let value = self.value(expression);
            if value == Some(wanted) {
                return;
            }
            assert!(began.elapsed() < PROMETHEUS_PATIENCE, "{expression} is {value:?}, not {wanted}");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `promtool` with this on its standard input.
fn promtool(words: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    let mut stdin = child.stdin.take().expect("its standard input");
    // A checker that refuses may not read to the end.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("promtool ends")
}

#[test]
fn heavy_prometheus_reads_three_nodes_as_the_ledger_says() {
    let test = "heavy_prometheus_reads_three_nodes_as_the_ledger_says";
    if !is_there(test) {
        return;
    }
    let Some(mut cluster) = Cluster::start(test) else { return };
    let (n_hosts, n_pages) = (15, 10);
    let origin = origin(n_hosts, n_pages, 81);
    let nodes = ["node-a", "node-b", "node-c"];
    nodes.into_iter().for_each(|name| cluster.add(name, &[]));
    cluster.wait_for_owners(&nodes, PATIENCE);
    let monitors: Vec<String> = nodes.iter().map(|node| cluster.monitor(node).to_owned()).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let prometheus = Prometheus::start(dir.path(), &monitors);

    let mut crawl = cluster.crawl("node-a", &origin, &["--delay", "0.2"]);
    crawl.wait_for_stored(30);
    prometheus.wait_for("count(up{job=\"argiope\"} == 1)", 3.0);
    let ended = crawl.wait(PATIENCE);
    ended.check_ledger(0, [(n_hosts * n_pages) as u64, 0, (n_hosts * N_SKIPPED) as u64, 0]);

    let stored = ended.summary()["stored"].as_f64().expect("a number");
    prometheus.wait_for("sum(argiope_urls_total{fate=\"stored\"})", stored);
    prometheus.wait_for("sum(argiope_shards_owned)", 256.0);
    prometheus.wait_for("count(argiope_urls_total{fate=\"stored\"} > 0)", 3.0);
    prometheus.wait_for("sum(argiope_politeness_margin_seconds_bucket{le=\"0.0\"})", 0.0);
    prometheus.wait_for("sum(argiope_egress_requests_total)", origin.log().len() as f64);
    assert_eq!(prometheus.value("count(ALERTS{alertstate=\"firing\"})"), None, "an alert fires in a good crawl");
    for monitor in &monitors {
        let text = call(monitor, "GET", "/metrics", &[], None).text;
        let checked = promtool(&["check", "metrics"], &text);
        let said = [&checked.stdout[..], &checked.stderr[..]].concat();
        assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    drop(prometheus);
    cluster.verify();
}

#[test]
fn promtool_takes_what_is_deployed() {
    if !is_there("promtool_takes_what_is_deployed") {
        return;
    }
    for (what, name) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let checked = promtool(&["check", what, &deployed(name).display().to_string()], "");
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}

#[test]
fn every_alert_is_explained_and_names_metrics_that_exist() {
    let alerts: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        assert!(OPERATIONS.contains(&format!("| `{alert}` |")), "{alert} is not in docs/OPERATIONS.md");
    }
    let explained = OPERATIONS.lines().filter_map(|line| line.strip_prefix("| `Argiope")?.split('`').next());
    let unknown: Vec<&str> = explained.filter(|name| !alerts.contains(&format!("Argiope{name}").as_str())).collect();
    assert!(unknown.is_empty(), "docs/OPERATIONS.md explains alerts that do not exist: {unknown:?}");
    for text in [ALERTS, OPERATIONS] {
        for name in metric_names(text) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            assert!(METRICS.contains(&format!("| `{base}`")), "{name} is not in docs/METRICS.md");
        }
    }
}

/// Words that look like metrics of ours; names of collections and the like do not.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is_metric = |word: &&str| word.starts_with("argiope_") && !["argiope_pages", "argiope_docs"].contains(word);
    words.filter(is_metric).filter(|word| !word.ends_with('_')).map(str::to_owned).collect()
}
