//! A real Redis server with a port and a directory of its own, gone with the test.

use crate::process::{Process, dying_with_the_test};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a server that starts, or does what it is told, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// For one question whether it is ready.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Of an answer; longer ones are cut.
const MAX_LINE_BYTES: u64 = 1024;

/// A server in a directory that is there for as long as its owner says.
#[derive(Debug)]
pub struct RedisServer {
    /// Where it listens.
    pub port: u16,
    address: Ipv4Addr,
    dir: PathBuf,
    settings: Vec<String>,
    process: Process,
}

impl RedisServer {
    /// Whether there is a server to test with. A missing one fails in CI; elsewhere the test is named as skipped.
    ///
    /// # Panics
    /// When there is none and this is CI.
    #[must_use]
    pub fn is_there(test: &str) -> bool {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let is_there = found.is_ok_and(|status| status.success());
        assert!(is_there || std::env::var_os("CI").is_none(), "redis-server is missing: apt-get install redis-server");
        if !is_there {
            eprintln!("SKIPPED {test}: redis-server is missing (apt-get install redis-server)");
        }
        is_there
    }

    /// Starts one that syncs every write, with more settings (`--name`, `value`, …).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(dir: impl Into<PathBuf>, settings: &[&str]) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, dir, settings)
    }

    /// The same at an address of this network namespace. Whoever reaches it may use it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_at(address: Ipv4Addr, dir: impl Into<PathBuf>, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|one| (*one).to_owned()).collect();
        let mut server = Self { port: free_port(), address, dir: dir.into(), settings, process: Process::default() };
        std::fs::create_dir_all(&server.dir).expect("the server's directory");
        server.run();
        server
    }

    /// Starts it (again), on the same port and directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        let (address, port) = (self.address.to_string(), self.port.to_string());
        let mut command = dying_with_the_test();
        command
            .args(["redis-server", "--bind", &address, "--port", &port, "--save", ""])
            .args(["--protected-mode", "no"])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(&self.dir)
            .args(&self.settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process.start(&mut command);
        let began = Instant::now();
        while !self.answers() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it anew, without anything that it knew.
    ///
    /// # Panics
    /// When it does not start, or its directory cannot be emptied.
    pub fn forget(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.dir).and_then(|()| std::fs::create_dir(&self.dir)).expect("an empty directory");
        self.run();
    }

    /// Sends it a signal by name.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Sends it a command that answers a simple word or number.
    ///
    /// # Panics
    /// When it answers an error, or nothing.
    pub fn command(&self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        let answer = self.exchange(request.as_bytes(), PATIENCE).expect("redis-server answers");
        assert!(matches!(answer.first(), Some(b'+' | b':')), "{words:?}: {}", String::from_utf8_lossy(&answer));
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.address, self.port)
    }

    /// Whether it answers a question about nothing: not while it reads its data.
    fn answers(&self) -> bool {
        self.exchange(b"PING\r\n", ASK_TIMEOUT).is_ok_and(|answer| answer == b"+PONG\r\n")
    }

    /// Sends a request; the first line of the answer.
    fn exchange(&self, request: &[u8], patience: Duration) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((self.address, self.port)), ASK_TIMEOUT)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(request)?;
        let mut line = Vec::new();
        BufReader::new(stream).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        Ok(line)
    }
}

/// A port below 50,000, so that a cluster's second port exists.
fn free_port() -> u16 {
    loop {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let port = if port >= 50_000 { port - 20_000 } else { port };
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}
