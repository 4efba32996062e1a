//! `argiope check url | robots | parse | config`: why a URL is (not) crawled, and what the parser sees.

mod fetch;
mod parse;
mod robots;
mod url;

use super::Context;
use super::settings::Settings;
use crate::boot;
use crate::config::Layer;
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode};
use clap::{Args, Subcommand};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Why a URL is (not) crawled: form, egress policy, scope and filters, robots.txt.
    Url {
        /// The URL.
        url: String,
        /// Seed of the crawl it is for; by default the URL itself.
        #[arg(long, value_name = "URL")]
        seed: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Fetch a site's robots.txt and explain it.
    Robots {
        /// Any URL of the site.
        url: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show title, links, Markdown and chunks of a file or a page.
    Parse {
        /// A file, or a URL that is fetched.
        #[arg(value_name = "FILE_OR_URL")]
        source: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Whether the configuration is right; prints it.
    Config {
        #[command(flatten)]
        settings: Settings,
    },
}

impl Arguments {
    /// The flags as a layer of the configuration.
    pub(crate) fn add_to(&self, layer: &mut Layer) {
        match &self.what {
            What::Url { settings, .. }
            | What::Robots { settings, .. }
            | What::Parse { settings, .. }
            | What::Config { settings } => settings.add_to(layer),
        }
    }
}

/// Checks and explains.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    match arguments.what {
        What::Config { .. } => {
            context.output.text(crate::config::print::to_text(&context.config).trim_end());
            context.output.object(&crate::config::print::to_json(&context.config));
            Ok(0)
        }
        What::Robots { url, .. } => robots::run(&parse_argument(&url)?, context).await,
        What::Parse { source, .. } => parse::run(&source, context).await,
        What::Url { url, seed, .. } => {
            let url = parse_argument(&url)?;
            let seeds = seed.iter().map(|seed| parse_argument(seed)).collect::<Result<Vec<_>>>()?;
            let seeds = if seeds.is_empty() { vec![url.clone()] } else { seeds };
            url::run(&url, seeds, context).await
        }
    }
}

/// A URL argument.
fn parse_argument(text: &str) -> Result<CanonicalUrl> {
    boot::parse_url(text).map_err(|cause| CliError::new(ErrorCode::InvalidUrl, cause))
}
