//! Single rules of the contract. Each function expects an empty store.

use super::{FrontierFactory, at, claim, host, job_id, link, request, shard, spec, url};
use crate::Error;
use crate::frontier::{
    LeaseAnswer, MAX_LOSSES, MAX_REJECT_SAMPLES, RejectTally, RobotsOutcome, RobotsRecord, SettleAnswer, ShardLoad,
    StartAnswer, UrlFilter, UrlState,
};
use argiope_protocol::{Epoch, FailReason, Fate, JobState, Lease, NodeName, RejectReason};
use std::time::Duration;

fn granted(answer: LeaseAnswer) -> Lease {
    match answer {
        LeaseAnswer::Granted(mut leases) if leases.len() == 1 => leases.remove(0),
        other => panic!("expected a lease, got {other:?}"),
    }
}

/// Epochs grow with every claim and open; what an old one asks for is fenced.
pub async fn an_old_epoch_is_fenced(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let first = claim(&*store, at(0)).await;
    let other = NodeName::try_new("other").expect("the name is valid");
    let hour = Duration::from_secs(3_600);
    assert_eq!(store.claim(shard(), &other, hour, Epoch(0), at(1)).await.unwrap_or(None), None);
    let second = claim(&*store, at(1)).await;
    assert!(second.epoch > first.epoch);
    let is_fenced = |result: crate::Result<()>| matches!(result, Err(Error::Fenced(_)));
    assert!(is_fenced(store.push_gate(&first, &host(0), at(5)).await));
    assert!(store.push_gate(&second, &host(0), at(5)).await.is_ok());
    drop(store);
    let store = factory.open(at(2)).await;
    let mut free_at = at(3);
    if factory.dies_with_its_process() {
        assert!(is_fenced(store.push_gate(&second, &host(0), at(5)).await));
    } else {
        assert_eq!(store.claim(shard(), &other, hour, Epoch(50), free_at).await.unwrap_or(None), None);
        free_at = second.expires_at;
    }
    let third = store.claim(shard(), &other, hour, Epoch(50), free_at).await.ok().flatten().expect("the holder died");
    assert!(is_fenced(store.push_gate(&second, &host(0), at(5)).await));
    assert!(third.epoch > second.epoch && third.epoch >= Epoch(50));
    store.release(&third).await.expect("it is the claim");
    assert!(is_fenced(store.push_gate(&third, &host(0), at(5)).await));
    claim(&*store, at(4)).await;
}

/// Everyone can see who holds a shard, until the claim is given up or expires.
pub async fn a_claim_is_seen_by_everyone(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let owner = async |now| store.owner(shard(), at(now)).await.expect("answered");
    assert_eq!(owner(0).await, None);
    let node = NodeName::try_new("node-a").expect("the name is valid");
    let minute = Duration::from_secs(60);
    let claim = store.claim(shard(), &node, minute, Epoch(0), at(0)).await.ok().flatten().expect("the shard is free");
    assert_eq!(owner(1).await.as_ref(), Some(&claim));
    assert_eq!(owner(60_000).await, None, "it expired");
    let renewed = store.renew(&claim, minute, at(30_000)).await.expect("renewed");
    assert_eq!(owner(60_000).await, Some(renewed.clone()));
    store.release(&renewed).await.expect("released");
    assert_eq!(owner(60_000).await, None);
}

/// Running jobs are listed with what tells whether they changed.
pub async fn running_jobs_are_listed_with_their_versions(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let running = async || store.running_jobs().await.expect("answered");
    assert_eq!(running().await, []);
    for number in 0..2 {
        store.create_job(job_id(number), &spec("default", 10), at(0)).await.expect("made");
    }
    store.set_job_state(job_id(1), JobState::Paused, at(1)).await.expect("paused");
    let first = running().await;
    assert_eq!(first.iter().map(|job| (job.id, job.n_anchors)).collect::<Vec<_>>(), [(job_id(0), 0)]);
    store.add_anchor(job_id(0), &url(1, 1)).await.expect("added");
    store.update_job(job_id(0), &spec("default", 20)).await.expect("updated");
    let second = running().await;
    assert_eq!(second.first().map(|job| job.n_anchors), Some(1));
    assert_ne!(second.first().map(|job| job.version), first.first().map(|job| job.version));
    store.set_job_state(job_id(1), JobState::Running, at(2)).await.expect("resumed");
    store.set_job_state(job_id(0), JobState::Cancelled, at(2)).await.expect("cancelled");
    assert_eq!(running().await.iter().map(|job| job.id).collect::<Vec<_>>(), [job_id(1)]);
}

