//! Tests that need a network or a file system of their own run again inside new namespaces.

use std::process::Command;

/// Set for the inner run.
const INSIDE: &str = "ARGIOPE_IT_INSIDE";

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// In new namespaces: do the test.
    Inside,
    /// The inner run passed: nothing is left to do.
    Outside,
    /// The system permits no namespaces.
    NotPermitted,
}

/// Runs the calling test (its full name) again under `unshare` with these flags, after the commands of `set_up`.
/// Where that is not permitted, fails in CI and says so elsewhere.
#[track_caller]
pub(crate) fn enter(test: &str, flags: &[&str], set_up: &str) -> Side {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return Side::Inside;
    }
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(flags).args(["sh", "-ec", script, "sh"]);
        command.arg(std::env::current_exe().expect("the test's own path")).arg(test).env(INSIDE, test);
        command
    };
    let probe = unshare(set_up).output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").is_err(), "{test} needs namespaces in CI: {probe:?}");
        eprintln!("NOT TESTED: {test} needs `unshare {}`, which is not permitted here: {probe:?}", flags.join(" "));
        return Side::NotPermitted;
    }
    let run = format!("{set_up}\nexec \"$1\" --exact \"$2\" --nocapture --test-threads 1");
    let status = unshare(&run).status().expect("unshare ran a moment ago");
    assert!(status.success(), "{test} failed in its namespaces");
    Side::Outside
}
