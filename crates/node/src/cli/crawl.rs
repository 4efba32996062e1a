//! `argiope crawl [URL]…`.

use super::settings::Settings;
use super::{Context, output, remote, run};
use crate::boot::{self, Running, Stores};
use crate::client::Endpoint;
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode};
use clap::Args;
use std::path::{Path, PathBuf};

/// Bytes of a seeds file: about a million URLs.
const MAX_SEEDS_BYTES: u64 = 128 * 1024 * 1024;

/// Invalid seeds that an error lists.
const MAX_LISTED: usize = 20;

/// Arguments of `crawl`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to start; `example.org` stands for `https://example.org/`.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// File with one URL a line; `#` begins a comment, `-` is standard input.
    #[arg(long, value_name = "FILE")]
    seeds: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Crawls to the end.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let seeds = read_seeds(&arguments)?;
    if let Some(client) = &context.config.client {
        return Box::pin(remote::crawl(&Endpoint::new(client)?, &seeds, context)).await;
    }
    for warning in boot::check_seeds(&context.config, &seeds).await? {
        output::note(format!("warning: {warning}"));
    }
    let stores = Stores::open(&context.config).await?;
    let spec = boot::job_spec(&context.config, seeds);
    for paused in stores.pause_others(spec.identity()).await? {
        output::note(format!("job {paused} was running and waits now; `argiope resume {paused}` goes on with it"));
    }
    let mut running = Running::start(&context.config, stores).await?;
    let submitted = running.submit(spec).await?;
    let word = submitted.how.code();
    if !context.output.is_json {
        output::note(format!("{} {}", said(word), submitted.job));
    }
    context.output.object(&serde_json::json!({
        "event": "job_started", "job": submitted.job, "how": word, "data_dir": context.config.data_dir,
    }));
    run::to_the_end(&mut running, submitted.job, context).await
}

/// How a job came to be, for a person.
pub(super) fn said(how: &str) -> &'static str {
    match how {
        "new" => "new job",
        "resumed" => "going on with job",
        "recrawl" => "crawling again as job",
        _ => "following job",
    }
}

/// Seeds of arguments and file, without doubles, in order.
fn read_seeds(arguments: &Arguments) -> Result<Vec<CanonicalUrl>> {
    let mut texts = arguments.urls.clone();
    if let Some(path) = &arguments.seeds {
        let file = read_seeds_file(path)?;
        texts.extend(
            file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned),
        );
    }
    if texts.is_empty() {
        return Err(CliError::new(ErrorCode::Usage, "there is nothing to crawl")
            .advise("give a URL, e.g. `argiope crawl https://docs.example.org/`, or `--seeds FILE`"));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut seeds = Vec::new();
    let mut mistakes = Vec::new();
    for text in &texts {
        match boot::parse_url(text) {
            Ok(url) if seen.insert(url.as_str().to_owned()) => seeds.push(url),
            Ok(_) => {}
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        return Ok(seeds);
    }
    let error =
        CliError::new(ErrorCode::InvalidUrl, format!("{} of {} seeds cannot be crawled", mistakes.len(), texts.len()));
    Err(mistakes.into_iter().take(MAX_LISTED).fold(error, CliError::because))
}

fn read_seeds_file(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let limit = MAX_SEEDS_BYTES + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    let n_bytes = read.map_err(|error| CliError::file("read", path, &error))?;
    if n_bytes as u64 > MAX_SEEDS_BYTES {
        return Err(CliError::new(ErrorCode::File, format!("{} is too long", path.display()))
            .because(format!("at most {MAX_SEEDS_BYTES} bytes of seeds are read")));
    }
    Ok(text)
}