/// A lease that is prolonged keeps its URL from others for longer; what has ended is not prolonged.
pub async fn a_prolonged_lease_keeps_its_url(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    store.admit(&claim, job_id(0), vec![link(url(0, 0))], RejectTally::default(), at(0)).await.expect("admitted");
    let lease = granted(store.lease(&claim, &request(0, 9), at(0)).await.expect("answered"));
    let prolong = async |deadline| store.prolong(&claim, vec![lease.token], at(deadline)).await.expect("answered");
    assert_eq!(prolong(30_000).await, 1);
    assert_eq!(prolong(20_000).await, 1, "a shorter one changes nothing");
    assert_eq!(store.lease(&claim, &request(0, 9), at(15_000)).await.expect("answered"), LeaseAnswer::Empty);
    let again = granted(store.lease(&claim, &request(0, 9), at(30_000)).await.expect("answered"));
    assert_eq!(again.attempt, 1, "the lease was lost, not the page's fault");
    assert_eq!(prolong(60_000).await, 0, "it ran out");
    let settled = store.settle(&claim, again.token, Fate::Stored, at(30_001)).await.expect("answered");
    assert_eq!(settled, SettleAnswer::Ended);
    assert_eq!(store.verify().await.expect("answered"), Vec::<String>::new());
}

/// A lease that was lost with its holder costs no attempt; a URL that loses all of its holders ends.
pub async fn a_lost_lease_costs_no_attempt(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    store.admit(&claim, job_id(0), vec![link(url(0, 0))], RejectTally::default(), at(0)).await.expect("admitted");
    for n_lost in 0..u64::from(MAX_LOSSES) {
        let lease = granted(store.lease(&claim, &request(0, 9), at(n_lost * 10_000)).await.expect("answered"));
        assert_eq!(lease.attempt, 1);
    }
    let end = u64::from(MAX_LOSSES) * 10_000;
    assert_eq!(store.lease(&claim, &request(0, 9), at(end)).await.expect("answered"), LeaseAnswer::Empty);
    let entry = store.url(job_id(0), &url(0, 0)).await.expect("read").expect("known");
    assert_eq!(entry.state, UrlState::Ended(Fate::Failed(FailReason::LeaseLost, None)));
    assert_eq!(store.retry_failed(job_id(0), at(end)).await.expect("answered"), 1);
    for n_lost in 0..2 {
        let now = at(end + n_lost * 10_000);
        assert_eq!(granted(store.lease(&claim, &request(0, 9), now).await.expect("answered")).attempt, 1);
    }
    assert_eq!(store.verify().await.expect("answered"), Vec::<String>::new());
}

/// A lease moves the gate; the gate, the block and the leases out hold back the next.
pub async fn a_gate_holds_back_the_next_lease(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    let offer = (0..3).map(|path| link(url(0, path))).collect();
    store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
    let mut wanted = request(0, 2);
    (wanted.window, wanted.delay) = (Duration::from_millis(250), Duration::from_millis(750));
    let lease = async |now| store.lease(&claim, &wanted, at(now)).await.expect("answered");
    granted(lease(0).await);
    assert_eq!(lease(999).await, LeaseAnswer::NotBefore(at(1_000)));
    store.push_gate(&claim, &host(0), at(1_500)).await.expect("pushed");
    store.push_gate(&claim, &host(0), at(1_200)).await.expect("pushed");
    assert_eq!(lease(1_499).await, LeaseAnswer::NotBefore(at(1_500)));
    store.block_host(&claim, &host(0), at(3_000)).await.expect("blocked");
    assert_eq!(lease(1_500).await, LeaseAnswer::NotBefore(at(3_000)));
    let start = store.start(&claim, &host(0), Duration::ZERO, Duration::from_secs(1), at(3_000)).await;
    assert_eq!(start.expect("answered"), StartAnswer::Granted);
    granted(lease(4_000).await);
    assert_eq!(lease(6_000).await, LeaseAnswer::Busy);
}

