//! A claim that another node's has replaced: whatever it asks for is fenced, and nothing of the shard moves.

use super::{FrontierFactory, at, host, job_id, link, request, shard, spec, url};
use crate::frontier::{
    FrontierStore, HostSummary, JobRecord, LeaseAnswer, RejectTally, RobotsOutcome, RobotsRecord, ShardLoad, UrlEntry,
    UrlFilter,
};
use crate::{Error, Result};
use argiope_protocol::{Claim, Epoch, FailReason, Fate, LeaseToken, NodeName, PageKey, SkipReason};
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(5);
/// When the first claim has run out and the second is made.
const LATER: u64 = 6_000;

/// What the first owner's calls did.
#[derive(Debug)]
pub struct Findings {
    /// Calls that were taken.
    pub taken: Vec<&'static str>,
    /// Calls that were fenced.
    pub fenced: Vec<&'static str>,
    /// Whether anything of the shard, its job and its hosts is not as it was.
    pub is_changed: bool,
}

/// All that can be seen of the shard without a claim.
type Seen = (
    Option<Claim>,
    JobRecord,
    Vec<(PageKey, UrlEntry)>,
    [Option<HostSummary>; 2],
    ShardLoad,
    Option<RobotsRecord>,
    Vec<String>,
);

async fn look(store: &dyn FrontierStore) -> Seen {
    (
        store.owner(shard(), at(LATER)).await.expect("answered"),
        store.job(job_id(0)).await.expect("answered"),
        store.list_urls(job_id(0), UrlFilter::All, None, 100).await.expect("answered"),
        [store.host(&host(0)).await.expect("answered"), store.host(&host(1)).await.expect("answered")],
        store.load(shard()).await.expect("answered"),
        store.robots(&url(0, 0).origin()).await.expect("answered"),
        store.verify().await.expect("answered"),
    )
}

/// The first owner admits, leases two URLs, and is silent for longer than its claim holds.
async fn first_owner(store: &dyn FrontierStore) -> (Claim, [LeaseToken; 2]) {
    let node = NodeName::try_new("node-a").expect("the name is valid");
    let claim = store.claim(shard(), &node, TTL, Epoch(0), at(0)).await.ok().flatten().expect("the shard is free");
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    let offer = (0..4).map(|path| link(url(0, path))).collect();
    store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
    let mut wanted = request(0, 4);
    (wanted.visibility, wanted.max_urls) = (Duration::from_secs(60), 2);
    let LeaseAnswer::Granted(leases) = store.lease(&claim, &wanted, at(0)).await.expect("answered") else {
        panic!("nothing was leased")
    };
    let tokens: Vec<LeaseToken> = leases.iter().map(|lease| lease.token).collect();
    (claim, tokens.try_into().expect("two URLs are leased"))
}

/// The first owner wakes after another node has claimed the shard, and asks for everything that an owner may ask for.
pub async fn calls_of_a_replaced_owner(factory: &dyn FrontierFactory) -> Findings {
    let store: Arc<dyn FrontierStore> = factory.open(at(0)).await;
    let (old, [first, second]) = first_owner(&*store).await;
    let node = NodeName::try_new("node-b").expect("the name is valid");
    let new = store.claim(shard(), &node, TTL, Epoch(0), at(LATER)).await.ok().flatten().expect("it has run out");
    assert!(new.epoch > old.epoch);
    let before = look(&*store).await;
    let now = at(LATER + 1);
    let until = at(LATER + 60_000);
    let mut findings = Findings { taken: Vec::new(), fenced: Vec::new(), is_changed: false };
    let mut note = |name, result: Result<()>| match result {
        Ok(()) => findings.taken.push(name),
        Err(Error::Fenced(fenced)) if fenced == shard() => findings.fenced.push(name),
        Err(error) => panic!("{name}: {error}"),
    };
    let (origin, key) = (url(0, 0).origin(), PageKey::of(&url(0, 3)));
    let robots = RobotsRecord { fetched_at: now, outcome: RobotsOutcome::AllowAll };
    let discarded = Fate::Skipped(SkipReason::Gone);
    let rejects = RejectTally::default();
    let hour = Duration::from_secs(3_600);
    note("admit", store.admit(&old, job_id(0), vec![link(url(1, 0))], rejects, now).await.map(drop));
    note("peek", store.peek(&old, &host(0), 4, now).await.map(drop));
    note("lease", store.lease(&old, &request(0, 9), now).await.map(drop));
    note("start", store.start(&old, &host(0), TTL, TTL, now).await.map(drop));
    note("push_gate", store.push_gate(&old, &host(0), until).await);
    note("block_host", store.block_host(&old, &host(1), until).await);
    note("settle", store.settle(&old, first, Fate::Failed(FailReason::Tls, None), now).await.map(drop));
    note("defer", store.defer(&old, second, until, now).await.map(drop));
    note("prolong", store.prolong(&old, vec![first, second], until).await.map(drop));
    note("discard", store.discard(&old, job_id(0), vec![key], discarded, now).await.map(drop));
    note("hosts", store.hosts(&old, now).await.map(drop));
    note("put_robots", store.put_robots(&old, &origin, &robots).await);
    note("renew", store.renew(&old, hour, now).await.map(drop));
    note("release", store.release(&old).await);
    findings.is_changed = look(&*store).await != before;
    if !findings.is_changed {
        // The leases are those of before: the new owner ends them.
        for token in [first, second] {
            store.settle(&new, token, Fate::Stored, now).await.expect("the new owner's");
        }
        let counters = store.job(job_id(0)).await.expect("answered").counters;
        assert_eq!((counters.queued, counters.leased, counters.stored), (2, 0, 2));
    }
    findings
}

/// All of them are fenced and change nothing.
pub async fn a_replaced_owner_can_do_nothing(factory: &dyn FrontierFactory) {
    let findings = calls_of_a_replaced_owner(factory).await;
    assert!(findings.taken.is_empty() && !findings.is_changed, "{findings:?}");
    assert_eq!(findings.fenced.len(), 14);
}
