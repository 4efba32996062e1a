//! The floor: the same URLs fetched with a plain client, with and without one DOM a page.

use crate::measure::watch;
use crate::report::Row;
use anyhow::{Context, ensure};
use dom_query::Document;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Runs the loop in a child process.
pub(crate) fn measure(name: &str, urls: &Path, parse: bool, concurrency: usize, n_pages: usize) -> anyhow::Result<Row> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("fetch").arg(urls).args(["--concurrency", &concurrency.to_string()]);
    if parse {
        command.arg("--parse");
    }
    let started = Instant::now();
    let usage = watch(&mut command.spawn().context("start the loop")?, started)?;
    Ok(Row { name: name.to_owned(), n_pages, usage, first_page_secs: None })
}

/// Fetches every URL of the file.
pub(crate) fn fetch_all(urls: &Path, parse: bool, concurrency: usize) -> anyhow::Result<()> {
    let urls = std::fs::read_to_string(urls)?;
    rustls::crypto::ring::default_provider().install_default().ok().context("install the TLS provider")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let fetches = urls.lines().map(|url| fetch(&client, url, parse));
        stream::iter(fetches).buffer_unordered(concurrency).try_collect::<()>().await
    })
}

async fn fetch(client: &reqwest::Client, url: &str, parse: bool) -> anyhow::Result<()> {
    let response = client.get(url).send().await?.error_for_status()?;
    let body = response.bytes().await?;
    if parse {
        let document = Document::from(String::from_utf8_lossy(&body).as_ref());
        ensure!(document.root().first_child().is_some(), "an empty tree of {url}");
    }
    Ok(())
}
