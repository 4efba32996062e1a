//! The binary `argiope`: command line, configuration, telemetry, and the demo site. Policy lives here, the crawl
//! itself in the crates below.

mod api;
mod boot;
mod cli;
mod client;
mod cluster;
mod cluster_view;
mod config;
mod control;
mod demo;
mod errors;
mod http;
#[cfg(feature = "sabotage")]
mod sabotage;
mod telemetry;

use argiope_protocol::ErrorCode;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Page parsing and embedding allocate much and briefly on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages would make resident, and zero, 2 MiB wherever the allocator hands out its first 64 KiB of a kind:
    // twice the memory and a fifth more CPU in a crawl. Without the permission to choose it is the system's choice.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error, is_json),
    };
    #[cfg(feature = "sabotage")]
    sabotage::arm();
    match cli.run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => report(&error, is_json),
    }
}

/// Help and version go to standard output; everything else is an error with our code.
fn usage(error: &clap::Error, is_json: bool) -> ExitCode {
    let is_answer = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_answer {
        // A closed output is no reason to fail.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let rendered = error.render().to_string();
    let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more"));
    let message = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let hints: Vec<&str> = lines.collect();
    let usage = errors::CliError::new(ErrorCode::Usage, message);
    let usage = if hints.is_empty() { usage } else { usage.because(hints.join("\n")) };
    report(&usage, is_json)
}

fn report(error: &errors::CliError, is_json: bool) -> ExitCode {
    let text = if is_json { error.to_json().to_string() } else { error.to_text().trim_end().to_owned() };
    cli::output::note(text);
    ExitCode::from(error.code.exit_code())
}