/// Without a delay no spacing is promised: the start window must not become one.
pub async fn without_a_delay_the_window_spaces_nothing(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    let offer = (0..2).map(|path| link(url(0, path))).collect();
    store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
    let mut wanted = request(0, 2);
    (wanted.window, wanted.delay) = (Duration::from_millis(250), Duration::ZERO);
    granted(store.lease(&claim, &wanted, at(0)).await.expect("answered"));
    granted(store.lease(&claim, &wanted, at(0)).await.expect("answered"));
}

/// A page that kills its process is tried 20 times and no more; one that only runs out keeps its attempts.
pub async fn a_lease_lost_with_its_process_costs_no_attempt(factory: &dyn FrontierFactory) {
    let mut store = factory.open(at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    for open in 0..=20_u64 {
        let claim = claim(&*store, at(open)).await;
        if open == 0 {
            let offer = vec![link(url(0, 0))];
            store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
        }
        match store.lease(&claim, &request(0, 1), at(open)).await.expect("answered") {
            LeaseAnswer::Granted(leases) => assert_eq!((leases[0].attempt, open < 20), (1, true)),
            other => assert_eq!((other, open), (LeaseAnswer::Empty, 20)),
        }
        drop(store);
        store = factory.open(at(open + 1)).await;
    }
    let ended = store.list_urls(job_id(0), UrlFilter::Failed, None, 10).await.expect("listed");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].1.state, UrlState::Ended(Fate::Failed(FailReason::LeaseLost, None)));
}

/// Tenants share a host evenly, and so do the jobs of one tenant.
pub async fn tenants_and_then_jobs_take_turns(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    for (job, tenant) in [(0, "a"), (1, "a"), (2, "b")] {
        store.create_job(job_id(job), &spec(tenant, 100), at(0)).await.expect("made");
        let offer = (0..20).map(|path| link(url(0, path))).collect();
        store.admit(&claim, job_id(job), offer, RejectTally::default(), at(0)).await.expect("admitted");
    }
    let peeked = store.peek(&claim, &host(0), 16, at(0)).await.expect("peeked");
    let mut served = Vec::new();
    for _ in 0..16 {
        let lease = granted(store.lease(&claim, &request(0, 1), at(0)).await.expect("answered"));
        served.push((lease.job, lease.candidate));
        let answer = store.settle(&claim, lease.token, Fate::Stored, at(0)).await.expect("settled");
        assert_eq!(answer, SettleAnswer::Ended);
        assert_eq!(store.settle(&claim, lease.token, Fate::Stored, at(0)).await.expect("settled"), SettleAnswer::Stale);
    }
    assert_eq!(served, peeked);
    let count = |job| served.iter().filter(|(id, _)| *id == job_id(job)).count();
    assert_eq!((count(0), count(1), count(2)), (4, 4, 8));
}

/// The page limit holds, what is over it is counted and not remembered; samples are bounded.
pub async fn the_page_limit_holds_and_rejects_are_counted(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 2), at(0)).await.expect("made");
    let offer: Vec<_> = (0..40).map(|path| link(url(0, path % 39))).collect();
    let mut rejects = RejectTally::default();
    rejects.add(RejectReason::OutOfScope, "https://elsewhere.example/");
    let report = store.admit(&claim, job_id(0), offer, rejects, at(0)).await.expect("admitted");
    assert_eq!((report.queued.get(&host(0)), report.n_seen, report.n_over_budget), (Some(&2), 1, 37));
    let record = store.job(job_id(0)).await.expect("there");
    assert_eq!(record.rejected.get(&RejectReason::OverBudget), Some(&37));
    assert_eq!(record.counters.discovered, 2);
    let samples = store.reject_samples(job_id(0)).await.expect("there");
    assert_eq!(samples.get(&RejectReason::OverBudget).map(Vec::len), Some(MAX_REJECT_SAMPLES));
    assert_eq!(samples.get(&RejectReason::OutOfScope).map(Vec::len), Some(1));
}

