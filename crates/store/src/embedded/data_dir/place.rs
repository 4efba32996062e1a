//! Where things lie in the data directory, and which format they have.

use super::lock::{self, Holder};
use super::space::{DiskReserve, free_space};
use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Version of the directory's layout. Raise it when an older program could not read what a newer one wrote.
pub const FORMAT: u32 = 1;

/// A data directory that this process holds. Dropping it lets the next process in.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // Closing the file releases the lock.
    _lock: File,
}

impl DataDir {
    /// Makes the directory when there is none (readable by its owner only), locks it and checks its format.
    ///
    /// # Errors
    /// [`Error::Locked`] with the holder's process id, [`Error::Newer`], [`Error::Corrupt`] when `format` is no
    /// number, [`Error::Engine`] when the file system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, &Holder::this_process())
    }

    /// As [`DataDir::open`], with what the lock file shall say.
    ///
    /// # Errors
    /// As [`DataDir::open`].
    pub fn open_as(path: &Path, holder: &Holder) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|e| Error::engine("make the data directory", format!("{}: {e}", path.display())))?;
        let lock = lock::take(&path.join("lock"), holder)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The frontier's database file.
    #[must_use]
    pub fn frontier(&self) -> PathBuf {
        self.path.join("frontier.redb")
    }

    /// The page store's directory.
    #[must_use]
    pub fn pages(&self) -> PathBuf {
        self.path.join("pages")
    }

    /// The vector store's directory.
    #[must_use]
    pub fn vectors(&self) -> PathBuf {
        self.path.join("vectors")
    }

    /// Whether the reserve is still free.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when it is not.
    pub fn check_space(&self, reserve: &DiskReserve) -> Result<()> {
        reserve.check(free_space(&self.path)?, 0)
    }
}

/// The platform's data directory, from the process's environment: `$XDG_DATA_HOME/argiope`, else
/// `$HOME/.local/share/argiope`. `None` when neither names an absolute path (the XDG base directory specification
/// says that relative ones are ignored).
pub fn default_path(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data_home = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data_home.map(|path| path.join("argiope"))
}

fn check_format(directory: &Path) -> Result<()> {
    let path = directory.join("format");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return write_format(directory, &path),
        Err(error) => return Err(Error::engine("read the data directory's format", error)),
    };
    let found = text.trim().parse::<u32>().map_err(|_| Error::Corrupt {
        what: "the data directory's `format` file".to_owned(),
        detail: format!("{:?} is no number", text.chars().take(40).collect::<String>()),
    })?;
    if found > FORMAT {
        return Err(Error::Newer { what: "the data directory", found, known: FORMAT });
    }
    Ok(())
}

/// Written beside and renamed, so that a crash leaves either no format or a whole one.
fn write_format(directory: &Path, path: &Path) -> Result<()> {
    let beside = directory.join("format.new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        writeln!(file, "{FORMAT}")?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|e| Error::engine("write the data directory's format", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_open_names_the_holder_and_a_dead_holder_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let Err(Error::Locked { holder }) = DataDir::open(&path) else { panic!("the second open was let in") };
        assert!(holder.contains(&format!("pid {} ", std::process::id())), "{holder}");
        drop(first);
        let second = DataDir::open(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("format")).unwrap(), "1\n");
        assert_eq!(second.pages(), path.join("pages"));
    }

    #[test]
    fn a_directory_of_a_newer_version_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        drop(DataDir::open(directory.path()).unwrap());
        for (text, is_newer) in [("2\n", true), ("4294967295", true), ("x", false), ("", false)] {
            std::fs::write(directory.path().join("format"), text).unwrap();
            match DataDir::open(directory.path()) {
                Err(Error::Newer { found, known: FORMAT, .. }) => assert!(is_newer && found > FORMAT, "{text:?}"),
                Err(Error::Corrupt { .. }) => assert!(!is_newer, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
            assert_eq!(std::fs::read_to_string(directory.path().join("format")).unwrap(), text);
        }
    }

    #[test]
    fn the_default_directory_follows_the_environment() {
        let check = |pairs: &[(&str, &str)], expected: Option<&str>| {
            let environment =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            assert_eq!(default_path(environment), expected.map(PathBuf::from), "{pairs:?}");
        };
        check(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/x/argiope"));
        check(&[("HOME", "/h")], Some("/h/.local/share/argiope"));
        check(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/share/argiope"));
        check(&[("XDG_DATA_HOME", ""), ("HOME", "")], None);
        check(&[], None);
    }
}
