//! `argiope demo`: argiope's own documentation as a small site on loopback, crawled, and asked three questions.

use super::{Context, run, search};
use crate::boot::{self, Mode, Question, Running, Stores};
use crate::demo::Site;
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode};
use argiope_store::vectors::SearchFilter;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What the demo asks its own documentation.
const QUESTIONS: [&str; 3] = [
    "how do I continue a crawl after the machine was switched off",
    "how long does argiope wait between two requests to the same host",
    "why is localhost refused and how do I allow it",
];

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Serve the site and do nothing else, until Ctrl-C.
    #[arg(long)]
    serve_only: bool,
    /// Port of the site; by default any free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
}

/// Serves, crawls, asks.
pub(crate) async fn run(arguments: Arguments, mut context: Context) -> Result<u8> {
    let site = Site::start(arguments.port)
        .await
        .map_err(|error| CliError::new(ErrorCode::File, "the demo site cannot listen on 127.0.0.1").because(error))?;
    let url = site.url();
    context.output.text(format!("Serving argiope's documentation at {url}"));
    context.output.object(&serde_json::json!({ "event": "serving", "url": url }));
    if arguments.serve_only {
        // Without a handler the signal ends the process, which is all that is wanted.
        return std::future::pending().await;
    }
    configure(&mut context)?;
    let seed = CanonicalUrl::parse(&url)
        .map_err(|error| CliError::new(ErrorCode::Internal, "the demo's URL is not valid").because(error))?;
    let stores = Stores::open(&context.config).await?;
    let mut running = Running::start(&context.config, stores.clone()).await?;
    let submitted = running.submit(boot::job_spec(&context.config, vec![seed])).await?;
    let status = run::to_the_end(&mut running, submitted.job, &context).await?;
    for question in QUESTIONS {
        ask(question, &stores, &context).await?;
    }
    let place = context.config.data_dir.display().to_string();
    context
        .output
        .text(format!("\nThe data lies in {place}\nAsk on: argiope search --data-dir {place} \"your question\""));
    context.output.object(&serde_json::json!({ "event": "demo", "data_dir": place, "exit": status }));
    Ok(status)
}

/// One's own site on loopback, in a fresh directory unless one is named: no delay, several requests at once.
fn configure(context: &mut Context) -> Result<()> {
    let config = &mut context.config;
    // It crawls here, whatever node other commands ask.
    config.client = None;
    config.egress.allow_cidrs = vec![ipnet::IpNet::from(std::net::IpAddr::from([127, 0, 0, 1]))];
    config.egress.allow_ports = None;
    config.crawl.politeness.delay = Duration::ZERO;
    config.crawl.politeness.per_host = 4;
    let is_default =
        config.effective.get("node.data_dir").is_none_or(|dir| dir.source == crate::config::Source::Default);
    if is_default {
        config.data_dir = fresh_directory()?;
    }
    Ok(())
}

fn fresh_directory() -> Result<PathBuf> {
    let name = format!("argiope-demo-{}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).map_err(|error| CliError::file("make", &path, &error))?;
    Ok(path)
}

async fn ask(text: &str, stores: &Stores, context: &Context) -> Result<()> {
    let filter = SearchFilter::default();
    let question = Question { text: text.to_owned(), mode: Mode::Hybrid, limit: 3, filter, one_per_page: true };
    let hits = boot::search(&context.config, &stores.vectors, question).await?;
    context.output.text(format!("\n? {text}"));
    for (rank, hit) in hits.iter().enumerate() {
        context.output.text(search::to_text(rank + 1, hit).trim_end());
    }
    context.output.object(&serde_json::json!({ "event": "answer", "question": text, "hits": hits }));
    Ok(())
}
