//! A directory of its own for each test, and `argiope` processes in it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// For a whole crawl of a small site, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);

/// Whom a crawl of nobody's site names.
pub(crate) const CONTACT: &str = "tests@argiope.example";

/// A data directory, what the processes in it print, and their environment.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    program: PathBuf,
    /// Words before the program: what starts it elsewhere than here.
    launcher: Vec<String>,
    environment: BTreeMap<String, String>,
    n_started: AtomicU32,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(&std::env::temp_dir())
    }

    /// Below a directory.
    pub(crate) fn on(parent: &Path) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a directory for the test");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_argiope"));
        Self { directory, program, launcher: Vec::new(), environment: BTreeMap::new(), n_started: AtomicU32::new(0) }
    }

    /// With another build of `argiope`.
    pub(crate) fn with_program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Started by these words, which are followed by its own.
    pub(crate) fn with_launcher(mut self, launcher: &[String]) -> Self {
        launcher.clone_into(&mut self.launcher);
        self
    }

    /// With a configuration key set by its environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Starts `argiope` with the data directory, `--json` and these words.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        self.start_by(&self.launcher, words)
    }

    /// The same with another launcher.
    pub(crate) fn start_by(&self, launcher: &[String], words: &[&str]) -> Running {
        let number = self.n_started.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|kind| self.path(&format!("{number}.{kind}")));
        let file = |path: &Path| Stdio::from(std::fs::File::create(path).expect("an output file"));
        let mut line = launcher.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(line.next().expect("at least the program"));
        command.args(line).env_clear().env("HOME", self.directory.path()).envs(&self.environment);
        command.arg("--json").arg("--data-dir").arg(self.data_dir()).args(words);
        let child = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err)).spawn().expect("argiope starts");
        Running { child, words: words.join(" "), out, err, peak_kib: 0 }
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.start(words).wait(PATIENCE)
    }

    /// A crawl of loopback seeds with these further words.
    pub(crate) fn start_crawl(&self, seeds: &[String], words: &[&str]) -> Running {
        let mut line = vec!["crawl", "--contact", CONTACT];
        if !words.contains(&"--allow-cidr") {
            line.extend(["--allow-cidr", "127.0.0.0/8"]);
        }
        line.extend(words);
        line.extend(seeds.iter().map(String::as_str));
        self.start(&line)
    }

    /// The same, to its end.
    pub(crate) fn crawl(&self, seeds: &[String], words: &[&str]) -> Ended {
        self.start_crawl(seeds, words).wait(PATIENCE)
    }

    /// Runs `verify`, which must find the stores in agreement and no chunk that nobody lists; its summary.
    #[track_caller]
    pub(crate) fn verify(&self) -> Value {
        let ended = self.run(&["verify"]);
        let summary = ended.summary().clone();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!((&summary["problems"], &summary["strays"]), (&0.into(), &0.into()), "{ended:?}");
        summary
    }

    /// The newest job's pages by URL, as `export` writes them. Fails when one is written twice.
    #[track_caller]
    pub(crate) fn export(&self) -> BTreeMap<String, Value> {
        let out = self.path("export");
        let ended = self.run(&["export", "last", "--format", "jsonl", "--out", &out.display().to_string()]);
        assert_eq!((ended.status, &ended.summary()["without_record"]), (Some(0), &0.into()), "{ended:?}");
        let lines = parse_lines(&std::fs::read_to_string(out.join("pages.jsonl")).expect("the export"));
        let mut pages = BTreeMap::new();
        for page in lines {
            let url = page["url"].as_str().expect("a URL").to_owned();
            assert!(pages.insert(url.clone(), page).is_none(), "{url} is exported twice");
        }
        pages
    }

    /// URLs of the newest job with this flag of `job`: their state or, when there is one, their reason.
    #[track_caller]
    pub(crate) fn urls(&self, flag: &str) -> BTreeMap<String, String> {
        let ended = self.run(&["job", "last", flag]);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let word = |line: &Value| {
            let reason = line["reason"].as_str().unwrap_or_default();
            if reason.is_empty() { line["state"].as_str().unwrap_or_default() } else { reason }.to_owned()
        };
        let urls = ended.events("url").map(|line| (line["url"].as_str().unwrap_or_default().to_owned(), word(line)));
        urls.collect()
    }

    /// Page URLs (without anchor) that a lexical search finds, best first.
    #[track_caller]
    pub(crate) fn search(&self, word: &str) -> Vec<String> {
        let ended = self.run(&["search", word, "--mode", "lexical"]);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let url =
            |hit: &Value| hit["url"].as_str().unwrap_or_default().split('#').next().unwrap_or_default().to_owned();
        let mut seen = BTreeSet::new();
        ended.events("hit").map(url).filter(|url| seen.insert(url.clone())).collect()
    }
}

fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
}

/// A process under way; killed when dropped.
pub(crate) struct Running {
    child: Child,
    words: String,
    out: PathBuf,
    err: PathBuf,
    peak_kib: u64,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The whole lines that it printed so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.out).expect("its output");
        parse_lines(text.rfind('\n').map_or("", |end| &text[..end]))
    }

    /// Waits until a line satisfies `is_it`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.lines().iter().any(&is_it) {
            let ended = self.poll();
            assert!(ended.is_none(), "{} ended before {what}: {ended:?}\n{}", self.words, self.diagnostics());
            assert!(Instant::now() < deadline, "{}: no {what}\n{}", self.words, self.diagnostics());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until so many pages are stored.
    #[track_caller]
    pub(crate) fn wait_for_stored(&mut self, n_pages: u64) {
        self.wait_for("stored pages", |line| line["stored"].as_u64().is_some_and(|stored| stored >= n_pages));
    }

    /// What it has written to its standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Sends Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal to a child");
    }

    /// Sends SIGKILL after the time. Answers `None` then, else how the process had ended by itself.
    pub(crate) fn kill_after(mut self, time: Duration) -> Option<Ended> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if let Some(status) = self.poll() {
                return Some(self.ended(status));
            }
            std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
        }
        self.child.kill().expect("a signal to a child");
        self.child.wait().expect("a killed child ends");
        None
    }

    /// Waits for its end; fails when that takes longer than `patience`.
    #[track_caller]
    pub(crate) fn wait(mut self, patience: Duration) -> Ended {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.poll() {
                return self.ended(status);
            }
            assert!(Instant::now() < deadline, "{} runs longer than {patience:?}\n{}", self.words, self.diagnostics());
            std::thread::sleep(LOOK);
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.poll().is_some()
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        // Mapped files of the index are page cache, which the kernel takes back when it needs it.
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let anonymous = anonymous.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0);
        self.peak_kib = self.peak_kib.max(anonymous);
        self.child.try_wait().expect("a child can be waited for")
    }

    /// The end of what it printed.
    pub(crate) fn diagnostics(&self) -> String {
        let tail = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        format!("standard error:\n{}\nlast output:\n{}", tail(&self.err), tail(&self.out))
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        let stderr = std::fs::read_to_string(&self.err).expect("its diagnostics");
        let text = std::fs::read_to_string(&self.out).expect("its output");
        let words = self.words.clone();
        Ended { words, status: status.code(), lines: parse_lines(&text), stderr, peak_kib: self.peak_kib }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ended already in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process left.
pub(crate) struct Ended {
    words: String,
    pub(crate) status: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
    /// Most anonymous memory it was seen to have resident, looked at every few milliseconds.
    pub(crate) peak_kib: u64,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last: Vec<String> = self.lines.iter().rev().take(8).rev().map(Value::to_string).collect();
        write!(f, "{}: {:?}\n{}\n{}", self.words, self.status, last.join("\n"), self.stderr)
    }
}

impl Ended {
    /// Its lines of that event.
    pub(crate) fn events<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["event"] == event)
    }

    /// The last line, which must be the summary.
    #[track_caller]
    pub(crate) fn summary(&self) -> &Value {
        let last = self.lines.last().unwrap_or_else(|| panic!("no output: {self:?}"));
        assert_eq!(last["event"], "summary", "{self:?}");
        last
    }

    /// The summary must say exactly this: `stored unchanged skipped failed`, with nothing left to do.
    #[track_caller]
    pub(crate) fn check_ledger(&self, status: i32, counts: [u64; 4]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        check_line(self.summary(), counts);
    }
}

/// A summary's or job's line must say exactly this: `stored unchanged skipped failed`, with nothing left to do.
#[track_caller]
pub(crate) fn check_line(line: &Value, [stored, unchanged, skipped, failed]: [u64; 4]) {
    let names = ["stored", "unchanged", "skipped", "failed", "queued", "leased", "discovered"];
    let discovered = stored + unchanged + skipped + failed;
    let expected = [stored, unchanged, skipped, failed, 0, 0, discovered].map(Some);
    assert_eq!(names.map(|name| line[name].as_u64()), expected, "{names:?}\n{line}");
}

/// Whether the counters of a job's or summary's line add up.
#[track_caller]
pub(crate) fn check_balance(line: &Value) {
    let count = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {line}"));
    let parts = ["queued", "leased", "stored", "unchanged", "skipped", "failed"];
    assert_eq!(count("discovered"), parts.into_iter().map(count).sum::<u64>(), "{line}");
}
