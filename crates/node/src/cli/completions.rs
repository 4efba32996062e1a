//! `argiope completions SHELL`.

use super::{Cli, Output};
use crate::errors::Result;
use clap::{Args, CommandFactory};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// For which shell.
    shell: clap_complete::Shell,
}

/// Prints the script, with or without `--json`: a shell reads it.
#[expect(clippy::unnecessary_wraps, reason = "every verb has this shape")]
pub(crate) fn run(arguments: &Arguments, _output: Output) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "argiope", &mut script);
    Output::new(false).text(String::from_utf8_lossy(&script).trim_end());
    Ok(0)
}
