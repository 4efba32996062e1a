//! What an operator sees of the nodes, and does to them. One node on its own answers for itself; a cluster's view stands
//! on its membership and on the claims in its frontier.

use crate::api::{Explanation, HostView, JobStanding, NodeStatus, RuleVerdict, ShardView, UrlView};
use crate::boot::{Service, egress_verdict, kept_robots_verdict, now, robots_summary, scope_verdict, verdict};
use crate::errors::Result;
use argiope_protocol::{CanonicalUrl, Host, NodeName, NodeRecord, NodeState, Origin, ShardId, UrlSource};
use argiope_store::FrontierStore;
use argiope_store::frontier::{JobRecord, UrlEntry, UrlState};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// Nodes, shards and hosts, seen from this node.
#[async_trait]
pub(crate) trait ClusterView: Send + Sync + 'static {
    /// This node as it tells of itself.
    fn this_node(&self) -> NodeRecord;
    /// Why this node cannot take part in its cluster for the moment.
    fn trouble(&self) -> Option<String>;
    /// All nodes that are known to live, by name.
    async fn nodes(&self) -> Result<Vec<NodeRecord>>;
    /// Who holds the shard; nobody when it is free.
    async fn owner(&self, shard: ShardId) -> Result<Option<NodeName>>;
    /// All shards, in order.
    async fn shards(&self) -> Result<Vec<ShardView>>;
    /// One host; nothing when nothing of it was ever queued.
    async fn host(&self, host: &Host) -> Result<Option<HostView>>;
    /// Has a node hand over what it has, finish what is under way, and end. `false` when there is no such node.
    async fn drain(&self, node: &NodeName) -> Result<bool>;
}

/// A host as the frontier has it, with what is kept of its robots.txt.
///
/// # Errors
/// When the frontier does not answer.
pub(crate) async fn host_view(
    frontier: &dyn FrontierStore,
    host: &Host,
    owner: Option<NodeName>,
) -> Result<Option<HostView>> {
    let Some(summary) = frontier.host(host).await? else { return Ok(None) };
    let mut robots = BTreeMap::new();
    for (is_https, port) in [(true, 443), (false, 80)] {
        let origin = Origin { is_https, host: host.clone(), port };
        if let Some(record) = frontier.robots(&origin).await? {
            robots.insert(origin.to_url_prefix(), robots_summary(&record));
        }
    }
    // A site on another port has the one that its first URL names.
    if let Some(origin) = summary.next.as_ref().map(CanonicalUrl::origin)
        && let Some(record) = frontier.robots(&origin).await?
    {
        robots.insert(origin.to_url_prefix(), robots_summary(&record));
    }
    Ok(Some(HostView {
        host: summary.host,
        shard: ShardId::of_host(host),
        owner,
        queued: summary.n_queued,
        leased: summary.n_leased,
        not_before: summary.not_before,
        wait_secs: summary.not_before.since(now()).as_secs_f64(),
        next_url: summary.next.map(String::from),
        robots,
    }))
}

/// Why a URL is, or is not, crawled; with a job, by its rules and where it stands in it.
///
/// # Errors
/// When a store does not answer.
pub(crate) async fn explain(
    service: &Service,
    view: &dyn ClusterView,
    url: &CanonicalUrl,
    job: Option<JobRecord>,
) -> Result<Explanation> {
    let frontier = service.frontier();
    let entry = match &job {
        Some(job) => frontier.url(job.id, url).await?,
        None => None,
    };
    let mut rules = vec![verdict("form", Some(true), "a canonical http(s) URL")];
    rules.push(scope_rule(service, url, job.as_ref(), entry.as_ref()));
    rules.push(egress_verdict(service.config(), url).await?);
    let obeys = job.as_ref().map_or(service.config().crawl.politeness.robots, |job| job.spec.politeness.robots);
    rules.push(match obeys {
        true => kept_robots_verdict(frontier.robots(&url.origin()).await?.as_ref(), url),
        false => verdict("robots", None, "switched off"),
    });
    let shard = ShardId::of_host(&url.host());
    let allowed = rules.iter().all(|rule| rule.passes != Some(false));
    let standing = |job: JobRecord| JobStanding { id: job.id, state: job.state, url: entry.map(UrlView::from) };
    Ok(Explanation {
        url: url.as_str().to_owned(),
        shard,
        owner: view.owner(shard).await?,
        rules,
        allowed,
        job: job.map(standing),
        host: view.host(&url.host()).await?,
    })
}

