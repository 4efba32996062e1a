//! The small file that says what the index holds, and the lock that keeps a second process out.

use crate::vectors::IndexModel;
use crate::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Layout of the directory and of the payloads.
const FORMAT: u32 = 1;
const META_FILE: &str = "index.json";
const LOCK_FILE: &str = "lock";

/// What the index was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    format: u32,
    /// Its model and dimension.
    pub(super) model: IndexModel,
    /// Average words of a chunk, as the BM25 weights assume.
    pub(super) average_words: f64,
}

/// Only the version, which every later format keeps.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Meta {
    /// Whether the directory holds an index.
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join(META_FILE).exists()
    }

    /// Reads the file, or writes it for a new index.
    ///
    /// # Errors
    /// `Newer`, `ModelMismatch` or `Corrupt` when the file says so; `Engine` when it cannot be read or written.
    pub(super) fn open(dir: &Path, model: &IndexModel, average_words: f64) -> Result<Self> {
        let path = dir.join(META_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let meta = Self { format: FORMAT, model: model.clone(), average_words };
                meta.write(dir).map_err(|error| Error::engine("write the index's description", error))?;
                return Ok(meta);
            }
            Err(error) => return Err(Error::engine("read the index's description", error)),
        };
        Self::parse(&text, model)
    }

    fn parse(text: &[u8], wanted: &IndexModel) -> Result<Self> {
        let corrupt =
            |error: serde_json::Error| Error::Corrupt { what: META_FILE.to_owned(), detail: error.to_string() };
        let version: Version = serde_json::from_slice(text).map_err(corrupt)?;
        if version.format > FORMAT {
            return Err(Error::Newer { what: "vector index", found: version.format, known: FORMAT });
        }
        let meta: Self = serde_json::from_slice(text).map_err(corrupt)?;
        if meta.model != *wanted {
            return Err(Error::ModelMismatch { found: meta.model.to_string(), wanted: wanted.to_string() });
        }
        Ok(meta)
    }

    fn write(&self, dir: &Path) -> std::io::Result<()> {
        let draft = dir.join("index.json.new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&draft, dir.join(META_FILE))?;
        File::open(dir)?.sync_all()
    }
}

/// Held while the index is open; the kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl DirLock {
    /// # Errors
    /// `Locked` when another handle, in this process or another, holds it.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::engine("lock the index", error);
        let path = dir.join(LOCK_FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let n_read = (&file).take(64).read_to_string(&mut holder).unwrap_or(0);
            if n_read == 0 {
                "another process".clone_into(&mut holder);
            }
            return Err(Error::Locked { holder });
        }
        file.set_len(0).map_err(failed)?;
        write!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_checked_against_what_is_wanted() {
        let wanted = IndexModel { id: "m".to_owned(), dimension: 4 };
        let text = |format: u32, dimension: u32| {
            format!(r#"{{"format":{format},"model":{{"id":"m","dimension":{dimension}}},"average_words":1.0}}"#)
        };
        assert!(Meta::parse(text(1, 4).as_bytes(), &wanted).is_ok());
        assert!(matches!(Meta::parse(text(1, 5).as_bytes(), &wanted), Err(Error::ModelMismatch { .. })));
        assert!(matches!(Meta::parse(br#"{"format":9,"else":1}"#, &wanted), Err(Error::Newer { found: 9, .. })));
        assert!(matches!(Meta::parse(b"{", &wanted), Err(Error::Corrupt { .. })));
    }
}
