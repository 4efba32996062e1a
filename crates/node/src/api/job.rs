//! A job as the interface shows it, and back.

use super::time;
use argiope_protocol::job::Retain;
use argiope_protocol::{
    CanonicalUrl, JobCounters, JobId, JobSpec, JobState, Limits, Politeness, ProcessMode, RejectReason, Scope,
    ScopeMode, TenantId, Timestamp,
};
use argiope_store::frontier::JobRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A job: what was asked for, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobView {
    /// Its id.
    pub(crate) id: JobId,
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// Where it stands.
    pub(crate) state: JobState,
    /// When it was made.
    #[serde(with = "time")]
    pub(crate) created_at: Timestamp,
    /// When it reached a final state.
    #[serde(with = "time::opt")]
    pub(crate) ended_at: Option<Timestamp>,
    /// Where it starts.
    pub(crate) seeds: Vec<CanonicalUrl>,
    /// Its settings by the names under which a request gives them.
    pub(crate) settings: Settings,
    /// Its ledger.
    pub(crate) counters: JobCounters,
    /// Ended URLs by the code of their reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Links that were never admitted, by reason.
    pub(crate) rejected: BTreeMap<RejectReason, u64>,
    /// What seeds redirected to.
    pub(crate) anchors: Vec<CanonicalUrl>,
}

/// A job's settings: the keys of `[crawl]` that belong to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) scope: ScopeMode,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) limit: u64,
    pub(crate) depth: u16,
    pub(crate) delay_secs: f64,
    pub(crate) per_host: u16,
    pub(crate) process: ProcessMode,
    pub(crate) retain: Retain,
    pub(crate) robots: bool,
    pub(crate) sitemaps: bool,
    pub(crate) max_url_bytes: u32,
    pub(crate) max_outlinks: u32,
    pub(crate) max_redirects: u8,
    pub(crate) max_attempts: u8,
    pub(crate) max_body_bytes: u64,
}

/// Answer to a job that was handed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Created {
    /// `new`, `resumed`, `recrawl`, or `known` when the idempotency key was used for the same request before.
    pub(crate) how: String,
    /// What the node has to say, such as which seeds it does not crawl.
    pub(crate) warnings: Vec<String>,
    /// The job.
    pub(crate) job: JobView,
}

/// Answer to a retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Retried {
    /// Failed URLs that wait again.
    pub(crate) urls: u64,
    /// The job.
    pub(crate) job: JobView,
}

impl From<JobRecord> for JobView {
    fn from(record: JobRecord) -> Self {
        let JobRecord { id, spec, state, created_at, ended_at, counters, reasons, rejected, anchors } = record;
        let settings = Settings::of(&spec);
        let (tenant, seeds) = (spec.tenant, spec.seeds);
        Self { id, tenant, state, created_at, ended_at, seeds, settings, counters, reasons, rejected, anchors }
    }
}

impl From<JobView> for JobRecord {
    fn from(view: JobView) -> Self {
        let JobView { id, tenant, state, created_at, ended_at, seeds, settings, counters, reasons, rejected, anchors } =
            view;
        let spec = settings.into_spec(tenant, seeds);
        Self { id, spec, state, created_at, ended_at, counters, reasons, rejected, anchors }
    }
}

impl Settings {
    fn of(spec: &JobSpec) -> Self {
        let JobSpec { scope, limits, politeness, .. } = spec;
        Self {
            scope: scope.mode,
            include: scope.include.clone(),
            exclude: scope.exclude.clone(),
            limit: limits.max_pages,
            depth: limits.max_depth,
            delay_secs: politeness.delay.as_secs_f64(),
            per_host: politeness.per_host,
            process: spec.process,
            retain: spec.retain,
            robots: politeness.robots,
            sitemaps: spec.sitemaps,
            max_url_bytes: limits.max_url_bytes,
            max_outlinks: limits.max_outlinks,
            max_redirects: limits.max_redirects,
            max_attempts: limits.max_attempts,
            max_body_bytes: limits.max_body_bytes,
        }
    }

    fn into_spec(self, tenant: TenantId, seeds: Vec<CanonicalUrl>) -> JobSpec {
        JobSpec {
            tenant,
            seeds,
            scope: Scope { mode: self.scope, include: self.include, exclude: self.exclude },
            limits: Limits {
                max_pages: self.limit,
                max_depth: self.depth,
                max_url_bytes: self.max_url_bytes,
                max_outlinks: self.max_outlinks,
                max_redirects: self.max_redirects,
                max_attempts: self.max_attempts,
                max_body_bytes: self.max_body_bytes,
            },
            politeness: Politeness {
                robots: self.robots,
                delay: Duration::try_from_secs_f64(self.delay_secs).unwrap_or_default(),
                per_host: self.per_host,
            },
            process: self.process,
            retain: self.retain,
            sitemaps: self.sitemaps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_the_way_to_a_command() {
        let url = |text: &str| CanonicalUrl::parse(text).unwrap();
        let spec = JobSpec {
            tenant: TenantId::default(),
            seeds: vec![url("https://a.example/")],
            scope: Scope { mode: ScopeMode::Domain, include: vec!["/a/".to_owned()], exclude: Vec::new() },
            limits: Limits { max_pages: 7, ..Limits::default() },
            politeness: Politeness { delay: Duration::from_millis(600), ..Politeness::default() },
            process: ProcessMode::Markdown,
            retain: Retain::None,
            sitemaps: false,
        };
        let record = JobRecord {
            id: JobId::from_uuid(uuid::Uuid::nil()),
            spec,
            state: JobState::Cancelled,
            created_at: Timestamp::from_millis(1_764_327_176_123),
            ended_at: Some(Timestamp::from_millis(1_764_327_176_999)),
            counters: JobCounters { discovered: 3, stored: 2, failed: 1, ..JobCounters::default() },
            reasons: BTreeMap::from([("timeout".to_owned(), 1)]),
            rejected: BTreeMap::from([(RejectReason::OutOfScope, 4)]),
            anchors: vec![url("https://b.example/")],
        };
        let text = serde_json::to_string(&JobView::from(record.clone())).unwrap();
        assert_eq!(JobRecord::from(serde_json::from_str::<JobView>(&text).unwrap()), record, "{text}");
        assert!(text.contains("\"delay_secs\":0.6") && text.contains("\"out_of_scope\":4"), "{text}");
    }
}
