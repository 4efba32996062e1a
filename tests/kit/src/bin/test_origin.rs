//! `test-origin`: a site in a process of its own, so that it outlives the crawler under test.
//!
//! Prints one line of JSON for each host (`{"host":…,"url":…,"named_url":…}`), then `ready`, and serves until it is
//! ended or its standard input closes (with `--until-stdin-closes`).

use anyhow::{Context, bail};
use argiope_testkit::hostile::Hostile;
use argiope_testkit::site::{Behaviour, FailureKind, Failures, Generated, Site, SiteBuilder, Tree};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Serves generated pages, directory trees or hostile pages on loopback.
#[derive(Parser)]
struct Arguments {
    /// Hosts, each with an address of its own.
    #[arg(long, default_value_t = 1)]
    hosts: usize,
    /// Pages of each generated host.
    #[arg(long, default_value_t = 100)]
    pages: usize,
    /// Seed of the generated text.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Port; 0 takes a free one.
    #[arg(long, default_value_t = 0, global = true)]
    port: u16,
    /// Access log in JSON lines.
    #[arg(long, global = true)]
    log: Option<PathBuf>,
    /// Milliseconds before each answer.
    #[arg(long, default_value_t = 0, global = true)]
    think_ms: u64,
    /// Share of paths that fail at first (500, reset, broken off), 0 to 1.
    #[arg(long, default_value_t = 0.0, global = true)]
    fail_share: f64,
    /// How often such a path fails before it answers.
    #[arg(long, default_value_t = 1, global = true)]
    fail_times: u32,
    /// End when standard input closes.
    #[arg(long, global = true)]
    until_stdin_closes: bool,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Serve a directory tree under one or several host names.
    ServeTree {
        /// The directory.
        directory: PathBuf,
        /// A host name; may be given several times.
        #[arg(long = "host", default_value = "tree.test")]
        names: Vec<String>,
    },
    /// Serve the hostile pages.
    Hostile,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !(0.0..=1.0).contains(&arguments.fail_share) {
        bail!("--fail-share must be between 0 and 1");
    }
    let mut builder = describe(&arguments)?.port(arguments.port);
    if let Some(log) = &arguments.log {
        builder = builder.log_file(log);
    }
    let site = builder.start().await.context("start the site")?;
    let mut out = std::io::stdout().lock();
    for host in site.hosts() {
        let line = serde_json::json!({ "host": host.name, "url": host.url("/"), "named_url": host.named_url("/") });
        writeln!(out, "{line}")?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    drop(out);
    if arguments.until_stdin_closes {
        let drained = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        drained.await??;
        return Ok(());
    }
    std::future::pending().await
}

fn describe(arguments: &Arguments) -> anyhow::Result<SiteBuilder> {
    let behaviour = || Behaviour {
        think: Duration::from_millis(arguments.think_ms),
        failures: Failures {
            share: arguments.fail_share,
            times: arguments.fail_times,
            kinds: vec![FailureKind::Status(500), FailureKind::Reset, FailureKind::Truncated],
            seed: arguments.seed,
        },
    };
    match &arguments.mode {
        None => Ok((0..arguments.hosts).fold(Site::builder(), |builder, n| {
            builder.host(&format!("h{n}.test"), Generated::new(n, arguments.pages, arguments.seed), behaviour())
        })),
        Some(Mode::ServeTree { directory, names }) => names.iter().try_fold(Site::builder(), |builder, name| {
            let tree = Tree::open(directory).with_context(|| format!("read {}", directory.display()))?;
            Ok(builder.host(name, tree, behaviour()))
        }),
        Some(Mode::Hostile) => Ok(Site::builder().host("hostile.test", Hostile::default(), Behaviour::default())),
    }
}
