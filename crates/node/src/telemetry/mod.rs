//! Diagnostics on standard error, and metrics as Prometheus text.
//!
//! Metrics themselves live where they move; here is only the registry's way out.

mod collectors;
mod link;
mod metrics;
mod text;

pub(crate) use collectors::Egress;
pub(crate) use link::LinkMetrics;
pub(crate) use metrics::{MetricsFile, registry};
pub(crate) use text::{TEXT_TYPE, to_text};

use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
    let without_payloads = filter_fn(|metadata: &Metadata<'_>| !shows_payloads(metadata.target(), *metadata.level()));
    // A second start in one process (tests) keeps the first.
    let _ = if is_pretty {
        builder.with_ansi(is_terminal).finish().with(without_payloads).try_init()
    } else {
        builder.json().finish().with(without_payloads).try_init()
    };
}

/// Whether lines of this kind may hold what users crawled: the cluster's transport prints each message that crosses at
/// DEBUG. Whatever `RUST_LOG` says, they are left out.
fn shows_payloads(target: &str, level: Level) -> bool {
    target.starts_with("ractor_cluster") && level > Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_never_logs_what_crosses() {
        assert!(shows_payloads("ractor_cluster::net::session", Level::DEBUG));
        assert!(shows_payloads("ractor_cluster", Level::TRACE));
        assert!(!shows_payloads("ractor_cluster::node", Level::INFO));
        assert!(!shows_payloads("argiope::cluster::link", Level::TRACE));
    }
}
