//! A secret that is named in the configuration and read only when it is used.

use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use std::fmt;
use std::path::PathBuf;

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// In an environment variable.
    Environment(String),
    /// In a file; white space around it is not part of it.
    File(PathBuf),
}

impl Secret {
    /// From `env:NAME` or `file:PATH`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("env", name) if !name.is_empty() => Some(Self::Environment(name.to_owned())),
            ("file", path) if !path.is_empty() => Some(Self::File(path.into())),
            _ => None,
        }
    }

    /// The secret itself.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub(crate) fn read(&self) -> Result<String> {
        let missing = |what: String| CliError::new(ErrorCode::Config, what);
        let text = match self {
            Self::Environment(name) => std::env::var(name)
                .map_err(|error| missing(format!("secret env:{name} cannot be read")).because(error))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| missing(format!("secret file:{} cannot be read", path.display())).because(error))?,
        };
        Ok(text.trim().to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_place_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        let secret = Secret::parse(&format!("file:{}", path.display())).unwrap();
        assert_eq!(secret.read().unwrap(), "s3cret");
        assert_eq!(format!("{secret} {secret:?}"), "*** Secret(***)");
        assert_eq!(Secret::parse("s3cret"), None);
        assert_eq!(Secret::parse("env:"), None);
    }
}
