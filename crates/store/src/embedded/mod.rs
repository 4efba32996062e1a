//! Adapters for one machine: nothing else has to be installed.

pub mod data_dir;
pub mod frontier;
pub mod pages;
pub mod vectors;
