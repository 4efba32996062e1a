//! The demo site: the pages of `docs/demo/`, turned into HTML and served on loopback by a very small server.
//!
//! [`pages`] holds the Markdown, [`render`] makes HTML of it, [`server`] answers GET and HEAD with validators,
//! robots.txt and a sitemap, so that a crawl of it meets all that a real site has.

mod pages;
mod render;
mod server;

pub(crate) use server::Site;
