//! Which links a job does not follow, and why.
//!
//! [`UrlFilter`] judges a URL alone: length, depth, scope, patterns, file name, and the shapes of crawler traps
//! that show in one URL. [`ShapeBudgets`] judges it by how many URLs of its shape came before. Every refusal is a
//! [`RejectReason`](argiope_protocol::RejectReason), counted by the job: nothing is dropped silently.
//! Sitemap files are not for this filter: they are fetched for their entries wherever they lie.

mod budget;
mod media;
mod patterns;
mod scope;
#[cfg(test)]
mod tests;
mod trap;

pub use budget::ShapeBudgets;
pub use patterns::{InvalidPattern, PatternList};

use argiope_protocol::{CanonicalUrl, JobSpec, Limits, RejectReason, Timestamp, UrlSource};
use patterns::Patterns;
use scope::ScopeRule;

/// A job's rules for single URLs, compiled once.
#[derive(Debug, Clone)]
pub struct UrlFilter {
    limits: Limits,
    scope: ScopeRule,
    patterns: Patterns,
    this_year: Option<i32>,
}

impl UrlFilter {
    /// From a job and the URLs its scope is measured from: its seeds, and what they redirected to.
    ///
    /// # Errors
    /// All patterns that are no regular expressions or too large, each with the reason.
    pub fn try_new(spec: &JobSpec, anchors: &[CanonicalUrl]) -> Result<Self, Vec<InvalidPattern>> {
        Ok(Self {
            limits: spec.limits,
            scope: ScopeRule::new(spec.scope.mode, anchors),
            patterns: Patterns::try_new(&spec.scope)?,
            this_year: None,
        })
    }

    /// Tells it the time, so that pages of a calendar are followed two years around it. Without it only dates
    /// outside 1970 to 2100 count as a calendar without end, and [`ShapeBudgets`] stops the others.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.this_year = trap::year_of(now);
        self
    }

    /// Whether a URL may be offered to the frontier. Seeds are asked for by name: only length and `--exclude`
    /// hold for them.
    ///
    /// # Errors
    /// The first reason against it, from the cheapest test to the dearest.
    pub fn check(&self, url: &CanonicalUrl, depth: u16, source: UrlSource) -> Result<(), RejectReason> {
        let is_seed = source == UrlSource::Seed;
        if url.as_str().len() > usize::try_from(self.limits.max_url_bytes).unwrap_or(usize::MAX) {
            return Err(RejectReason::UrlTooLong);
        }
        if !is_seed {
            if depth > self.limits.max_depth {
                return Err(RejectReason::TooDeep);
            }
            if !self.scope.holds(url) {
                return Err(RejectReason::OutOfScope);
            }
            if media::is_media(url) {
                return Err(RejectReason::MediaExtension);
            }
            trap::check(url, self.this_year)?;
        }
        if self.patterns.refuse(url, is_seed) { Err(RejectReason::Filtered) } else { Ok(()) }
    }
}
