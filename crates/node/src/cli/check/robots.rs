//! `argiope check robots URL`: what a site's robots.txt says to us.

use super::fetch;
use crate::boot::ROBOTS_TOKEN as TOKEN;
use crate::cli::Context;
use crate::config::Config;
use crate::errors::Result;
use argiope_content::robots::{MAX_ROBOTS_BYTES, RobotsRules, StatusMeaning, status_meaning};
use argiope_egress::Accept;
use argiope_protocol::{CanonicalUrl, ErrorCode};

/// Rules, and how they came to be.
pub(super) struct Site {
    /// Where robots.txt is.
    pub(super) url: CanonicalUrl,
    /// What it says.
    pub(super) rules: RobotsRules,
    /// What the fetch meant, in words.
    pub(super) meaning: String,
    /// Its text, when it has one.
    pub(super) text: Option<String>,
}

/// Fetches the robots.txt that speaks for a URL.
pub(super) async fn read(config: &Config, url: &CanonicalUrl) -> Result<Site> {
    let origin = url.origin();
    let robots_url = super::parse_argument(&format!("{}/robots.txt", origin.to_url_prefix()))?;
    let fetched = fetch::follow(config, &robots_url, Accept::Robots, MAX_ROBOTS_BYTES as u64).await;
    let (rules, meaning, text) = match fetched {
        Err(error) if error.code == ErrorCode::EgressDenied => return Err(error),
        Err(error) => (RobotsRules::deny_all(), format!("no answer ({}): nothing is allowed", error.message), None),
        Ok((_, answer)) => match status_meaning(answer.status) {
            StatusMeaning::Rules => {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                (RobotsRules::parse(&answer.body, &origin, TOKEN), format!("status {}", answer.status), Some(text))
            }
            StatusMeaning::AllowAll | StatusMeaning::Redirect => {
                (RobotsRules::allow_all(), format!("status {}: everything is allowed", answer.status), None)
            }
            StatusMeaning::DisallowAll => {
                (RobotsRules::deny_all(), format!("status {}: nothing is allowed for now", answer.status), None)
            }
        },
    };
    Ok(Site { url: robots_url, rules, meaning, text })
}

/// Fetches and explains.
pub(super) async fn run(url: &CanonicalUrl, context: &Context) -> Result<u8> {
    let site = read(&context.config, url).await?;
    let allowed = site.rules.allows(url);
    let delay = site.rules.crawl_delay().map(|delay| delay.as_secs_f64());
    let sitemaps: Vec<&str> = site.rules.sitemaps().iter().map(CanonicalUrl::as_str).collect();
    let output = context.output;
    output.text(format!("{}\n  {}", site.url, site.meaning));
    output.text(format!("  {url} is {} for {TOKEN}", if allowed { "allowed" } else { "forbidden" }));
    if let Some(seconds) = delay {
        let capped = if site.rules.crawl_delay_capped() { ", cut from a longer one" } else { "" };
        output.text(format!("  crawl delay {seconds} s{capped}"));
    }
    sitemaps.iter().for_each(|sitemap| output.text(format!("  sitemap {sitemap}")));
    if let Some(text) = &site.text {
        output.text(format!("\n{}", text.trim_end()));
    }
    output.object(&serde_json::json!({
        "event": "robots", "robots_url": site.url, "url": url, "allowed": allowed, "meaning": site.meaning,
        "crawl_delay_secs": delay, "crawl_delay_capped": site.rules.crawl_delay_capped(), "sitemaps": sitemaps,
    }));
    Ok(0)
}
