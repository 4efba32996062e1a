//! `argiope verify`: whether frontier, pages and index say the same. Beside a running crawl: what can be said then.

use super::Context;
use crate::boot::Findings;
use crate::control::Session;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use clap::Args;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Report strays, but leave them.
    #[arg(long)]
    keep: bool,
}

/// Compares and reports. Exit status 4 when something is wrong that removing strays does not mend.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let findings = Session::new(&context.config).verify(arguments.keep).await?;
    for problem in &findings.problems {
        context.output.text(format!("  {problem}"));
        context.output.object(&serde_json::json!({ "event": "problem", "problem": problem }));
    }
    let Findings { n_pages, n_heads, n_chunks, n_strays, n_stray_bodies, n_problems, is_partial, .. } = findings;
    let verb = if arguments.keep { "found" } else { "removed" };
    let bodies = if n_stray_bodies == 0 { String::new() } else { format!("{n_stray_bodies} stray bodies removed; ") };
    context.output.text(if is_partial {
        format!(
            "A crawl is running: ledger, page records and kept pages were compared, and not yet the index. \
             {n_problems} problems"
        )
    } else {
        format!(
            "{n_pages} pages, {n_heads} visible in the index with {n_chunks} chunks; {n_strays} strays {verb}; \
             {bodies}{n_problems} problems"
        )
    });
    context.output.object(&serde_json::json!({
        "event": "summary", "pages": n_pages, "heads": n_heads, "chunks": n_chunks, "strays": n_strays,
        "stray_bodies_removed": n_stray_bodies,
        "strays_removed": !arguments.keep && !is_partial, "problems": n_problems, "partial": is_partial,
    }));
    if n_problems == 0 {
        return Ok(0);
    }
    Err(CliError::new(ErrorCode::StoreCorrupt, format!("the stores disagree in {n_problems} places")))
}
