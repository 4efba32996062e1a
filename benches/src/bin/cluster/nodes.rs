//! Servers, nodes and the command that follows the crawl; all of them end when they are dropped.

use crate::Run;
use crate::sample::get;
use anyhow::{Context, bail, ensure};
use argiope_testkit::{QdrantServer, RedisServer};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait until the nodes have divided the shards.
const PATIENCE: Duration = Duration::from_secs(60);
const N_SHARDS: f64 = 256.0;

/// A process that is killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node and where it answers.
pub(crate) struct Node {
    pub(crate) process: Running,
    http: String,
    pub(crate) metrics: String,
}

/// What crawls.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) redis: RedisServer,
    pub(crate) qdrant: QdrantServer,
    dir: Dir,
}

/// A scratch folder, gone when dropped.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left there is found by its name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Cluster {
    pub(crate) fn start(run: &Run, n_nodes: usize) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("argiope-cluster-bench-{}-{n_nodes}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let dir = Dir(dir);
        ensure!(RedisServer::is_there("cluster"), "redis-server is missing");
        let redis = RedisServer::start(dir.0.join("redis"), &["--appendfsync", "everysec"]);
        let qdrant = QdrantServer::start("cluster", dir.0.join("qdrant"), &[]).context("a Qdrant server")?;
        let mut cluster = Self { nodes: Vec::new(), redis, qdrant, dir };
        cluster.certify(run, &["ca", "init"])?;
        for number in 0..n_nodes {
            let name = format!("node-{number}");
            cluster.certify(run, &["ca", "issue", &name])?;
            let node = cluster.node(run, &name)?;
            cluster.nodes.push(node);
        }
        cluster.wait_for_shards()?;
        Ok(cluster)
    }

    fn certify(&self, run: &Run, words: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&run.argiope);
        let status = command.args(words).arg("--dir").arg(self.dir.0.join("ca")).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{words:?}: {status}");
        Ok(())
    }

    fn node(&self, run: &Run, name: &str) -> anyhow::Result<Node> {
        let path = |name: &str| self.dir.0.join(name).display().to_string();
        let settings = [
            ("FRONTIER_BACKEND", "redis".to_owned()),
            ("FRONTIER_REDIS_URLS", self.redis.url()),
            ("PAGES_BACKEND", "objects".to_owned()),
            ("PAGES_URL", format!("file://{}", path("pages"))),
            ("VECTORS_BACKEND", "qdrant".to_owned()),
            ("VECTORS_URL", self.qdrant.url()),
            ("CLUSTER_LISTEN", "127.0.0.1:0".to_owned()),
            ("CLUSTER_CA_FILE", path("ca/ca.pem")),
            ("CLUSTER_CERT_FILE", path(&format!("ca/{name}.pem"))),
            ("CLUSTER_KEY_FILE", path(&format!("ca/{name}-key.pem"))),
            ("CLUSTER_COOKIE", format!("file:{}", path("ca/cookie"))),
            ("EGRESS_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("CRAWL_CONTACT", "benches@argiope.example".to_owned()),
            ("CRAWL_CONCURRENCY", run.concurrency.to_string()),
        ];
        let mut command = Command::new(&run.argiope);
        command.envs(settings.map(|(key, value)| (format!("ARGIOPE_{key}"), value)));
        command.args(["--json", "node", "--name", name, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        let mut child = command
            .arg("--data-dir")
            .arg(self.dir.0.join(name))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log(name)?)
            .spawn()
            .with_context(|| format!("start {}", run.argiope.display()))?;
        let output = child.stdout.take().context("standard output of a node")?;
        let process = Running(child);
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let started = lines.find(|line| line.contains("node_started"));
        let log = || std::fs::read_to_string(self.dir.0.join(format!("{name}.log"))).unwrap_or_default();
        let started = started.with_context(|| format!("{name} does not start: {}", log()))?;
        // Nobody reads on: a node that prints no more than its beginning does not notice.
        std::thread::spawn(move || lines.for_each(drop));
        let started: serde_json::Value = serde_json::from_str(&started)?;
        let address = |key: &str| started[key].as_str().map(str::to_owned).with_context(|| format!("address of {key}"));
        Ok(Node { process, http: address("http")?, metrics: address("metrics")? })
    }

    fn log(&self, name: &str) -> anyhow::Result<File> {
        Ok(File::create(self.dir.0.join(format!("{name}.log")))?)
    }

    /// All shards have an owner, and each node owns some.
    fn wait_for_shards(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let owned: Vec<f64> =
                self.nodes.iter().map(|node| get(&node.metrics, "argiope_shards_owned")).collect::<Result<_, _>>()?;
            let n_linked: f64 = self
                .nodes
                .iter()
                .map(|node| get(&node.metrics, "argiope_link_peers{state=\"connected\"}"))
                .sum::<Result<_, _>>()?;
            let n_peers = self.nodes.len() * self.nodes.len().saturating_sub(1);
            let is_divided = owned.iter().sum::<f64>() >= N_SHARDS && owned.iter().all(|n_shards| *n_shards > 0.0);
            if is_divided && n_linked >= n_peers as f64 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("the nodes do not divide the shards")
    }

    /// Hands the crawl to the first node and follows it.
    pub(crate) fn crawl(&self, run: &Run, seeds: &[String]) -> anyhow::Result<Running> {
        let first = self.nodes.first().context("a node")?;
        let mut command = Command::new(&run.argiope);
        command.arg("crawl").args(seeds).args(["--endpoint", &first.http, "--delay", "0", "--per-host", "1"]);
        command.args(["--limit", "1000000", "--json", "--process", &run.process]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log("crawl")?);
        Ok(Running(command.spawn().context("start the crawl")?))
    }
}
