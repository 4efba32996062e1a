//! Jobs that reach over several shards, on one server and on a cluster of three masters.

use super::OnServer;
use super::server::{self, Server};
use crate::runtime;
use argiope_protocol::{
    Candidate, CanonicalUrl, Claim, Epoch, FailReason, Fate, JobState, NodeName, RejectReason, ShardId, SkipReason,
};
use argiope_store::conformance::frontier::{at, job_id, link, rules, spec};
use argiope_store::frontier::{LeaseAnswer, LeaseRequest, RejectTally, UrlFilter};
use argiope_store::redis::RedisFrontier;
use argiope_store::{Error, FrontierStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
const N_DOMAINS: u32 = 24;
/// A place that becomes free in another shard is seen after this.
const SEEN_AFTER: Duration = Duration::from_millis(550);

fn page(domain: u32, number: u32) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("https://www.domain-{domain}.example/{number}")).unwrap()
}

fn shard(domain: u32) -> ShardId {
    ShardId::of_host(&page(domain, 0).host())
}

async fn claims(store: &RedisFrontier) -> BTreeMap<ShardId, Claim> {
    let mut claims = BTreeMap::new();
    for domain in 0..N_DOMAINS {
        let claim = store.claim(shard(domain), &NodeName::default(), HOUR, Epoch(0), at(0)).await.unwrap();
        claims.insert(shard(domain), claim.unwrap());
    }
    assert!(claims.len() > 15, "the domains are spread over shards");
    claims
}

async fn admit(
    store: &RedisFrontier,
    claims: &BTreeMap<ShardId, Claim>,
    domain: u32,
    numbers: std::ops::Range<u32>,
) -> u32 {
    let offer: Vec<Candidate> = numbers.map(|number| link(page(domain, number))).collect();
    let report = store.admit(&claims[&shard(domain)], job_id(0), offer, RejectTally::default(), at(0)).await.unwrap();
    report.queued.values().sum()
}

async fn lease(store: &RedisFrontier, claims: &BTreeMap<ShardId, Claim>, domain: u32) -> LeaseAnswer {
    let (visibility, delay, window) = (HOUR, Duration::ZERO, Duration::ZERO);
    let request =
        LeaseRequest { host: page(domain, 0).host(), max_urls: 1, visibility, delay, window, max_in_flight: 1_000 };
    store.lease(&claims[&shard(domain)], &request, at(0)).await.unwrap()
}

