//! Real Redis servers, each with a port and a directory of its own, gone with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether there is a server to test with. A missing one fails in CI; elsewhere the test is named as skipped.
pub(crate) fn is_there(test: &str) -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = found.is_ok_and(|status| status.success());
    assert!(is_there || std::env::var_os("CI").is_none(), "redis-server is missing: apt-get install redis-server");
    if !is_there {
        eprintln!("SKIPPED {test}: redis-server is missing (apt-get install redis-server)");
    }
    is_there
}

/// A server.
pub(crate) struct Server {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts one that syncs every write, with more settings (`--name`, `value`, …).
    pub(crate) fn start(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|one| (*one).to_owned()).collect();
        let mut server = Self { port: free_port(), dir: tempfile::tempdir().unwrap(), settings, child: None };
        server.run();
        server
    }

    /// Starts it again, on the same port and directory.
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        // The kernel ends the server when the test is killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--port", &port, "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(self.dir.path())
            .args(&self.settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let began = Instant::now();
        while self.try_command(&["PING"]).is_err() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }

    pub(crate) fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        redis::from_redis_value(self.try_command(words).unwrap()).unwrap()
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, name: &str) -> String {
        let info: String = self.command(&["INFO", "all"]);
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port below 50,000, so that a cluster's second port exists.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = if port >= 50_000 { port - 20_000 } else { port };
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// A master that is gone is noticed after a second.
const CLUSTERED: &[&str] = &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];

/// A replica of a cluster's server.
pub(crate) fn replica(of: &Server) -> Server {
    let replica = Server::start(CLUSTERED);
    replica.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &of.port.to_string()]);
    let id: String = of.command(&["CLUSTER", "MYID"]);
    let began = Instant::now();
    let wait_until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "the replica does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Each further REPLICATE would break the link again.
    wait_until(&|| replica.try_command(&["CLUSTER", "REPLICATE", &id]).is_ok());
    wait_until(&|| replica.info("master_link_status") == "up");
    replica
}

/// A cluster of three masters.
pub(crate) fn cluster() -> Vec<Server> {
    let servers: Vec<Server> = (0..3).map(|_| Server::start(CLUSTERED)).collect();
    for (at, server) in servers.iter().enumerate() {
        let slots = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)][at];
        server.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &slots.0.to_string(), &slots.1.to_string()]);
        server.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
    }
    for other in &servers[1..] {
        servers[0].command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string()]);
    }
    let began = Instant::now();
    let is_ready = |server: &Server| {
        let info: String = server.command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
    };
    while !servers.iter().all(is_ready) {
        assert!(began.elapsed() < PATIENCE, "the cluster does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    servers
}
