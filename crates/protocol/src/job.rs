//! What a user asks for: seeds, scope, limits, manners, and how far each page is processed.

use crate::ids::TenantId;
use crate::url::CanonicalUrl;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far pages are processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessMode {
    /// Find links, keep no text.
    Links,
    /// Keep Markdown and chunks, embed nothing.
    Markdown,
    /// Everything: chunks are embedded and searchable.
    #[default]
    Vectors,
}

/// What of a fetched page stays on disk beside its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retain {
    /// The response as a WARC record, and the Markdown: a new parser or model needs no new crawl.
    #[default]
    Raw,
    /// The Markdown only.
    Markdown,
    /// Nothing but the record.
    None,
}

impl Retain {
    /// What stays when nobody says: a job that asks for links is served by the record, which has them and the
    /// validators; of text that was made of a page the response stays too.
    #[must_use]
    pub const fn of(process: ProcessMode) -> Self {
        match process {
            ProcessMode::Links => Self::None,
            ProcessMode::Markdown | ProcessMode::Vectors => Self::Raw,
        }
    }
}

/// How far from its seeds a job may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeMode {
    /// The seed's host, below the seed's directory.
    #[default]
    Directory,
    /// The seed's host.
    Host,
    /// All hosts of the seed's registrable domain.
    Domain,
    /// Anywhere.
    Any,
}

/// Which URLs belong to a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Distance from the seeds.
    pub mode: ScopeMode,
    /// Regular expressions on the whole URL; when there are any, one must match (seeds are exempt).
    pub include: Vec<String>,
    /// Regular expressions on the whole URL; none may match.
    pub exclude: Vec<String>,
}

/// Bounds of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Pages in all: queued, leased, stored and unchanged together.
    pub max_pages: u64,
    /// Links between a page and a seed.
    pub max_depth: u16,
    /// Bytes of a URL.
    pub max_url_bytes: u32,
    /// Links taken from one page.
    pub max_outlinks: u32,
    /// Redirects in a row.
    pub max_redirects: u8,
    /// Attempts per URL.
    pub max_attempts: u8,
    /// Decoded bytes of a body.
    pub max_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pages: 10_000,
            max_depth: 10,
            max_url_bytes: 2_083,
            max_outlinks: 5_000,
            max_redirects: 10,
            max_attempts: 3,
            max_body_bytes: 10 * 1024 * 1024,
        }
    }
}

/// Manners towards one host. They hold over all jobs: the strictest job's values win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Politeness {
    /// Obey robots.txt, meta robots and `nofollow`.
    pub robots: bool,
    /// Time between two starts at one host; a robots.txt `Crawl-delay` above it wins, up to 30 s.
    pub delay: Duration,
    /// Requests at once to one host.
    pub per_host: u16,
}

impl Default for Politeness {
    fn default() -> Self {
        Self { robots: true, delay: Duration::from_secs(1), per_host: 1 }
    }
}

/// A job as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it starts. Never empty.
    pub seeds: Vec<CanonicalUrl>,
    /// Where it may go.
    pub scope: Scope,
    /// Its bounds.
    pub limits: Limits,
    /// Its manners.
    pub politeness: Politeness,
    /// How far pages are processed.
    pub process: ProcessMode,
    /// What stays on disk.
    pub retain: Retain,
    /// Read the sitemaps that robots.txt names.
    pub sitemaps: bool,
}

impl JobSpec {
    /// What makes two jobs the same crawl, so that the same command goes on after a kill and a later one
    /// recrawls: tenant, seeds, scope and processing. Limits and manners may differ.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut field = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        field(self.tenant.as_str());
        field(&format!("{:?}{:?}", self.scope.mode, self.process));
        let mut seeds: Vec<&str> = self.seeds.iter().map(CanonicalUrl::as_str).collect();
        seeds.sort_unstable();
        for list in [seeds, texts(&self.scope.include), texts(&self.scope.exclude)] {
            field(&list.len().to_string());
            list.into_iter().for_each(&mut field);
        }
        let mut identity = [0_u8; 16];
        identity.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        identity
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// URLs are leased.
    Running,
    /// Nothing is leased until it is resumed.
    Paused,
    /// Nothing is left to do.
    Finished,
    /// Given up by the user; what was queued is skipped.
    Cancelled,
}

impl JobState {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }
}
