//! The data directory: who may use it, what is in it, how much room is left.
//!
//! One process at a time holds it, by an operating-system lock on the file `lock`; what that file says of its holder
//! (process id, start, command) is for people. A holder that died left the file but not the lock, so the next one
//! takes over without asking. The file `format` says which version of the layout was written; a newer one is refused
//! before anything is touched.

mod lock;
mod place;
mod space;

pub use lock::Holder;
pub use place::{DataDir, FORMAT, default_path};
pub use space::{DiskReserve, FreeSpace, free_space};
