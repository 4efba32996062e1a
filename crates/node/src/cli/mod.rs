//! The command line: one file per verb.
//!
//! Each verb turns its arguments into calls of stores, engine or content, and the answers into text or, with
//! `--json`, into one JSON object a line. Diagnostics go to standard error.

mod about;
mod admin;
mod ca;
mod check;
mod completions;
mod config;
mod control;
mod crawl;
mod demo;
mod doctor;
mod eval;
pub(crate) mod explain;
mod export;
mod job;
mod jobs;
mod node;
pub(crate) mod output;
mod remote;
mod run;
mod search;
mod settings;
mod summary;
mod verify;

pub(crate) use output::Output;

use crate::config::{Config, Layer, Source, Typed};
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXIT_STATUS: &str = "\
Exit status:
  0    all pages stored or unchanged
  1    a defect in argiope
  2    the command line, the configuration or an argument is wrong
  3    finished, but some pages failed
  4    a store or the embedder is not available
  5    nothing is allowed to be crawled
  130  interrupted; work in flight was finished, the rest waits

Errors carry a code; `argiope explain CODE` says more.";

/// Crawl web sites into a searchable vector index.
#[derive(Debug, Parser)]
#[command(name = "argiope", version, after_help = EXIT_STATUS, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that every verb knows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shared {
    /// Configuration file (also: ARGIOPE_CONFIG).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept; by default the platform's data directory.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// HTTP interface of a node that does what is asked, instead of a data directory here.
    #[arg(long, global = true, value_name = "URL")]
    endpoint: Option<String>,
    /// One JSON object a line on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Least severity that is logged.
    #[arg(long, global = true, value_name = "LEVEL",
        value_parser = clap::builder::PossibleValuesParser::new(crate::config::schema::LEVELS))]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Crawl sites; the same command goes on after a kill, and recrawls when it had finished.
    Crawl(crawl::Arguments),
    /// Run a node until it is stopped; jobs come over HTTP.
    Node(node::Arguments),
    /// Ask and tell a node: nodes, shards, hosts, why a URL is (not) crawled.
    Admin(admin::Arguments),
    /// Ask the index.
    Search(search::Arguments),
    /// List jobs.
    Jobs,
    /// Show one job: counters, reasons, and on demand its failed, skipped or rejected URLs.
    Job(job::Arguments),
    /// Put a job's failed URLs back and crawl on.
    Retry(control::Crawling),
    /// Lease nothing more of a job.
    Pause(control::Named),
    /// Go on with a paused or interrupted job.
    Resume(control::Crawling),
    /// Give a job up; what was queued is skipped.
    Cancel(control::Named),
    /// Write a job's pages as files.
    Export(export::Arguments),
    /// Say why a URL is (not) crawled, what the parser sees, whether the configuration is right.
    Check(check::Arguments),
    /// Compare frontier, pages and index; remove strays.
    Verify(verify::Arguments),
    /// Measure search quality: nDCG@10, recall@100, hit@5, MRR.
    Eval(eval::Arguments),
    /// Serve argiope's own documentation on loopback, crawl it and ask three questions.
    Demo(demo::Arguments),
    /// Show the configuration.
    Config(config::Arguments),
    /// Make the certificates and the cookie of a cluster.
    Ca(ca::Arguments),
    /// Print a completion script.
    Completions(completions::Arguments),
    /// Say what is here: data directory, free disk, model.
    Doctor,
    /// Explain an error code.
    Explain(explain::Arguments),
    /// Print version, licences, the built-in model's card and notices.
    About,
}

/// What a verb works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// The effective configuration.
    pub(crate) config: Config,
    /// Where answers go.
    pub(crate) output: Output,
}

impl Context {
    /// Where the data is: at the node that was named, else in the data directory.
    pub(crate) fn place(&self) -> summary::Place {
        match &self.config.client {
            Some(client) => summary::Place { key: "endpoint", text: client.endpoint.to_string() },
            None => summary::Place { key: "data_dir", text: self.config.data_dir.display().to_string() },
        }
    }
}

impl Verb {
    /// Whether a node can be asked instead of a data directory.
    const fn asks_nodes(&self) -> bool {
        matches!(
            self,
            Self::Crawl(_)
                | Self::Search(_)
                | Self::Jobs
                | Self::Job(_)
                | Self::Retry(_)
                | Self::Pause(_)
                | Self::Resume(_)
                | Self::Cancel(_)
                | Self::Export(_)
                | Self::Admin(_)
        )
    }
}

impl Cli {
    /// The flags as a layer of the configuration.
    fn layer(&self) -> Layer {
        let mut layer = Layer::new();
        let mut set = |key, flag, value: &Option<String>| {
            if let Some(text) = value {
                layer.insert(key, (Typed::Text(text.clone()), Source::Flag(flag)));
            }
        };
        set("node.data_dir", "--data-dir", &self.shared.data_dir);
        set("client.endpoint", "--endpoint", &self.shared.endpoint);
        set("log.level", "--log-level", &self.shared.log_level);
        match &self.verb {
            Verb::Crawl(arguments) => arguments.settings.add_to(&mut layer),
            Verb::Resume(arguments) | Verb::Retry(arguments) => arguments.reach.add_to(&mut layer),
            Verb::Node(arguments) => arguments.add_to(&mut layer),
            Verb::Check(arguments) => arguments.add_to(&mut layer),
            Verb::Config(arguments) => arguments.settings.add_to(&mut layer),
            _ => {}
        }
        layer
    }

