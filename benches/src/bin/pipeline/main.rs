//! `pipeline DIRECTORY`: what a crawl of real pages costs in CPU time and memory, beside a bare HTTP loop.
//!
//! Every top-level folder of the directory is served as a host with an address of its own by a process of its own.
//! Then, one after the other: (a) a loop that fetches the same URLs, (b) the same with one DOM parse a page, and
//! `argiope crawl` for (c) links, (d) Markdown, (e) vectors. Each is a child process, measured through `/proc`.

mod baseline;
mod crawl;
mod measure;
mod origin;
mod report;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures the pipeline over a directory of HTML pages.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Run everything and print the table.
    Run(Run),
    /// Serve a directory until standard input closes.
    #[command(hide = true)]
    Origin { directory: PathBuf },
    /// Fetch the URLs of a file.
    #[command(hide = true)]
    Fetch {
        urls: PathBuf,
        /// Build one DOM for each page.
        #[arg(long)]
        parse: bool,
        #[arg(long, default_value_t = 32)]
        concurrency: usize,
    },
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// A folder whose folders are documentation trees.
    directory: PathBuf,
    /// The binary to measure, built with `--release`.
    #[arg(long, default_value = "target/release/argiope")]
    argiope: PathBuf,
    /// Requests at once, over all hosts.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Requests at once to one host.
    #[arg(long, default_value_t = 8)]
    per_host: usize,
    /// How deep crawls go: links, markdown, vectors. All three by default.
    #[arg(long = "process")]
    processes: Vec<String>,
    /// Where crawls keep their data; a temporary folder by default.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        Part::Run(run) => run_all(&run),
        Part::Origin { directory } => origin::serve(&directory),
        Part::Fetch { urls, parse, concurrency } => baseline::fetch_all(&urls, parse, concurrency),
    }
}

fn run_all(run: &Run) -> anyhow::Result<()> {
    let scratch =
        run.scratch.clone().unwrap_or_else(std::env::temp_dir).join(format!("argiope-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
    let origin = origin::Origin::start(&run.directory)?;
    let urls = scratch.join("urls.txt");
    std::fs::write(&urls, origin.urls.join("\n"))?;
    println!("{} pages on {} hosts", origin.urls.len(), origin.seeds.len());
    let mut rows = vec![
        baseline::measure("a fetch", &urls, false, run.concurrency, origin.urls.len())?,
        baseline::measure("b fetch + DOM", &urls, true, run.concurrency, origin.urls.len())?,
    ];
    let all = ["links", "markdown", "vectors"].map(str::to_owned).to_vec();
    for process in if run.processes.is_empty() { &all } else { &run.processes } {
        rows.push(crawl::measure(run, process, &origin.seeds, &scratch.join(process))?);
        report::print(&rows[rows.len() - 1..], None);
    }
    report::print(&rows, rows.get(1).map(report::Row::cpu_per_thousand));
    std::fs::remove_dir_all(&scratch).context("remove the scratch folder")
}
