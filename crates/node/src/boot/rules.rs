//! What each rule says of a URL: shared by `argiope check url`, which asks for a crawl that may be, and by the explanation
//! of a node, which asks for a job that is.

use super::client;
use crate::api::RuleVerdict;
use crate::config::Config;
use crate::errors::Result;
use argiope_content::filter::UrlFilter;
use argiope_content::robots::RobotsRules;
use argiope_protocol::{CanonicalUrl, JobSpec, Timestamp, UrlSource};
use argiope_store::frontier::{RobotsOutcome, RobotsRecord};

/// The name that robots.txt knows us by.
pub(crate) const ROBOTS_TOKEN: &str = "argiope";

/// One rule's answer.
pub(crate) fn verdict(rule: &str, passes: Option<bool>, detail: impl Into<String>) -> RuleVerdict {
    RuleVerdict { rule: rule.to_owned(), passes, detail: detail.into() }
}

/// Scope, patterns, file name and trap shapes. `anchors` are what the scope is measured from.
pub(crate) fn scope_verdict(
    spec: &JobSpec,
    anchors: &[CanonicalUrl],
    url: &CanonicalUrl,
    (source, depth): (UrlSource, u16),
    now: Timestamp,
) -> RuleVerdict {
    let is_seed = source == UrlSource::Seed;
    let (passes, detail) = match UrlFilter::try_new(spec, anchors).map(|filter| filter.at(now)) {
        Ok(filter) => match filter.check(url, depth, source) {
            Ok(()) if is_seed => (true, "it is a seed: scope does not hold for it".to_owned()),
            Ok(()) => (true, format!("inside the scope of {}", anchors.first().map_or("", |seed| seed.as_str()))),
            Err(reason) => (false, reason.code().to_owned()),
        },
        Err(patterns) => (false, format!("{} patterns are invalid", patterns.len())),
    };
    verdict("scope", Some(passes), detail)
}

/// Whether the egress policy lets the URL's addresses pass; its name is looked up.
///
/// # Errors
/// When the client cannot be made.
pub(crate) async fn egress_verdict(config: &Config, url: &CanonicalUrl) -> Result<RuleVerdict> {
    let client = client(config)?;
    let origin = url.origin();
    let checked = match client.check_url(url.as_url()) {
        Err(denied) => Err(denied.to_string()),
        Ok(()) => client.resolve(&origin.host, origin.port).await.map_err(|error| error.to_string()),
    };
    let (passes, detail) = match checked {
        Ok(addresses) => {
            let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            (true, format!("{} is {}", origin.host, texts.join(", ")))
        }
        Err(cause) => (false, cause),
    };
    Ok(verdict("egress", Some(passes), detail))
}

/// What a kept robots.txt says of a URL. Nothing is fetched for it: that would be a request out of turn.
pub(crate) fn kept_robots_verdict(record: Option<&RobotsRecord>, url: &CanonicalUrl) -> RuleVerdict {
    let Some(record) = record else {
        return verdict("robots", None, "not read yet; it is fetched before the host's first page");
    };
    let passes = match &record.outcome {
        RobotsOutcome::Rules(body) => RobotsRules::parse(body, &url.origin(), ROBOTS_TOKEN).allows(url),
        RobotsOutcome::AllowAll => true,
        RobotsOutcome::DisallowAll { .. } => false,
    };
    verdict("robots", Some(passes), robots_summary(record))
}

/// A kept robots.txt in a few words.
pub(crate) fn robots_summary(record: &RobotsRecord) -> String {
    let at = crate::api::time::text(record.fetched_at);
    match &record.outcome {
        RobotsOutcome::Rules(body) => format!("rules of {} bytes, read {at}", body.len()),
        RobotsOutcome::AllowAll => format!("none (everything is allowed), read {at}"),
        RobotsOutcome::DisallowAll { why } => format!("nothing is allowed for now ({why}), read {at}"),
    }
}
