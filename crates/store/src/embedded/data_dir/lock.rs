//! The lock file: the operating system decides who holds it, its text says who that is.

use crate::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest text read from a lock file: a process id, a date and a command line cut at 200 characters fit.
const MAX_HOLDER_BYTES: u64 = 1024;

/// What a lock file says of the process that holds the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it took the lock, RFC 3339.
    pub since: String,
    /// Its command line.
    pub command: String,
}

impl Holder {
    /// This process, now.
    #[must_use]
    pub fn this_process() -> Self {
        let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let command = words.join(" ").chars().filter(|c| !c.is_control()).take(200).collect();
        Self { pid: std::process::id(), since: format!("{:.0}", jiff::Timestamp::now()), command }
    }

    fn to_text(&self) -> String {
        format!("pid {} since {}: {}\n", self.pid, self.since, self.command)
    }
}

/// Takes the lock and writes its holder into the file. The lock lives as long as the answered file.
pub(super) fn take(path: &Path, holder: &Holder) -> Result<File> {
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let mut file = open.map_err(|e| Error::engine("open the lock file", e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Locked { holder: read_holder(&mut file) }),
        Err(error) => return Err(Error::engine("lock the data directory", error)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(holder.to_text().as_bytes()));
    written.map_err(|e| Error::engine("write the lock file", e))?;
    Ok(file)
}

fn read_holder(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.take(MAX_HOLDER_BYTES).read_to_end(&mut bytes);
    let text: String = String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect();
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "a process that is just starting".to_owned(),
    }
}
