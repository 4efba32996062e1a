//! Bytes of the web in, values out. Pure: no I/O, no clock, no panic on any input.
//!
//! In crawl order: [`robots`] and [`sitemap`] say where to go, [`filter`] what not to follow, [`decode`] turns
//! bytes into text, [`page`] text into links, metadata and Markdown, [`chunk`] Markdown into passages, and
//! [`model`] passages into tokens and vectors.

pub mod chunk;
pub mod decode;
pub mod filter;
pub mod model;
pub mod page;
pub mod robots;
pub mod sitemap;
