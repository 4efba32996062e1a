//! What an error of the file system means for the caller.

use super::super::fault::server;
use crate::Error;
use crate::embedded::data_dir::free_space;
use crate::error::ServerFault;
use std::io::{self, ErrorKind};
use std::path::Path;

pub(super) fn io_error(context: &'static str, path: &Path, n_bytes: usize, error: &io::Error) -> Error {
    let fault = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return full(path, n_bytes),
        ErrorKind::ReadOnlyFilesystem => ServerFault::ReadOnly,
        ErrorKind::PermissionDenied => ServerFault::AccessDenied,
        ErrorKind::TimedOut => ServerFault::Timeout,
        // A share that went away shows in many ways (ENOENT, ESTALE, EIO, ENOTCONN), and may come back.
        _ => ServerFault::Unavailable,
    };
    server(context, fault, format_args!("{}: {error}", path.display()))
}

fn full(path: &Path, n_bytes: usize) -> Error {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    let free_bytes = free_space(existing).map_or(0, |space| space.free);
    // The free bytes may be enough and a quota, or the room for names, not.
    Error::DiskFull { free_bytes, needed_bytes: free_bytes.saturating_add(1).max(n_bytes as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_waiting_helps() {
        let check = |error: ErrorKind, is_retryable: bool| {
            let error = io_error("test", Path::new("/"), 1, &io::Error::from(error));
            assert_eq!(error.is_retryable(), is_retryable, "{error}");
        };
        check(ErrorKind::StorageFull, true);
        check(ErrorKind::QuotaExceeded, true);
        check(ErrorKind::ReadOnlyFilesystem, true);
        check(ErrorKind::StaleNetworkFileHandle, true);
        check(ErrorKind::NotFound, true);
        check(ErrorKind::PermissionDenied, false);
    }
}
