//! Builds argiope with faults that can be armed (`crates/protocol/src/sabotage.rs`) and shows that the checks catch each
//! of them, while the sound build passes the same check on the same site.

use crate::chaos::zombie::freeze_an_owner;
use crate::content::Answers;
use crate::origin::TOLERANCE;
use crate::place::{PATIENCE, Place};
use crate::proxy::SlowProxy;
use argiope_testkit::http::Request;
use argiope_testkit::site::{Content, Generated};
use argiope_testkit::{Behaviour, Site, SiteBuilder};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Variables that cargo and nextest set for a test, by their beginning.
const RUNNERS: [&str; 7] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_EXE_",
    "CARGO_CRATE_",
    "CARGO_TARGET_TMPDIR",
    "NEXTEST",
    "LD_LIBRARY_PATH",
];

/// Requests that started before the earliest allowed moment, as the crawl measures it.
const EARLY: &str = "argiope_politeness_margin_seconds_bucket{le=\"0.0\"}";

/// The programs of a sabotaged build.
pub(crate) struct Build {
    pub(crate) argiope: PathBuf,
    checker: PathBuf,
}

impl Build {
    /// Compiles only our own crates again: what is compiled lies beside that of the sound build, whose dependencies are
    /// used. The finished programs go elsewhere, so that nobody finds a sabotaged one where a sound one belongs.
    pub(crate) fn make() -> Self {
        let sound = Path::new(env!("CARGO_BIN_EXE_argiope"));
        let profile = sound.parent().expect("programs lie in the profile's directory");
        let build_dir = profile.parent().expect("which lies in the target directory");
        let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sabotage");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_BUILD_BUILD_DIR", build_dir);
        // What the test runner says about this package is no news about others: a build script that watches such a
        // variable (ring's does) would be run again, and with it everything above it, the vector engine too.
        for (name, _) in std::env::vars_os() {
            let is_runners = |name: &str| RUNNERS.iter().any(|prefix| name.starts_with(prefix));
            if name.to_str().is_some_and(is_runners) {
                cargo.env_remove(name);
            }
        }
        cargo.args(["build", "--workspace", "--features", "argiope/sabotage", "--bin", "argiope"]);
        cargo.args(["--bin", "politeness-check", "--target-dir"]).arg(&target_dir);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let output = cargo.output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let programs = target_dir.join(profile.file_name().expect("a profile's name"));
        Self { argiope: programs.join("argiope"), checker: programs.join("politeness-check") }
    }

    /// Crawls a new site, sound or with a fault, and has its log judged by the tool that operators use. Answers its
    /// verdict, and how many starts the crawl itself counted as too early.
    fn judge(&self, fault: Option<&str>, site: SiteBuilder, form: &Form) -> (Output, u64) {
        let place = Place::new();
        let metrics = place.path("argiope.prom");
        let place = place.with("ARGIOPE_EGRESS_PROXY", &form.proxy);
        let place = place.with("ARGIOPE_METRICS_FILE", &metrics.display().to_string());
        let place = match fault {
            Some(fault) => place.with("ARGIOPE_SABOTAGE", fault).with_program(&self.argiope),
            None => place,
        };
        let log = place.path("access.jsonl");
        let origin = crate::origin::Origin::start(site.log_file(&log));
        let per_host = form.per_host.to_string();
        let words = ["--delay", form.delay, "--per-host", &per_host];
        let ended = place.start_crawl(&origin.seeds(), &words).wait(PATIENCE);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.stderr.contains("SABOTAGED"), fault.is_some(), "{ended:?}");
        let tolerance = TOLERANCE.as_millis().to_string();
        let mut check = Command::new(&self.checker);
        check.arg(log).args(["--delay", form.delay, "--per-host", &per_host, "--tolerance-ms", &tolerance]);
        let text = std::fs::read_to_string(metrics).expect("the metrics file");
        let early = text.lines().find_map(|line| line.strip_prefix(EARLY)).and_then(|count| count.trim().parse().ok());
        (check.output().expect("the checker starts"), early.expect("the count of early starts"))
    }

    /// The sabotaged build must be caught, at least so often; the sound one must pass. Answers how many early starts the
    /// sabotaged build counted itself.
    #[track_caller]
    fn check(&self, fault: &str, site: impl Fn() -> SiteBuilder, form: &Form, n_expected: usize) -> u64 {
        let n_violations = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("{}", text.lines().last().unwrap_or_default());
            text.lines().count() - 1
        };
        let (sound, n_early) = self.judge(None, site(), form);
        assert_eq!((sound.status.code(), n_violations(&sound), n_early), (Some(0), 0, 0), "sound build: {sound:?}");
        let (broken, n_early) = self.judge(Some(fault), site(), form);
        assert_eq!(broken.status.code(), Some(1), "without {fault}: {broken:?}");
        assert!(n_violations(&broken) >= n_expected, "without {fault}: {broken:?}");
        n_early
    }
}

/// How the site is crawled.
struct Form {
    delay: &'static str,
    per_host: u16,
    proxy: String,
}

#[test]
fn heavy_the_checker_catches_a_build_without_a_gate() {
    let site = || {
        (0..20).fold(Site::builder(), |builder, n| {
            builder.host(&format!("h{n}.test"), Generated::new(n, 6, 4), Behaviour::default())
        })
    };
    let form = Form { delay: "0.3", per_host: 1, proxy: String::new() };
    // 14 requests to each of 20 hosts, of which all but the first come too soon, save where the machine is slow.
    let n_early = Build::make().check("gate", site, &form, 20);
    // The margin is measured apart from the gate, so that a running crawl tells of its defect, too.
    assert!(n_early >= 20, "the crawl itself counted {n_early} early starts");
}

#[test]
fn heavy_the_checker_catches_a_build_without_a_start_window() {
    // Every request needs a connection, and every other connection takes longer than the start window lasts: without
    // the window its request starts in the middle of the time that belongs to the one leased after it.
    let site = || {
        let generated = Generated::new(0, 10, 4);
        let content = Answers(move |request: &Request, hosts: &_| {
            let mut answer = generated.answer(request, hosts);
            answer.headers.push(("connection".to_owned(), "close".to_owned()));
            answer
        });
        Site::builder().host("h0.test", content, Behaviour::default())
    };
    let proxy = SlowProxy::start(Duration::from_millis(700));
    let form = Form { delay: "0.3", per_host: 4, proxy: proxy.url() };
    Build::make().check("window", site, &form, 3);
}

#[test]
fn heavy_the_zombie_check_catches_a_build_without_a_fence() {
    let test = "heavy_the_zombie_check_catches_a_build_without_a_fence";
    // The sound build is judged by `fault_a_zombie_owner_starts_nothing_where_another_node_owns`, in the same way.
    let program = Build::make().argiope;
    let Some(findings) = freeze_an_owner(test, Duration::ZERO, Some((&program, "fence"))) else { return };
    // The check asks for none at all; on a busy machine only a few are seen between two looks at the owners.
    assert!(findings.n_foreign > 0 && !findings.is_clean(), "without a fence: {findings:?}");
}
