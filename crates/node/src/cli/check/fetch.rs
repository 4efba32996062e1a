//! One page, fetched for a question: redirects are followed here, each hop through the guarded client.

use crate::boot;
use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_egress::{Accept, AlwaysOpen, FetchError, FetchRequest, FetchResponse, GuardedClient};
use argiope_protocol::{CanonicalUrl, ErrorCode, Validators};
use std::sync::Arc;

/// Fetches a URL and what it redirects to. Answers the last URL with its answer.
///
/// # Errors
/// `AR0101`, or `AR0401` when there is no answer.
pub(super) async fn follow(
    config: &Config,
    url: &CanonicalUrl,
    accept: Accept,
    max_body_bytes: u64,
) -> Result<(CanonicalUrl, FetchResponse)> {
    let client = boot::client(config)?;
    let mut at = url.clone();
    for _ in 0..=config.crawl.limits.max_redirects {
        let answer = once(&client, &at, accept, max_body_bytes).await.map_err(|error| failed(&at, &error))?;
        let is_redirect = (300..400).contains(&answer.status) && answer.status != 304;
        let Some(location) = answer.location.as_ref().filter(|_| is_redirect) else { return Ok((at, answer)) };
        let target = at.as_url().join(location).map_err(|error| error.to_string());
        at =
            target.and_then(|url| CanonicalUrl::from_url(url).map_err(|error| error.to_string())).map_err(|cause| {
                CliError::new(ErrorCode::PagesFailed, format!("{at} redirects to nowhere")).because(cause).advise(NEXT)
            })?;
    }
    Err(CliError::new(ErrorCode::PagesFailed, format!("{url} redirects too often")).advise(NEXT))
}

const NEXT: &str = "try the URL in a browser; `argiope check url URL` says what is known of it";

async fn once(
    client: &GuardedClient,
    url: &CanonicalUrl,
    accept: Accept,
    max_body_bytes: u64,
) -> std::result::Result<FetchResponse, FetchError> {
    let window = Arc::new(AlwaysOpen);
    let request = FetchRequest { url: url.clone(), validators: Validators::default(), accept, max_body_bytes, window };
    client.fetch(request).await
}

fn failed(url: &CanonicalUrl, error: &FetchError) -> CliError {
    match error {
        FetchError::Denied(denied) => {
            let error = CliError::new(ErrorCode::EgressDenied, format!("{url} is not fetched")).because(denied);
            match denied.hint.flag() {
                Some(flag) => error.advise(format!("if the machine is yours, add {flag}")),
                None => error,
            }
        }
        error => CliError::new(ErrorCode::PagesFailed, format!("{url} cannot be fetched ({})", error.reason()))
            .because(error)
            .advise(NEXT),
    }
}
