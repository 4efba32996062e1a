//! One crawl with the real binary.

use crate::Run;
use crate::measure::watch;
use crate::report::Row;
use anyhow::Context;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Crawls from the seeds into a fresh data directory.
pub(crate) fn measure(run: &Run, process: &str, seeds: &[String], data_dir: &Path) -> anyhow::Result<Row> {
    let started = Instant::now();
    let mut child = Command::new(&run.argiope)
        .arg("crawl")
        .args(seeds)
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--delay", "0", "--allow-cidr", "127.0.0.0/8", "--limit", "100000", "--json", "--process", process])
        .args(["--concurrency", &run.concurrency.to_string(), "--per-host", &run.per_host.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", run.argiope.display()))?;
    let output = child.stdout.take().context("standard output of the crawl")?;
    let reader = std::thread::spawn(move || read_events(BufReader::new(output), started));
    let usage = watch(&mut child, started)?;
    let (first_page_secs, n_pages) = reader.join().ok().context("read the crawl's events")?;
    Ok(Row { name: format!("crawl {process}"), n_pages, usage, first_page_secs })
}

/// Seconds to the first stored page, and how many pages the summary counts.
fn read_events(output: impl BufRead, started: Instant) -> (Option<f64>, usize) {
    let (mut first, mut n_stored) = (None, 0);
    for line in output.lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let stored = event.get("stored").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if first.is_none() && (stored > 0 || event.get("fate").is_some_and(|fate| fate == "stored")) {
            first = Some(started.elapsed().as_secs_f64());
        }
        n_stored = n_stored.max(usize::try_from(stored).unwrap_or(usize::MAX));
    }
    (first, n_stored)
}
