//! A real Qdrant server with ports and a directory of its own, gone with the test.

use crate::process::{Process, dying_with_the_test};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Longest wait for a server that starts; the first one may be unpacked.
const PATIENCE: Duration = Duration::from_secs(60);
/// For one question whether it is ready.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Ports are free when they are chosen and may be taken when they are used.
const MAX_STARTS: u32 = 5;

/// A server in a directory that is there for as long as its owner says.
#[derive(Debug)]
pub struct QdrantServer {
    program: PathBuf,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    address: Ipv4Addr,
    http_port: u16,
    grpc_port: u16,
    process: Process,
}

impl QdrantServer {
    /// Starts one in `dir`, with settings as environment variables (`QDRANT__…`). `None` when this machine has no
    /// Qdrant, which is said with the test's name.
    ///
    /// # Panics
    /// When it does not start, or when there is none and this is CI.
    #[must_use]
    pub fn start(test: &str, dir: impl Into<PathBuf>, settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, test, dir, settings)
    }

    /// The same at an address of this network namespace.
    ///
    /// # Panics
    /// When it does not start, or when there is none and this is CI.
    #[must_use]
    pub fn start_at(address: Ipv4Addr, test: &str, dir: impl Into<PathBuf>, settings: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = program() else {
            assert!(std::env::var_os("CI").is_none(), "there is no Qdrant server: set ARGIOPE_QDRANT to its program");
            eprintln!("SKIPPED {test}: there is no Qdrant server (set ARGIOPE_QDRANT to its program)");
            return None;
        };
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self {
            program,
            dir: dir.into(),
            settings,
            address,
            http_port: 0,
            grpc_port: 0,
            process: Process::default(),
        };
        for _ in 0..MAX_STARTS {
            (server.http_port, server.grpc_port) = free_ports();
            if server.try_run() {
                return Some(server);
            }
        }
        panic!("Qdrant does not start: {}", server.log());
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it was killed.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Starts it again after [`Self::kill`], on the same ports and directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        assert!(self.try_run(), "Qdrant does not start again: {}", self.log());
    }

    /// kill -9.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends it a signal by name.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Where its gRPC interface is.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.grpc_port))
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.grpc_address())
    }

    /// Whether it came up; otherwise it is gone.
    fn try_run(&mut self) -> bool {
        std::fs::create_dir_all(&self.dir).expect("the server's directory");
        let log = |name: &str| File::create(self.dir.join(name)).map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = dying_with_the_test();
        command
            .arg(&self.program)
            .current_dir(&self.dir)
            .env("QDRANT__SERVICE__HOST", self.address.to_string())
            .env("QDRANT__SERVICE__HTTP_PORT", self.http_port.to_string())
            .env("QDRANT__SERVICE__GRPC_PORT", self.grpc_port.to_string())
            .env("QDRANT__STORAGE__STORAGE_PATH", self.dir.join("storage"))
            .env("QDRANT__STORAGE__SNAPSHOTS_PATH", self.dir.join("snapshots"))
            .env("QDRANT__TELEMETRY_DISABLED", "true")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log("out"))
            .stderr(log("err"));
        self.process.start(&mut command);
        let began = Instant::now();
        while began.elapsed() < PATIENCE && self.process.runs() {
            // Its two interfaces come up one after the other.
            if is_ready(SocketAddr::from((self.address, self.http_port)))
                && TcpStream::connect_timeout(&self.grpc_address(), ASK_TIMEOUT).is_ok()
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        false
    }

    /// The end of what it printed.
    fn log(&self) -> String {
        let text = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        let all = text("out") + &text("err");
        let lines: Vec<&str> = all.lines().collect();
        lines.iter().rev().take(5).rev().copied().collect::<Vec<_>>().join("\n")
    }
}

/// `ARGIOPE_QDRANT`, what is kept beside the repository, or the one in `PATH`.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ARGIOPE_QDRANT") {
        return Some(PathBuf::from(named));
    }
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/bin/qdrant"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&paths).map(|dir| dir.join("qdrant"));
    std::iter::once(beside).chain(in_path).find(|program| program.is_file())
}

/// Two ports that nobody has.
fn free_ports() -> (u16, u16) {
    let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let port = |listener: &TcpListener| listener.local_addr().expect("a bound listener").port();
    (port(&one), port(&two))
}

fn is_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&http, ASK_TIMEOUT)?;
        stream.set_read_timeout(Some(ASK_TIMEOUT))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}
