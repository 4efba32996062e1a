//! Configuration: what was typed in file, environment and flags becomes one checked [`Config`].
//!
//! [`schema`] lists every key; [`raw`] reads what was typed; [`check`] holds one value against its key;
//! [`resolve`] (and [`shared`], for what nodes share) merges the layers into the types of [`sections`]; [`job`] lays a
//! request's settings over them. Nothing here touches the process: file text, environment and platform are
//! parameters of [`build`], [`load`] is the thin shell around it.

mod check;
mod job;
pub(crate) mod print;
mod raw;
mod read;
mod resolve;
pub(crate) mod schema;
mod secret;
mod sections;
mod shared;
#[cfg(test)]
mod tests;

pub(crate) use job::{given_settings, job_settings};
pub(crate) use raw::{Layer, Mistake, Source, Typed};
pub(crate) use resolve::Platform;
pub(crate) use secret::Secret;
pub(crate) use sections::{Client, Config, Crawl, Embedder, FrontierBackend, PageObjects, PagesBackend, Vectors};

use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use std::path::{Path, PathBuf};

/// Bytes of a configuration file: far above any real one.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Everything that decides the configuration.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Path as given, and text, of the configuration file.
    pub(crate) file: Option<(String, String)>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Flags by key.
    pub(crate) flags: Layer,
}

/// Builds the configuration.
///
/// # Errors
/// All mistakes at once.
pub(crate) fn build(inputs: Inputs, platform: &Platform) -> std::result::Result<Config, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let file = inputs.file.map(|(path, text)| raw::from_toml(&path, &text, &mut mistakes)).unwrap_or_default();
    let environment = raw::from_environment(inputs.environment.into_iter(), &mut mistakes);
    let effective = resolve::merge(&[inputs.flags, environment, file], &mut mistakes);
    let config = resolve::resolve(effective, platform, &mut mistakes);
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

/// Reads the file named by flag or `ARGIOPE_CONFIG`, the environment and the flags.
///
/// # Errors
/// `AR0006` when the file cannot be read, `AR0002` with every mistake.
pub(crate) fn load(file: Option<&Path>, flags: Layer) -> Result<Config> {
    let from_environment = std::env::var_os("ARGIOPE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = file.map(Path::to_path_buf).or(from_environment).map(read_file).transpose()?;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let platform = Platform { data_dir: platform_data_dir() };
    build(Inputs { file, environment, flags }, &platform).map_err(|mistakes| {
        let count = mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let error = CliError::new(ErrorCode::Config, format!("the configuration has {count} {noun}"));
        lines.into_iter().fold(error, CliError::because)
    })
}

fn read_file(path: PathBuf) -> Result<(String, String)> {
    let size = std::fs::metadata(&path).map_err(|error| CliError::file("read", &path, &error))?.len();
    if size > MAX_FILE_BYTES {
        return Err(CliError::new(ErrorCode::File, format!("{} is no configuration file", path.display()))
            .because(format!("it has {size} bytes, at most {MAX_FILE_BYTES} are read")));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| CliError::file("read", &path, &error))?;
    Ok((path.display().to_string(), text))
}

/// The platform's directory for data of this user: XDG on Linux, Application Support on macOS.
fn platform_data_dir() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME").unwrap_or_else(|| PathBuf::from("."));
    if cfg!(target_os = "macos") {
        return home().join("Library/Application Support/argiope");
    }
    variable("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home().join(".local/share"))
        .join("argiope")
}
