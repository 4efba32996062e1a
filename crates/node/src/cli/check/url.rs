//! `argiope check url URL`: every rule that a URL must pass, one after the other.

use super::robots;
use crate::api::RuleVerdict;
use crate::boot;
use crate::cli::{Context, output};
use crate::errors::Result;
use argiope_protocol::{CanonicalUrl, UrlSource};

/// Asks all rules and says what comes out. Exit status 5 when the URL is not crawled.
pub(super) async fn run(url: &CanonicalUrl, seeds: Vec<CanonicalUrl>, context: &Context) -> Result<u8> {
    let mut verdicts = vec![boot::verdict("form", Some(true), format!("canonical URL {url}"))];
    let spec = boot::job_spec(&context.config, seeds);
    // As a link one step from the seeds, or as a seed when it is one.
    let found = if spec.seeds.contains(url) { (UrlSource::Seed, 0) } else { (UrlSource::Link, 1) };
    verdicts.push(boot::scope_verdict(&spec, &spec.seeds, url, found, boot::now()));
    let egress = boot::egress_verdict(&context.config, url).await?;
    let is_reachable = egress.passes == Some(true);
    verdicts.push(egress);
    verdicts.push(robots(url, is_reachable, context).await?);
    let is_crawled = verdicts.iter().all(|verdict| verdict.passes != Some(false));
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| vec![word(verdict.passes).to_owned(), verdict.rule.clone(), verdict.detail.clone()])
        .collect();
    context.output.text(output::table(&rows));
    context.output.text(if is_crawled { "It would be crawled." } else { "It would not be crawled." });
    for verdict in &verdicts {
        context.output.object(&serde_json::json!({
            "event": "rule", "rule": verdict.rule, "passes": verdict.passes, "detail": verdict.detail,
        }));
    }
    context.output.object(&serde_json::json!({ "event": "summary", "url": url, "crawled": is_crawled }));
    Ok(if is_crawled { 0 } else { 5 })
}

const fn word(passes: Option<bool>) -> &'static str {
    match passes {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
}

async fn robots(url: &CanonicalUrl, is_reachable: bool, context: &Context) -> Result<RuleVerdict> {
    let skipped = |detail: &str| Ok(boot::verdict("robots", None, detail));
    if !context.config.crawl.politeness.robots {
        return skipped("switched off");
    }
    if !is_reachable {
        return skipped("not asked: the host is not reached");
    }
    let site = robots::read(&context.config, url).await?;
    let passes = site.rules.allows(url);
    Ok(boot::verdict("robots", Some(passes), format!("{}: {}", site.url, site.meaning)))
}
