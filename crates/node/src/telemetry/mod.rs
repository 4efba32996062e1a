//! Diagnostics on standard error, and metrics as Prometheus text.
//!
//! Metrics themselves live where they move; here is only the registry's way out.

mod collectors;
mod metrics;
mod text;

pub(crate) use collectors::Egress;
pub(crate) use metrics::{MetricsFile, registry};
pub(crate) use text::{TEXT_TYPE, to_text};

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: pretty for a person, JSON for a machine. Chatty libraries are held at
/// warnings unless `RUST_LOG` says otherwise.
pub(crate) fn start_logging(level: &str, format: &str) {
    let ours = ["argiope", "argiope_actors", "argiope_egress", "argiope_store", "argiope_content"];
    let directives: Vec<String> = ours.iter().map(|target| format!("{target}={level}")).collect();
    let default = format!("error,{}", directives.join(","));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let is_terminal = std::io::stderr().is_terminal();
    let is_pretty = format == "pretty" || (format == "auto" && is_terminal);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = if is_pretty { builder.with_ansi(is_terminal).try_init() } else { builder.json().try_init() };
}
