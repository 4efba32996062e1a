//! robots.txt: from what a server answered to what may be fetched there, how slowly, and where its sitemaps are.
//!
//! The rules are RFC 9309's, with Google's published reading where the RFC is silent, and `Crawl-delay`, which
//! neither knows. `texting_robots` groups the lines and matches the patterns; everything it does not do is done
//! before it by [`prepare`] (one spelling for rules, product tokens and delays) and after it here. Nothing is
//! fetched and nothing is cached here: the frontier does both, and asks [`status_meaning`] what an answer means.

mod prepare;
mod status;
#[cfg(test)]
mod tests;

pub use status::{StatusMeaning, status_meaning};

use argiope_protocol::{CanonicalUrl, Origin};
use prepare::Prepared;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use texting_robots::Robot;
use url::Url;

/// Bytes of a robots.txt that are read. RFC 9309 §2.5 asks for at least 500 KiB.
pub const MAX_ROBOTS_BYTES: usize = 500 * 1024;

/// The slowest that a `Crawl-delay` makes us: a larger one would hold a host's pages back for weeks.
pub const MAX_CRAWL_DELAY: Duration = Duration::from_secs(30);

/// Sitemaps taken from one robots.txt. Sites with more have a sitemap index; 500 KiB could name 20,000.
const MAX_SITEMAPS: usize = 1_000;

/// What one origin's robots.txt says to one product token. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RobotsRules {
    verdict: Verdict,
    crawl_delay: Option<Duration>,
    is_delay_capped: bool,
    sitemaps: Vec<CanonicalUrl>,
}

#[derive(Debug, Clone)]
enum Verdict {
    AllowAll,
    DenyAll,
    Rules(Arc<Robot>),
}

impl RobotsRules {
    /// From the body of a 2xx answer. Total: what is no robots.txt, HTML above all, holds no rules.
    ///
    /// `product_token` is our name, with or without a version (`Argiope/1.0`).
    #[must_use]
    pub fn parse(body: &[u8], origin: &Origin, product_token: &str) -> Self {
        let Some(prepared) = prepare::prepare(body) else { return Self::allow_all() };
        let token = prepare::product_token(product_token.as_bytes());
        let delay_secs = Robot::new(&token, &prepared.with_delays).ok().and_then(|robot| robot.delay);
        let sitemaps = resolve_sitemaps(&prepared.sitemaps, origin);
        let verdict = match rules_robot(&token, &prepared) {
            Some(robot) => Verdict::Rules(Arc::new(robot)),
            // Both the exact and the widened rules are refused only by a defect: then nothing is fetched.
            None => Verdict::DenyAll,
        };
        let asked = delay_secs.filter(|secs| *secs > 0.0);
        let crawl_delay = asked.map(|secs| Duration::try_from_secs_f32(secs).unwrap_or(Duration::MAX));
        Self {
            verdict,
            crawl_delay: crawl_delay.map(|delay| delay.min(MAX_CRAWL_DELAY)),
            is_delay_capped: crawl_delay.is_some_and(|delay| delay > MAX_CRAWL_DELAY),
            sitemaps,
        }
    }

    /// No rules: everything may be fetched.
    #[must_use]
    pub const fn allow_all() -> Self {
        Self { verdict: Verdict::AllowAll, crawl_delay: None, is_delay_capped: false, sitemaps: Vec::new() }
    }

    /// Nothing but robots.txt itself may be fetched.
    #[must_use]
    pub const fn deny_all() -> Self {
        Self { verdict: Verdict::DenyAll, crawl_delay: None, is_delay_capped: false, sitemaps: Vec::new() }
    }

    /// Whether `url` may be fetched. `/robots.txt` always may (RFC 9309 §2.2.2).
    #[must_use]
    pub fn allows(&self, url: &CanonicalUrl) -> bool {
        match &self.verdict {
            _ if url.path_and_query() == "/robots.txt" => true,
            Verdict::AllowAll => true,
            Verdict::DenyAll => false,
            Verdict::Rules(robot) => robot.allowed(&prepare::match_form_of_url(url.path_and_query())),
        }
    }

    /// Seconds between two starts that the site asks for, at most [`MAX_CRAWL_DELAY`].
    #[must_use]
    pub const fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// Whether the site asked for more than [`MAX_CRAWL_DELAY`]: to be reported.
    #[must_use]
    pub const fn crawl_delay_capped(&self) -> bool {
        self.is_delay_capped
    }

    /// The sitemaps it names, each once, in order, at most 1,000. They may lie on other hosts.
    #[must_use]
    pub fn sitemaps(&self) -> &[CanonicalUrl] {
        &self.sitemaps
    }
}

/// `texting_robots` compiles rules that hold a `$` into regular expressions of bounded size, and refuses the whole
/// file for one that is larger. Then each such rule is tried alone, and those refused are widened or dropped.
fn rules_robot(token: &str, prepared: &Prepared) -> Option<Robot> {
    Robot::new(token, &prepared.rules).ok().or_else(|| {
        let compiles = |rule: &[u8]| Robot::new("*", rule).is_ok();
        Robot::new(token, &prepare::without_refused_rules(&prepared.rules, compiles)).ok()
    })
}

fn resolve_sitemaps(lines: &[String], origin: &Origin) -> Vec<CanonicalUrl> {
    let Ok(base) = Url::parse(&origin.to_url_prefix()) else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let urls = lines.iter().filter_map(|line| CanonicalUrl::join(&base, line).ok());
    urls.filter(|url| seen.insert(url.clone())).take(MAX_SITEMAPS).collect()
}
