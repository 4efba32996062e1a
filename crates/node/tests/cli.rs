//! The binary as a user meets it: bad input ends with one clear error, its code and its exit status.

use std::path::Path;
use std::process::{Command, Output};

fn argiope(data_dir: &Path, line: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_argiope"));
    command.env_clear().env("HOME", data_dir).arg("--data-dir").arg(data_dir.join("data")).args(line);
    command.output().expect("the binary runs")
}

/// Runs the command in an empty directory; its exit status, and texts that standard error must hold.
#[track_caller]
fn check(line: &[&str], status: i32, expected: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let output = argiope(dir.path(), line);
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{line:?}\n{diagnostics}");
    for text in expected {
        assert!(diagnostics.contains(text), "{line:?} lacks {text:?}\n{diagnostics}");
    }
    output
}

#[test]
fn an_unknown_flag_is_named_with_its_nearest_neighbour() {
    check(&["crawl", "--limt", "5"], 2, &["error[AR0001]", "--limt", "--limit", "next:"]);
}

#[test]
fn a_crawl_without_seeds_says_what_to_give() {
    check(&["crawl"], 2, &["error[AR0001]", "--seeds FILE"]);
}

#[test]
fn three_mistakes_of_a_configuration_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    std::fs::write(&file, "[crawl]\ndely_secs = 1\nlimit = -5\nscope = \"moon\"\n").unwrap();
    let path = file.display().to_string();
    check(
        &["--config", &path, "config", "--print"],
        2,
        &[
            "error[AR0002]",
            "3 mistakes",
            "bad.toml:2",
            "crawl.delay_secs",
            "bad.toml:3",
            "from 1 to",
            "bad.toml:4",
            "directory, host",
        ],
    );
}

#[test]
fn a_missing_configuration_file_is_an_error() {
    check(&["--config", "/nowhere/c.toml", "jobs"], 2, &["error[AR0006]", "/nowhere/c.toml"]);
}

#[test]
fn loopback_is_denied_at_once_and_the_flag_is_named() {
    for url in ["http://localhost:8000/", "http://127.0.0.1:1/", "http://2130706433/"] {
        check(&["crawl", url], 5, &["error[AR0101]", "loopback is denied", "--allow-cidr 127.0.0.0/8"]);
    }
    check(&["crawl", "http://[::1]/"], 5, &["error[AR0101]", "loopback is denied", "--allow-cidr ::1/128"]);
}

#[test]
fn other_peoples_hosts_need_a_contact() {
    check(&["crawl", "https://docs.example.org/"], 2, &["error[AR0004]", "docs.example.org", "--contact"]);
}

#[test]
fn invalid_seeds_are_listed_together() {
    check(&["crawl", "ftp://a.example/", "nonsense"], 2, &["error[AR0003]", "2 of 2 seeds", "ftp", "nonsense"]);
}

#[test]
fn an_unknown_job_is_an_error_and_makes_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let id = "00000000-0000-7000-8000-000000000000";
    for line in [vec!["job", id], vec!["pause", id], vec!["retry", "last"], vec!["export", id, "--out", "x"]] {
        let output = argiope(dir.path(), &line);
        assert_eq!(output.status.code(), Some(2), "{line:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("error[AR0005]"), "{line:?}");
        assert!(!dir.path().join("data").exists(), "{line:?}");
    }
}

#[test]
fn errors_are_one_json_object_on_standard_error_when_asked_for() {
    let output = check(&["crawl", "http://localhost/", "--json"], 5, &[]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one object");
    assert_eq!(error["code"], "AR0101");
    assert_eq!(error["exit"], 5);
    assert!(output.stdout.is_empty());
}

#[test]
fn an_empty_data_directory_is_no_error_for_questions() {
    check(&["jobs"], 0, &[]);
    let output = check(&["search", "anything", "--json"], 0, &[]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&summary["event"], &summary["hits"]), (&"summary".into(), &0.into()));
    check(&["verify", "--json"], 0, &[]);
    check(&["doctor"], 0, &[]);
}

#[test]
fn the_configuration_is_printed_with_sources() {
    let output = check(&["config", "--print", "--delay", "0.5"], 0, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("delay_secs = 0.5") && text.contains("# flag --delay"), "{text}");
}

#[test]
fn error_codes_explain_themselves() {
    let output = check(&["explain", "ar0201"], 0, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("# AR0201: "));
    check(&["explain", "AR9999"], 2, &["error[AR0001]"]);
}

#[test]
fn the_program_carries_its_licences_the_model_card_and_the_notices() {
    let output = check(&["about"], 0, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = format!("argiope {}", env!("CARGO_PKG_VERSION"));
    for part in [version.as_str(), "MIT License", "Apache License", "docs-static-256p", "WordNet 3.0 Copyright 2006"] {
        assert!(text.contains(part), "{part} is missing");
    }
    let output = check(&["about", "--json"], 0, &[]);
    let about: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(about["notices"][0].as_str().is_some_and(|notice| notice.contains("Princeton University")));
}

#[test]
fn completions_and_help_go_to_standard_output() {
    let output = check(&["completions", "bash"], 0, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("_argiope"));
    let output = check(&["--help"], 0, &[]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(help.contains("Exit status:") && help.contains("130"), "{help}");
}
