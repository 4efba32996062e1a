//! What every frontier store must do: single rules in [`rules`] and [`fence`], and [`model`], which compares the answers to any
//! row of operations with those of a small model in memory.

pub mod fence;
pub mod model;
pub mod rules;

use crate::FrontierStore;
use crate::frontier::LeaseRequest;
use argiope_protocol::{
    Candidate, CanonicalUrl, Claim, Epoch, Host, JobId, JobSpec, Limits, NodeName, Politeness, ProcessMode, Scope,
    ShardId, TenantId, Timestamp, UrlKind, UrlSource,
};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// Opens the one store that a test works on. Called again after the former handle was dropped, it opens the same
/// store as a new process would.
#[async_trait]
pub trait FrontierFactory: Send + Sync {
    /// Opens the store.
    async fn open(&self, now: Timestamp) -> Arc<dyn FrontierStore>;

    /// Whether the store dies with its process, so that the next open finds every claim void and every lease lost. A
    /// store on a server does not: claims and leases run to their end, whoever made them.
    fn dies_with_its_process(&self) -> bool {
        true
    }
}

/// A URL of the tests: all hosts are below one domain, hence in one shard.
#[must_use]
pub fn url(host: u8, path: u8) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("https://h{host}.example.org/{path}")).expect("the text is a URL")
}

/// A host of the tests.
#[must_use]
pub fn host(number: u8) -> Host {
    url(number, 0).host()
}

/// The shard of all hosts of the tests.
#[must_use]
pub fn shard() -> ShardId {
    ShardId::of_host(&host(0))
}

/// A link at depth 1.
#[must_use]
pub fn link(url: CanonicalUrl) -> Candidate {
    Candidate { url, kind: UrlKind::Page, source: UrlSource::Link, depth: 1, redirect_chain: Vec::new() }
}

/// The id of the `n`th job.
#[must_use]
pub fn job_id(number: u8) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(u128::from(number) + 1))
}

/// A job of a tenant.
#[must_use]
pub fn spec(tenant: &str, max_pages: u64) -> JobSpec {
    JobSpec {
        tenant: TenantId::try_new(tenant).expect("the tests name tenants well"),
        seeds: vec![url(0, 0)],
        scope: Scope::default(),
        limits: Limits { max_pages, ..Limits::default() },
        politeness: Politeness::default(),
        process: ProcessMode::default(),
        retain: argiope_protocol::job::Retain::default(),
        sitemaps: false,
    }
}

/// Milliseconds after the tests' beginning.
#[must_use]
pub const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// Claims the tests' shard for an hour.
pub async fn claim(store: &dyn FrontierStore, now: Timestamp) -> Claim {
    let node = NodeName::default();
    let claim = store.claim(shard(), &node, Duration::from_secs(3_600), Epoch(0), now).await;
    claim.expect("the claim is answered").expect("the shard is free")
}

/// A request for one URL, without a delay, for a lease of 10 s.
#[must_use]
pub fn request(number: u8, max_in_flight: u16) -> LeaseRequest {
    LeaseRequest {
        host: host(number),
        visibility: Duration::from_secs(10),
        delay: Duration::ZERO,
        window: Duration::ZERO,
        max_in_flight,
        max_urls: 1,
    }
}
