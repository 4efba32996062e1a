//! `argiope check url URL`: every rule that a URL must pass, one after the other.

use super::robots;
use crate::boot;
use crate::cli::{Context, crawl, output};
use crate::errors::Result;
use argiope_content::filter::UrlFilter;
use argiope_protocol::{CanonicalUrl, UrlSource};

/// One rule's answer.
struct Verdict {
    rule: &'static str,
    /// `None`: the rule was not asked.
    passes: Option<bool>,
    detail: String,
}

/// Asks all rules and says what comes out. Exit status 5 when the URL is not crawled.
pub(super) async fn run(url: &CanonicalUrl, seeds: Vec<CanonicalUrl>, context: &Context) -> Result<u8> {
    let mut verdicts = vec![Verdict { rule: "form", passes: Some(true), detail: format!("canonical URL {url}") }];
    verdicts.push(scope(url, seeds, context));
    let egress = egress(url, context).await?;
    let is_reachable = egress.passes == Some(true);
    verdicts.push(egress);
    verdicts.push(robots(url, is_reachable, context).await?);
    let is_crawled = verdicts.iter().all(|verdict| verdict.passes != Some(false));
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| vec![word(verdict.passes).to_owned(), verdict.rule.to_owned(), verdict.detail.clone()])
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

/// Scope, patterns, file name and trap shapes, as for a link one step from the seeds; as a seed when it is one.
fn scope(url: &CanonicalUrl, seeds: Vec<CanonicalUrl>, context: &Context) -> Verdict {
    let is_seed = seeds.contains(url);
    let spec = crawl::job_spec(&context.config, seeds);
    let anchors = spec.seeds.clone();
    let (source, depth) = if is_seed { (UrlSource::Seed, 0) } else { (UrlSource::Link, 1) };
    let (passes, detail) = match UrlFilter::try_new(&spec, &anchors).map(|filter| filter.at(boot::now())) {
        Ok(filter) => match filter.check(url, depth, source) {
            Ok(()) if is_seed => (true, "it is a seed: scope does not hold for it".to_owned()),
            Ok(()) => (true, format!("inside the scope of {}", anchors.first().map_or("", |seed| seed.as_str()))),
            Err(reason) => (false, format!("{reason}")),
        },
        Err(patterns) => (false, format!("{} patterns are invalid", patterns.len())),
    };
    Verdict { rule: "scope", passes: Some(passes), detail }
}

async fn egress(url: &CanonicalUrl, context: &Context) -> Result<Verdict> {
    let client = boot::client(&context.config)?;
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
    Ok(Verdict { rule: "egress", passes: Some(passes), detail })
}

async fn robots(url: &CanonicalUrl, is_reachable: bool, context: &Context) -> Result<Verdict> {
    let skipped = |detail: &str| Ok(Verdict { rule: "robots", passes: None, detail: detail.to_owned() });
    if !context.config.crawl.politeness.robots {
        return skipped("switched off");
    }
    if !is_reachable {
        return skipped("not asked: the host is not reached");
    }
    let site = robots::read(&context.config, url).await?;
    let passes = site.rules.allows(url);
    Ok(Verdict { rule: "robots", passes: Some(passes), detail: format!("{}: {}", site.url, site.meaning) })
}