/// A shard's load, a host and a URL are told without a claim, and agree with what the owner is told.
pub async fn what_waits_is_told_without_a_claim(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    assert_eq!(store.load(shard()).await.expect("counted"), ShardLoad::default());
    assert_eq!(store.host(&host(0)).await.expect("read"), None);
    let claim = claim(&*store, at(0)).await;
    store.create_job(job_id(0), &spec("default", 10), at(0)).await.expect("made");
    let offer = [(0, 0), (0, 1), (0, 2), (1, 0)].map(|(host, path)| link(url(host, path))).to_vec();
    store.admit(&claim, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
    let lease = granted(store.lease(&claim, &request(0, 9), at(0)).await.expect("answered"));
    let ended = granted(store.lease(&claim, &request(0, 9), at(0)).await.expect("answered"));
    let failed = Fate::Failed(FailReason::Tls, None);
    store.settle(&claim, ended.token, failed, at(0)).await.expect("settled");
    store.block_host(&claim, &host(0), at(500)).await.expect("blocked");

    assert_eq!(store.load(shard()).await.expect("counted"), ShardLoad { n_hosts: 2, n_queued: 2, n_leased: 1 });
    let told = store.host(&host(0)).await.expect("read").expect("known");
    let listed = store.hosts(&claim, at(0)).await.expect("listed");
    assert_eq!((told.n_queued, told.n_leased, told.not_before), (1, 1, at(500)));
    assert!(listed.contains(&told), "{listed:?}");
    assert_eq!(store.host(&host(7)).await.expect("read"), None);

    let state = async |of| store.url(job_id(0), &of).await.expect("read").map(|entry| entry.state);
    assert!(matches!(state(lease.candidate.url.clone()).await, Some(UrlState::Leased { .. })));
    assert_eq!(state(ended.candidate.url.clone()).await, Some(UrlState::Ended(failed)));
    assert_eq!(state(url(1, 0)).await, Some(UrlState::Queued { not_before: at(0) }));
    assert_eq!(state(url(1, 9)).await, None);
    store.settle(&claim, lease.token, Fate::Stored, at(0)).await.expect("settled");
    let entry = store.url(job_id(0), &lease.candidate.url).await.expect("read").expect("known");
    assert_eq!(
        (entry.state, entry.attempts, entry.candidate.url),
        (UrlState::Ended(Fate::Stored), 1, lease.candidate.url)
    );
    store.set_job_state(job_id(0), JobState::Paused, at(1)).await.expect("moved");
    assert_eq!(store.load(shard()).await.expect("counted").n_queued, 0);
    assert!(matches!(store.url(job_id(9), &url(0, 0)).await, Err(Error::UnknownJob(_))));
}

/// Finished pages are known to a recrawl; robots.txt records are kept over opens.
pub async fn a_recrawl_knows_the_pages_and_robots(factory: &dyn FrontierFactory) {
    let store = factory.open(at(0)).await;
    let held = claim(&*store, at(0)).await;
    let spec = spec("default", 10);
    store.create_job(job_id(0), &spec, at(0)).await.expect("made");
    let offer = (0..4).map(|path| link(url(0, path))).collect();
    store.admit(&held, job_id(0), offer, RejectTally::default(), at(0)).await.expect("admitted");
    for fate in [Fate::Stored, Fate::Unchanged, Fate::Failed(FailReason::Tls, None)] {
        let lease = granted(store.lease(&held, &request(0, 9), at(0)).await.expect("answered"));
        store.settle(&held, lease.token, fate, at(0)).await.expect("settled");
    }
    let record = RobotsRecord { fetched_at: at(0), outcome: RobotsOutcome::Rules(b"User-agent: *".to_vec()) };
    store.put_robots(&held, &url(0, 0).origin(), &record).await.expect("kept");
    drop(store);
    let store = factory.open(at(1)).await;
    assert_eq!(store.robots(&url(0, 0).origin()).await.expect("read"), Some(record));
    let known = store.known_pages(&spec.tenant, spec.identity(), None, 10).await.expect("listed");
    assert_eq!(known.len(), 2);
    let rest = store.known_pages(&spec.tenant, spec.identity(), Some(known[0].0), 10).await.expect("listed");
    assert_eq!(rest, known[1..]);
    let record = store.set_job_state(job_id(0), JobState::Cancelled, at(2)).await.expect("moved");
    assert_eq!((record.state, record.counters.queued, record.counters.skipped), (JobState::Cancelled, 0, 1));
    assert_eq!(store.verify().await.expect("verified"), Vec::<String>::new());
}