/// By the job's scope, else as a seed of a crawl with the node's settings.
fn scope_rule(service: &Service, url: &CanonicalUrl, job: Option<&JobRecord>, entry: Option<&UrlEntry>) -> RuleVerdict {
    let Some(job) = job else {
        let spec = service.spec_for(vec![url.clone()]);
        return scope_verdict(&spec, &spec.seeds, url, (UrlSource::Seed, 0), now());
    };
    let anchors: Vec<CanonicalUrl> = job.spec.seeds.iter().chain(&job.anchors).cloned().collect();
    // A record that was thinned out has lost how its URL was found.
    let is_told = entry.is_some_and(|entry| {
        !(matches!(entry.state, UrlState::Ended(_)) && entry.candidate.source == UrlSource::Known)
    });
    let found = match entry {
        Some(entry) if is_told => (entry.candidate.source, entry.candidate.depth),
        _ if job.spec.seeds.contains(url) => (UrlSource::Seed, 0),
        _ => (UrlSource::Link, 1),
    };
    scope_verdict(&job.spec, &anchors, url, found, now())
}

/// Nodes, shards and jobs at a glance.
///
/// # Errors
/// When a store does not answer.
pub(crate) async fn status(service: &Service, view: &dyn ClusterView) -> Result<NodeStatus> {
    let (this, nodes, shards) = (view.this_node(), view.nodes().await?, view.shards().await?);
    let mut jobs: BTreeMap<String, u64> = BTreeMap::new();
    for job in service.jobs().await? {
        *jobs.entry(job.state.code().to_owned()).or_default() += 1;
    }
    Ok(NodeStatus {
        node: this.name,
        version: this.version,
        state: this.state,
        started_at: this.started_at,
        nodes: nodes.len(),
        owned_shards: shards.iter().filter(|shard| shard.owner.is_some()).count(),
        queued: shards.iter().map(|shard| shard.queued).sum(),
        leased: shards.iter().map(|shard| shard.leased).sum(),
        jobs,
    })
}

/// A node on its own: it owns all shards, since its data directory has no other holder.
pub(crate) struct SingleNode {
    record: NodeRecord,
    service: Service,
    drain: tokio::sync::watch::Sender<bool>,
}

impl SingleNode {
    /// `drain` is told when the node shall end.
    pub(crate) const fn new(record: NodeRecord, service: Service, drain: tokio::sync::watch::Sender<bool>) -> Self {
        Self { record, service, drain }
    }
}

#[async_trait]
impl ClusterView for SingleNode {
    fn this_node(&self) -> NodeRecord {
        let is_draining = *self.drain.borrow() || self.service.is_draining();
        let state = if is_draining { NodeState::Draining } else { NodeState::Live };
        NodeRecord { in_flight: self.service.n_requests(), state, ..self.record.clone() }
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>> {
        Ok(vec![self.this_node()])
    }

    async fn owner(&self, _: ShardId) -> Result<Option<NodeName>> {
        Ok(Some(self.record.name.clone()))
    }

    async fn shards(&self) -> Result<Vec<ShardView>> {
        let mut shards = Vec::with_capacity(usize::from(argiope_protocol::ids::N_SHARDS));
        for shard in ShardId::all() {
            let load = self.service.frontier().load(shard).await?;
            shards.push(ShardView {
                shard,
                owner: Some(self.record.name.clone()),
                epoch: None,
                expires_at: None,
                hosts: load.n_hosts,
                queued: load.n_queued,
                leased: load.n_leased,
            });
        }
        Ok(shards)
    }

    async fn host(&self, host: &Host) -> Result<Option<HostView>> {
        host_view(self.service.frontier(), host, Some(self.record.name.clone())).await
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        if *node != self.record.name {
            return Ok(false);
        }
        // Nobody waits for it when the node ends already.
        let _ = self.drain.send(true);
        Ok(true)
    }
}
