//! `politeness-check LOG.jsonl --delay 1.0 --per-host 1`: prints every violation, exits with 1 when there is one.

use anyhow::Context;
use argiope_testkit::access_log::read_log;
use argiope_testkit::politeness::{Rules, check};
use clap::Parser;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Says from an origin's access log whether a crawl was polite.
#[derive(Parser)]
struct Arguments {
    /// Access log in JSON lines, as `test-origin --log` writes it.
    log: PathBuf,
    /// Promised seconds between two starts at one host.
    #[arg(long, default_value_t = 1.0)]
    delay: f64,
    /// Promised requests at once to one host.
    #[arg(long, default_value_t = 1)]
    per_host: usize,
    /// Milliseconds by which a request may seem to come early.
    #[arg(long, default_value_t = 5)]
    tolerance_ms: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let file = File::open(&arguments.log).with_context(|| format!("open {}", arguments.log.display()))?;
    let log = read_log(BufReader::new(file)).with_context(|| format!("read {}", arguments.log.display()))?;
    let rules = Rules {
        delay: Duration::try_from_secs_f64(arguments.delay).context("--delay")?,
        per_host: arguments.per_host,
        tolerance: Duration::from_millis(arguments.tolerance_ms),
    };
    let violations = check(&log, &rules);
    for violation in &violations {
        println!("{violation}");
    }
    let hosts: BTreeSet<&str> = log.iter().map(|entry| entry.host.as_str()).collect();
    println!("{} violations in {} requests to {} hosts", violations.len(), log.len(), hosts.len());
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
