//! From an answer's bytes to links, Markdown and chunks.
//!
//! [`process`] is the pure part and runs on CPU threads; the stage offers the links to the frontier, durably,
//! before the page goes on: a page is never stored while its links could be lost.

mod links;
mod process;
mod stage;

pub(crate) use links::of_record as recorded_links;
pub use stage::Parser;
