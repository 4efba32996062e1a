//! The frontier that nodes share, when one is configured.

use crate::config::{Config, FrontierBackend, Secret};
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use argiope_store::PageStore;
use argiope_store::redis::{Durability, EndedTexts, OpenOptions, RedisFrontier};
use std::sync::Arc;

/// Opens it; `None` when the frontier is in the data directory.
///
/// # Errors
/// When the server is away, refuses, or may lose what it acknowledges although that was ruled out.
pub(super) async fn shared(config: &Config, pages: &Arc<dyn PageStore>) -> Result<Option<Arc<RedisFrontier>>> {
    let FrontierBackend::Redis { urls, user, password, prefix, is_strict } = &config.frontier.backend else {
        return Ok(None);
    };
    let password = password.as_ref().map(Secret::read).transpose()?;
    let with_login = |url: &url::Url| {
        let mut url = url.clone();
        // A redis:// URL has a host, so both can be set.
        let _ = url.set_username(user.as_deref().unwrap_or_default());
        let _ = url.set_password(password.as_deref());
        url.to_string()
    };
    let options = OpenOptions {
        prefix: prefix.clone(),
        durability: if *is_strict { Durability::Strict } else { Durability::Normal },
        ended_texts: EndedTexts::InPages(Arc::clone(pages)),
        ..OpenOptions::new(urls.iter().map(with_login).collect())
    };
    let opened = Box::pin(RedisFrontier::open(&options, super::now())).await;
    let frontier = opened.map_err(|error| {
        let places: Vec<String> = urls.iter().map(ToString::to_string).collect();
        let next = match error.code() {
            ErrorCode::StoreNotDurable => "set `appendfsync always` on the server, or `frontier.durability = \"normal\"`",
            _ => "does redis-server run there, and are user and password right? `argiope config --print` shows [frontier]",
        };
        let error = CliError::from(error).because(format!("the frontier is {} (frontier.redis_urls)", places.join(", ")));
        error.advise(next)
    })?;
    Ok(Some(Arc::new(frontier)))
}