    /// Does what was asked. Answers the exit status.
    ///
    /// # Errors
    /// Whatever ends the command; printed by `main`.
    pub(crate) fn run(self) -> Result<u8> {
        let output = Output::new(self.shared.json);
        match self.verb {
            Verb::Completions(arguments) => return completions::run(&arguments, output),
            Verb::Ca(arguments) => return ca::run(&arguments, output),
            Verb::Explain(arguments) => return explain::run(&arguments, output),
            Verb::About => return about::run(output),
            _ => {}
        }
        if self.shared.endpoint.is_some() && !self.verb.asks_nodes() {
            return Err(CliError::new(ErrorCode::Usage, "this verb works here and asks no node")
                .advise("leave `--endpoint` out"));
        }
        let config = crate::config::load(self.shared.config.as_deref(), self.layer())?;
        crate::telemetry::start_logging(&config.log_level, &config.log_format);
        let context = Context { config, output };
        let runtime = crate::boot::runtime()?;
        let status = runtime.block_on(dispatch(self.verb, context));
        // What is still under way belongs to no lease any more; a blocked thread must not hold the exit.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        status
    }
}

async fn dispatch(verb: Verb, context: Context) -> Result<u8> {
    match verb {
        Verb::Crawl(arguments) => Box::pin(crawl::run(arguments, &context)).await,
        Verb::Admin(arguments) => admin::run(arguments, &context).await,
        Verb::Node(_) => Box::pin(node::run(&context)).await,
        Verb::Search(arguments) => search::run(arguments, &context).await,
        Verb::Jobs => jobs::run(&context).await,
        Verb::Job(arguments) => job::run(arguments, &context).await,
        Verb::Retry(arguments) => Box::pin(control::retry(arguments, &context)).await,
        Verb::Pause(arguments) => control::pause(arguments, &context).await,
        Verb::Resume(arguments) => Box::pin(control::resume(arguments, &context)).await,
        Verb::Cancel(arguments) => control::cancel(arguments, &context).await,
        Verb::Export(arguments) => export::run(arguments, &context).await,
        Verb::Check(arguments) => Box::pin(check::run(arguments, &context)).await,
        Verb::Verify(arguments) => verify::run(arguments, &context).await,
        Verb::Eval(arguments) => eval::run(arguments, &context).await,
        Verb::Demo(arguments) => Box::pin(demo::run(arguments, context)).await,
        Verb::Config(arguments) => config::run(&arguments, &context),
        Verb::Doctor => doctor::run(&context).await,
        Verb::Ca(_) | Verb::Completions(_) | Verb::Explain(_) | Verb::About => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// `expected` is a fragment of the parse's debug form, or of the error.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words = std::iter::once("argiope").chain(line.split_whitespace());
        let seen = match Cli::try_parse_from(words) {
            Ok(cli) => format!("{cli:?}"),
            Err(error) => error.to_string(),
        };
        assert!(seen.contains(expected), "{line}\n{seen}");
    }

    #[test]
    fn names_that_scripts_rely_on_parse() {
        check(
            "crawl http://a.example/ http://b.example/ --seeds f --data-dir d --limit 5 --depth 2 --delay 0.5 --concurrency 8 \
             --per-host 2 --process links --allow-cidr 127.0.0.0/8 --allow-cidr ::1 --contact me@example.org \
             --include /a/ --exclude /b/ --scope host --no-robots --no-sitemaps --max-rate 10 --retain none --json",
            "limit: Some(5)",
        );
        check("search how --data-dir d --limit 3 --mode lexical --json", "limit: 3");
        check("verify --data-dir d --json", "Verify");
        check("job 0 --failed", "failed: true");
        check("export 0 --format markdown --out dir", "out: \"dir\"");
        check("check url http://a.example/x --seed http://a.example/", "http://a.example/x");
        check("config --print", "print: true");
        check("ca init --dir d", "Init");
        check("ca issue node-a --dir d --host a.example --host 10.0.0.1 --days 30", "days: 30");
        check("completions bash", "Bash");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        check("crawl --limt 5", "--limit");
        check("crawl x --process all", "[possible values: links, markdown, vectors]");
        check("job 0 --failed --rejected", "cannot be used with");
        check("fetch x", "unrecognized subcommand 'fetch'");
    }

    #[test]
    fn flags_reach_the_configuration() {
        let cli =
            Cli::try_parse_from(["argiope", "crawl", "x", "--delay", "0", "--no-robots", "--data-dir", "d"]).unwrap();
        let layer = cli.layer();
        assert_eq!(layer["crawl.delay_secs"].0, Typed::Float(0.0));
        assert_eq!(layer["crawl.robots"].0, Typed::Bool(false));
        assert_eq!(layer["node.data_dir"].1, Source::Flag("--data-dir"));
        assert!(!layer.contains_key("crawl.limit"));
    }
}
