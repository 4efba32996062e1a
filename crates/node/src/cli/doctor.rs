//! `argiope doctor`: what is here.

use super::{Context, output};
use crate::boot;
use crate::config::PagesBackend;
use crate::errors::Result;
use std::path::{Path, PathBuf};

/// One line of the report.
struct Check {
    name: &'static str,
    is_good: bool,
    detail: String,
}

/// Reports on data directory, disk, stores and model. Exit status 4 when the stores cannot be opened.
pub(crate) async fn run(context: &Context) -> Result<u8> {
    let config = &context.config;
    let has_data = boot::has_data(config);
    let mut checks = vec![
        Check { name: "version", is_good: true, detail: env!("CARGO_PKG_VERSION").to_owned() },
        Check { name: "data directory", is_good: true, detail: directory(&config.data_dir, has_data) },
        disk(&config.data_dir, config.pages.min_free_bytes),
        model(context),
        Check {
            name: "contact",
            is_good: config.crawl.contact.is_some(),
            detail: config.crawl.contact.clone().unwrap_or_else(|| "none: needed for other people's hosts".to_owned()),
        },
    ];
    let mut status = 0;
    if let PagesBackend::Objects(objects) = &config.pages.backend {
        let opened = boot::shared_pages(config).await;
        let (is_good, said) = match &opened {
            Ok(_) => (true, "open".to_owned()),
            Err(error) => (false, error.to_string()),
        };
        status = opened.err().map_or(0, |error| error.code.exit_code());
        let detail = format!("{}: {said}", boot::pages_place(&objects.url));
        checks.push(Check { name: "shared pages", is_good, detail });
    }
    if has_data {
        match boot::Stores::open(config).await {
            Ok(stores) => checks.push(index(&stores, context).await?),
            Err(error) => {
                status = error.code.exit_code();
                checks.push(Check { name: "stores", is_good: false, detail: error.to_string() });
            }
        }
    }
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| vec![mark(check.is_good).to_owned(), check.name.to_owned(), check.detail.clone()])
        .collect();
    context.output.text(output::table(&rows));
    for check in &checks {
        context.output.object(&serde_json::json!({
            "event": "check", "name": check.name, "good": check.is_good, "detail": check.detail,
        }));
    }
    Ok(status)
}

const fn mark(is_good: bool) -> &'static str {
    if is_good { "ok" } else { "--" }
}

fn directory(path: &Path, has_data: bool) -> String {
    let state = if has_data { "in use" } else { "nothing there yet" };
    format!("{} ({state})", path.display())
}

async fn index(stores: &boot::Stores, context: &Context) -> Result<Check> {
    let n_jobs = stores.frontier.jobs().await?.len();
    let n_chunks = stores.vectors.count(&context.config.tenant).await?;
    let model = stores.vectors.model();
    let detail = format!("{n_jobs} jobs, {n_chunks} chunks of {} ({} dimensions)", model.id, model.dimension);
    Ok(Check { name: "stores", is_good: true, detail })
}

fn model(context: &Context) -> Check {
    match boot::embedder(&context.config).map(|embedder| embedder.model().clone()) {
        Ok(index) => {
            Check { name: "model", is_good: true, detail: format!("{} ({} dimensions)", index.id, index.dimension) }
        }
        Err(error) => Check { name: "model", is_good: false, detail: error.to_string() },
    }
}

fn disk(data_dir: &Path, min_free_bytes: u64) -> Check {
    let existing =
        data_dir.ancestors().find(|path| path.exists()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    match rustix::fs::statvfs(&existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let detail =
                format!("{} free, nothing is written below {}", output::bytes(free), output::bytes(min_free_bytes));
            Check { name: "disk", is_good: free >= min_free_bytes, detail }
        }
        Err(error) => Check { name: "disk", is_good: false, detail: format!("{}: {error}", existing.display()) },
    }
}
