//! `vectors`: what the index of one machine costs alone, with the chunks of real pages.
//!
//! `prepare FOLDER FILE` parses, cuts and embeds every HTML page of a folder, once. `run FILE` writes these pages
//! through the store as a crawl does (per page: heads read, then chunks and head written, many pages at once), then
//! asks questions, and prints CPU time, memory, disk and the store's own counts. Two processes, so that neither the
//! parser's CPU nor its memory is in the figures.
//!
//! ```text
//! cargo bench -p argiope --bench vectors -- prepare /usr/share/doc/postgresql-doc-15/html /tmp/pages
//! cargo bench -p argiope --bench vectors -- run /tmp/pages --dir /tmp/index
//! ```

mod pages;
mod prepare;
mod run;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the vector store with the chunks of a folder of HTML pages.
#[derive(Parser)]
struct Arguments {
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Parse, cut and embed the pages of a folder.
    Prepare { folder: PathBuf, file: PathBuf },
    /// Write the prepared pages and ask questions.
    Run(run::Options),
}

fn main() -> anyhow::Result<()> {
    // As the binary does.
    rustix::thread::disable_transparent_huge_pages(true)?;
    match Arguments::parse().part {
        Part::Prepare { folder, file } => prepare::prepare(&folder, &file),
        Part::Run(options) => run::run(&options),
    }
}
