//! The configured embedding model.

use super::outgoing::client;
use crate::config::{Config, Embedder as Kind};
use crate::errors::{CliError, Result};
use argiope_actors::embedder::{EmbedError, Embedder, LocalEmbedder, OpenAiEmbedder, OpenAiOptions};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Loads or connects what is configured.
///
/// # Errors
/// `AR0302` when a directory does not hold a whole model or the server's settings are refused.
pub(crate) fn embedder(config: &Config) -> Result<Arc<dyn Embedder>> {
    match &config.embedder {
        Kind::Builtin => Ok(Arc::new(LocalEmbedder::builtin())),
        Kind::Static(dir) => Ok(Arc::new(LocalEmbedder::from_dir(dir).map_err(|error| failed(&error))?)),
        Kind::OpenAi { url, model, dimension, api_key } => {
            let mut options = OpenAiOptions::new(url.clone(), model, *dimension);
            options.api_key = api_key.as_ref().map(crate::config::Secret::read).transpose()?;
            options.allow_cidrs = own_rule(url);
            let remote = OpenAiEmbedder::try_new(options, Arc::new(client(config)?)).map_err(|error| failed(&error))?;
            Ok(Arc::new(remote))
        }
    }
}

/// The server that the configuration names may be on this machine or network; crawled links may not go there.
fn own_rule(url: &url::Url) -> Vec<IpNet> {
    match url.host() {
        Some(url::Host::Ipv4(address)) => vec![IpNet::from(IpAddr::V4(address))],
        Some(url::Host::Ipv6(address)) => vec![IpNet::from(IpAddr::V6(address))],
        Some(url::Host::Domain("localhost")) => {
            vec![IpNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST)), IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]
        }
        Some(url::Host::Domain(_)) | None => Vec::new(),
    }
}

pub(super) fn failed(error: &EmbedError) -> CliError {
    CliError::new(error.code(), "the embedding model cannot be used").because(error)
}
