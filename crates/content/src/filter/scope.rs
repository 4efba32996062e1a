//! How far from its anchors a job may go.

use argiope_protocol::{CanonicalUrl, Domain, ScopeMode};
use std::collections::BTreeSet;

/// One rule for all anchors: a URL is in scope when any anchor has it in its own.
#[derive(Debug, Clone)]
pub(super) enum ScopeRule {
    /// Site and directory.
    Directories(BTreeSet<(Site, String)>),
    Sites(BTreeSet<Site>),
    Domains(BTreeSet<Domain>),
    Any,
}

/// A host without `www.`, and the port where it is not the scheme's own: `http://www.example.org` and
/// `https://example.org` are one site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    host: String,
    port: Option<u16>,
}

impl Site {
    fn of(url: &CanonicalUrl) -> Self {
        let host = url.host();
        let bare = host.as_str().strip_prefix("www.").filter(|rest| rest.contains('.'));
        Self { host: bare.unwrap_or(host.as_str()).to_owned(), port: url.as_url().port() }
    }
}

impl ScopeRule {
    pub(super) fn new(mode: ScopeMode, anchors: &[CanonicalUrl]) -> Self {
        match mode {
            ScopeMode::Directory => {
                let rule = |url: &CanonicalUrl| (Site::of(url), directory(url.as_url().path()).to_owned());
                Self::Directories(anchors.iter().map(rule).collect())
            }
            ScopeMode::Host => Self::Sites(anchors.iter().map(Site::of).collect()),
            ScopeMode::Domain => Self::Domains(anchors.iter().map(|url| url.host().domain()).collect()),
            ScopeMode::Any => Self::Any,
        }
    }

    pub(super) fn holds(&self, url: &CanonicalUrl) -> bool {
        match self {
            Self::Directories(anchors) => {
                let site = Site::of(url);
                anchors.iter().any(|(anchor, path)| *anchor == site && url.as_url().path().starts_with(path))
            }
            Self::Sites(sites) => sites.contains(&Site::of(url)),
            Self::Domains(domains) => domains.contains(&url.host().domain()),
            Self::Any => true,
        }
    }
}

/// A path up to and with its last slash.
pub(super) fn directory(path: &str) -> &str {
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/")
}
