//! The page stores: of one machine, in a shared directory, in a bucket.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bucket;
mod directory;
mod disk;
mod embedded;
mod kill;
mod s3;
mod shared;

#[path = "../../../../tests/it/namespace.rs"]
mod namespace;

/// Repetitive enough to compress, different for every `n`.
fn body_of(n: u64, seed: u64) -> Vec<u8> {
    let text = format!("<html><body><p>page {n} of run {seed} ");
    text.repeat(1 + usize::try_from((n * 7 + seed) % 400).unwrap()).into_bytes()
}
