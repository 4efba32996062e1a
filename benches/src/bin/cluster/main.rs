//! `cluster run`: how a crawl grows with its nodes, and what they cost each other.
//!
//! For each number of nodes a Redis, a Qdrant, the nodes (linked by mutual TLS) and an origin are started, each a process of
//! its own. The origin's hosts think before they answer, and each node has few requests at once, so that nodes wait for
//! the network and not for the processor. All figures are differences between two looks in the middle of one crawl: the
//! nodes' own metrics, `INFO` of Redis, and the kernel's accounts of each process.

mod nodes;
mod origin;
mod report;
mod sample;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Measures a cluster on this machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Run everything and print the table.
    Run(Run),
    /// Serve hosts until standard input closes.
    #[command(hide = true)]
    Origin { hosts: usize, pages: usize },
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// The binary to measure, built with `--release`.
    #[arg(long, default_value = "target/release/argiope")]
    argiope: PathBuf,
    /// Numbers of nodes to measure, in this order.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3])]
    nodes: Vec<usize>,
    /// Hosts of the origin.
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// Pages of each host: more than are crawled while it is measured.
    #[arg(long, default_value_t = 100)]
    pages: usize,
    /// Requests at once, of each node.
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
    /// How deep crawls go: links, markdown or vectors.
    #[arg(long, default_value = "vectors")]
    process: String,
    /// Seconds of crawling before the first look.
    #[arg(long, default_value_t = 15)]
    warm_up_secs: u64,
    /// Seconds between the two looks.
    #[arg(long, default_value_t = 60)]
    secs: u64,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        Part::Run(run) => run_all(&run),
        Part::Origin { hosts, pages } => origin::serve(hosts, pages),
    }
}

fn run_all(run: &Run) -> anyhow::Result<()> {
    let mut rows: Vec<report::Row> = Vec::new();
    for n_nodes in &run.nodes {
        let row = measure(run, *n_nodes)?;
        report::print(std::slice::from_ref(&row), rows.first());
        rows.push(row);
    }
    report::print(&rows, rows.first());
    Ok(())
}

/// One crawl with so many nodes.
fn measure(run: &Run, n_nodes: usize) -> anyhow::Result<report::Row> {
    let origin = origin::Origin::start(run.hosts, run.pages)?;
    let cluster = nodes::Cluster::start(run, n_nodes)?;
    let mut crawl = cluster.crawl(run, &origin.seeds)?;
    std::thread::sleep(Duration::from_secs(run.warm_up_secs));
    let before = sample::Sample::take(&cluster, origin.pid())?;
    std::thread::sleep(Duration::from_secs(run.secs));
    let after = sample::Sample::take(&cluster, origin.pid())?;
    anyhow::ensure!(crawl.is_running()?, "the crawl ended before it was measured: give it more --pages");
    Ok(report::Row::new(n_nodes, &before, &after))
}