/// The page limit over many shards: never exceeded, and reached to the last page.
async fn the_limit_is_shared(store: &Arc<RedisFrontier>) {
    let claims = Arc::new(claims(store).await);
    store.create_job(job_id(0), &spec("default", 1_000), at(0)).await.unwrap();
    let mut offers = tokio::task::JoinSet::new();
    for domain in 0..N_DOMAINS {
        let (store, claims) = (store.clone(), claims.clone());
        offers.spawn(async move {
            let mut n_queued = 0;
            for first in (0..60).step_by(20) {
                n_queued += admit(&store, &claims, domain, first..first + 20).await;
            }
            n_queued
        });
    }
    let n_queued: u32 = offers.join_all().await.into_iter().sum();
    let record = store.job(job_id(0)).await.unwrap();
    assert_eq!((record.counters.discovered, u64::from(n_queued)), (1_000, 1_000));
    assert_eq!(record.rejected[&RejectReason::OverBudget], u64::from(N_DOMAINS) * 60 - 1_000);
    // A place that becomes free in one shard is found by any other.
    let free = (0..N_DOMAINS).find(|domain| *domain > 0 && shard(*domain) != shard(0)).unwrap();
    let LeaseAnswer::Granted(ones) = lease(store, &claims, free).await else { panic!("nothing to lease") };
    let gone = Fate::Skipped(SkipReason::Gone);
    store.settle(&claims[&shard(free)], ones[0].token, gone, at(0)).await.unwrap();
    tokio::time::sleep(SEEN_AFTER).await;
    assert_eq!(admit(store, &claims, 0, 100..103).await, 1);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

/// A lower limit, and failed URLs that come back, leave no room until enough pages ended otherwise.
async fn a_lowered_limit_holds(store: &RedisFrontier) {
    let claims = claims(store).await;
    store.create_job(job_id(0), &spec("default", 40), at(0)).await.unwrap();
    assert_eq!(admit(store, &claims, 0, 0..15).await + admit(store, &claims, 1, 0..15).await, 30);
    store.update_job(job_id(0), &spec("default", 20)).await.unwrap();
    assert_eq!(admit(store, &claims, 0, 20..22).await, 0);
    for (domain, n_ended) in [(0, 5), (1, 6)] {
        for _ in 0..n_ended {
            let LeaseAnswer::Granted(ones) = lease(store, &claims, domain).await else { panic!("nothing to lease") };
            let failed = Fate::Failed(FailReason::Tls, None);
            store.settle(&claims[&shard(domain)], ones[0].token, failed, at(0)).await.unwrap();
        }
        tokio::time::sleep(SEEN_AFTER).await;
        assert_eq!(admit(store, &claims, 0, 20..25).await, domain, "one place is free at the end");
    }
    assert_eq!(store.job(job_id(0)).await.unwrap().counters.pages_in_budget(), 20);
    assert_eq!(store.retry_failed(job_id(0), at(1)).await.unwrap(), 11);
    tokio::time::sleep(SEEN_AFTER).await;
    assert_eq!(admit(store, &claims, 1, 30..31).await, 0);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

/// Cancel is acknowledged when no shard gives a lease any more; pause can be undone; a job finishes once.
async fn states_reach_every_shard(store: &Arc<RedisFrontier>) {
    let claims = claims(store).await;
    for number in 0..3 {
        store.create_job(job_id(number), &spec("default", 100_000), at(0)).await.unwrap();
    }
    for domain in 0..N_DOMAINS {
        assert_eq!(admit(store, &claims, domain, 0..150).await, 150);
    }
    let paused = store.set_job_state(job_id(0), JobState::Paused, at(1)).await.unwrap();
    assert_eq!(paused.counters.queued, u64::from(N_DOMAINS) * 150);
    for domain in 0..N_DOMAINS {
        assert_eq!(lease(store, &claims, domain).await, LeaseAnswer::Empty, "paused");
    }
    store.set_job_state(job_id(0), JobState::Running, at(2)).await.unwrap();
    let LeaseAnswer::Granted(ones) = lease(store, &claims, 3).await else { panic!("nothing to lease") };
    let open = store.finish_if_done(job_id(0), at(3)).await.unwrap();
    assert_eq!(open.state, JobState::Running);
    let cancelled = store.set_job_state(job_id(0), JobState::Cancelled, at(4)).await.unwrap();
    let counters = cancelled.counters;
    assert_eq!((counters.queued, counters.leased, counters.skipped), (0, 1, u64::from(N_DOMAINS) * 150 - 1));
    for domain in 0..N_DOMAINS {
        assert_eq!(lease(store, &claims, domain).await, LeaseAnswer::Empty, "cancelled");
        assert_eq!(admit(store, &claims, domain, 900..901).await, 0);
    }
    store.settle(&claims[&shard(3)], ones[0].token, Fate::Stored, at(5)).await.unwrap();
    let listed = store.list_urls(job_id(0), UrlFilter::Skipped, None, 10_000).await.unwrap();
    assert_eq!(listed.len(), N_DOMAINS as usize * 150 - 1);
    assert!(listed.is_sorted_by_key(|(page, _)| *page));
    let finished = store.finish_if_done(job_id(1), at(6)).await.unwrap();
    assert_eq!((finished.state, finished.ended_at), (JobState::Finished, Some(at(6))));
    assert_eq!(store.jobs().await.unwrap().len(), 3);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

async fn all(url: &str) {
    the_limit_is_shared(&Arc::new(OnServer::new(url).open_now(at(0)).await)).await;
    a_lowered_limit_holds(&OnServer::new(url).open_now(at(0)).await).await;
    states_reach_every_shard(&Arc::new(OnServer::new(url).open_now(at(0)).await)).await;
}

#[test]
fn jobs_reach_over_shards_on_one_server() {
    if server::is_there("jobs_reach_over_shards_on_one_server") {
        let server = Server::start(&["--appendfsync", "no"]);
        runtime().block_on(all(&server.url()));
    }
}

#[test]
fn jobs_reach_over_shards_on_a_cluster() {
    if !server::is_there("jobs_reach_over_shards_on_a_cluster") {
        return;
    }
    let servers = server::cluster();
    let url = servers[1].url();
    runtime().block_on(async {
        all(&url).await;
        rules::tenants_and_then_jobs_take_turns(&OnServer::new(&url)).await;
        let keys: Vec<u64> = servers.iter().map(|server| server.command(&["DBSIZE"])).collect();
        assert!(keys.iter().all(|n_keys| *n_keys > 50), "every master holds some: {keys:?}");
    });
}

/// Slots that move while the store is open: calls follow, and owners are told.
#[test]
fn calls_follow_slots_that_move() {
    if !server::is_there("calls_follow_slots_that_move") {
        return;
    }
    let servers = server::cluster();
    runtime().block_on(async {
        let store = OnServer::new(&servers[0].url()).open_now(at(0)).await;
        store.create_job(job_id(0), &spec("default", 10), at(0)).await.unwrap();
        let changes = store.changes();
        let from = servers.iter().position(|server| server.command::<u64>(&["DBSIZE"]) > 0).unwrap();
        let to = (from + 1) % servers.len();
        let [from_id, to_id]: [String; 2] = [from, to].map(|at| servers[at].command(&["CLUSTER", "MYID"]));
        let keys: Vec<String> = servers[from].command(&["KEYS", "*"]);
        let slot: u64 = servers[from].command(&["CLUSTER", "KEYSLOT", &keys[0]]);
        let (slot, port) = (slot.to_string(), servers[to].port.to_string());
        servers[to].command::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        servers[from].command::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        for key in &keys {
            servers[from].command::<()>(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
        // The keys are gone and the slot is not: the old master sends each call on.
        assert!(!store.create_job(job_id(0), &spec("default", 10), at(0)).await.unwrap());
        assert!(!changes.has_changed().unwrap());
        for at in [to, from] {
            servers[at].command::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
        assert!(!store.create_job(job_id(0), &spec("default", 10), at(0)).await.unwrap());
        assert!(changes.has_changed().unwrap());
    });
}

/// A node that died in the middle of a change of state, or of taking back a part of a page limit.
#[test]
fn what_a_crash_left_half_done_is_finished() {
    if !server::is_there("what_a_crash_left_half_done_is_finished") {
        return;
    }
    let server = Server::start(&["--appendfsync", "no"]);
    runtime().block_on(async {
        let factory = OnServer::new(&server.url());
        let store = factory.open_now(at(0)).await;
        let claims = claims(&store).await;
        store.create_job(job_id(0), &spec("default", 100), at(0)).await.unwrap();
        assert_eq!(admit(&store, &claims, 0, 0..10).await + admit(&store, &claims, 1, 0..10).await, 20);
        // The shard gave its part back, the registry was not told; and a part that a shard never heard of.
        let prefix = &factory.options.prefix;
        let base = |domain: u32| format!("{prefix}:{{{}}}:j1", shard(domain));
        server.command::<()>(&["HSET", &base(0), "grant", "10"]);
        server.command::<()>(&["HINCRBY", &base(0), "grants", "3"]);
        let parts = format!("{prefix}:{{jobs}}:s1");
        server.command::<()>(&["HSET", &parts, &shard(2).number().to_string(), "30:5"]);
        server.command::<()>(&["HINCRBY", &format!("{prefix}:{{jobs}}:j1"), "granted", "30"]);
        assert_eq!(admit(&store, &claims, 1, 10..200).await, 80, "nothing is stranded");
        assert_eq!(store.job(job_id(0)).await.unwrap().counters.discovered, 100);
        // Cancelled in the registry only.
        server.command::<()>(&["HSET", &format!("{prefix}:{{jobs}}:j1"), "state", "C", "version", "9", "ended", "7"]);
        let record = store.job(job_id(0)).await.unwrap();
        assert_eq!((record.state, record.counters.queued, record.counters.skipped), (JobState::Cancelled, 0, 100));
        assert_eq!(lease(&store, &claims, 0).await, LeaseAnswer::Empty);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}

/// A master is killed and its replica takes over: claims made on it are void, others hold, and work goes on.
#[test]
fn fault_a_failover_voids_the_claims_of_its_shards() {
    if !server::is_there("fault_a_failover_voids_the_claims_of_its_shards") {
        return;
    }
    let mut servers = server::cluster();
    let replica = server::replica(&servers[2]);
    runtime().block_on(async {
        let factory = OnServer::new(&servers[0].url());
        let store = factory.open_now(at(0)).await;
        let held = claims(&store).await;
        store.create_job(job_id(0), &spec("default", 10_000), at(0)).await.unwrap();
        for domain in 0..N_DOMAINS {
            assert_eq!(admit(&store, &held, domain, 0..5).await, 5);
        }
        let base = |shard: &ShardId| format!("{}:{{{shard}}}:m", factory.options.prefix);
        let lost: Vec<ShardId> =
            held.keys().filter(|shard| servers[2].try_command(&["EXISTS", &base(shard)]).is_ok()).copied().collect();
        assert!(!lost.is_empty() && lost.len() < held.len(), "{lost:?}");
        let changes = *store.changes().borrow();
        // What was acknowledged before the kill has reached the replica.
        servers[2].command::<u64>(&["WAIT", "1", "5000"]);
        servers[2].kill();
        let began = Instant::now();
        for (shard, claim) in &held {
            loop {
                let answer = store.renew(claim, HOUR, at(1)).await;
                match answer {
                    Ok(_) => assert!(!lost.contains(shard), "{shard} was renewed on another run"),
                    Err(Error::Fenced(_)) => assert!(lost.contains(shard), "{shard} was fenced"),
                    Err(error) => {
                        assert!(error.is_retryable() && began.elapsed() < Duration::from_secs(20), "{error:?}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                }
                break;
            }
        }
        assert!(*store.changes().borrow() > changes, "owners are told");
        let again = claims(&store).await;
        for domain in 0..N_DOMAINS {
            assert!(matches!(lease(&store, &again, domain).await, LeaseAnswer::Granted(_)));
        }
        let counters = store.job(job_id(0)).await.unwrap().counters;
        assert_eq!((counters.discovered, counters.leased), (u64::from(N_DOMAINS) * 5, u64::from(N_DOMAINS)));
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
    drop(replica);
}
