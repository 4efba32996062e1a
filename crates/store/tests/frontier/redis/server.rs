//! Real Redis servers as tests of the frontier use them: with questions to them, alone and as a cluster.

use argiope_testkit::RedisServer;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// Longest wait for servers to find each other.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn is_there(test: &str) -> bool {
    RedisServer::is_there(test)
}

/// A server, and its directory.
pub(crate) struct Server {
    server: RedisServer,
    _dir: tempfile::TempDir,
}

impl Deref for Server {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.server
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut RedisServer {
        &mut self.server
    }
}

impl Server {
    /// Starts one that syncs every write, with more settings (`--name`, `value`, …).
    pub(crate) fn start(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { server: RedisServer::start(dir.path(), settings), _dir: dir }
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

    /// Loads the functions that it has with a part of their text replaced.
    pub(crate) fn load_with(&self, from: &str, to: &str) {
        let code = |value: redis::Value| -> Option<String> {
            let libraries: Vec<std::collections::HashMap<String, redis::Value>> =
                redis::from_redis_value(value).ok()?;
            redis::from_redis_value(libraries.first()?.get("library_code")?.clone()).ok()
        };
        let text = code(self.try_command(&["FUNCTION", "LIST", "WITHCODE"]).unwrap()).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        self.command::<()>(&["FUNCTION", "LOAD", "REPLACE", &text.replace(from, to)]);
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, name: &str) -> String {
        let info: String = self.command(&["INFO", "all"]);
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
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
