//! `argiope config --print`: each value in effect and where it came from.

use super::Context;
use super::settings::Settings;
use crate::config::print;
use crate::errors::Result;
use clap::Args;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print every value in effect with its source (the default).
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Prints the configuration.
#[expect(clippy::unnecessary_wraps, reason = "every verb has this shape")]
pub(crate) fn run(_arguments: &Arguments, context: &Context) -> Result<u8> {
    context.output.text(print::to_text(&context.config).trim_end());
    context.output.object(&print::to_json(&context.config));
    Ok(0)
}
