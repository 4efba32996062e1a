//! Servers that are killed, full, read-only, or lost their functions.

use super::OnServer;
use super::server::{self, Server};
use crate::runtime;
use argiope_protocol::{CanonicalUrl, ErrorCode, Fate};
use argiope_store::conformance::frontier::{at, claim, host, job_id, link, request, spec, url};
use argiope_store::error::ServerFault;
use argiope_store::frontier::{LeaseAnswer, RejectTally, SettleAnswer, UrlFilter};
use argiope_store::redis::{Durability, OpenOptions, RedisFrontier};
use argiope_store::{Error, FrontierStore};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn fault(error: &Error) -> Option<ServerFault> {
    match error {
        Error::Server { fault, .. } => Some(*fault),
        _ => None,
    }
}

fn page(number: u32) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("https://h0.example.org/page/{number}")).unwrap()
}

async fn offer(store: &RedisFrontier, held: &argiope_protocol::Claim, first: u32, n: u32) -> argiope_store::Result<()> {
    let offer = (first..first + n).map(|number| link(page(number))).collect();
    store.admit(held, job_id(0), offer, RejectTally::default(), at(0)).await.map(drop)
}

/// kill -9 in the middle of work, with every write synced: what was acknowledged is there, claims are void, hosts wait.
#[test]
fn fault_a_killed_server_keeps_what_it_acknowledged_and_voids_claims() {
    if !server::is_there("fault_a_killed_server_keeps_what_it_acknowledged_and_voids_claims") {
        return;
    }
    let mut server = Server::start(&[]);
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(at(0)).await;
        store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await.unwrap();
        let (mut n_admitted, mut stored) = (0, BTreeSet::new());
        for kill in 0..6_u64 {
            let held = claim(&store, at(kill * 100_000)).await;
            let pid_dies_at = Instant::now() + Duration::from_millis(150 + 40 * kill);
            let killer = async {
                tokio::time::sleep_until(pid_dies_at.into()).await;
                server.kill();
            };
            let work = async {
                loop {
                    if offer(&store, &held, n_admitted, 5).await.is_err() {
                        break;
                    }
                    n_admitted += 5;
                    let mut wanted = request(0, 64);
                    wanted.visibility = Duration::from_secs(1);
                    let now = at(kill * 100_000);
                    let Ok(LeaseAnswer::Granted(leases)) = store.lease(&held, &wanted, now).await else { break };
                    if store.settle(&held, leases[0].token, Fate::Stored, now).await.is_err() {
                        break;
                    }
                    stored.insert(leases[0].candidate.url.to_string());
                }
            };
            tokio::join!(killer, work);
            let gone = store.push_gate(&held, &host(0), at(0)).await.unwrap_err();
            assert!(gone.is_retryable() && fault(&gone) == Some(ServerFault::Unreachable), "{gone:?}");
            let changes = *store.changes().borrow();
            server.run();
            let void = store.push_gate(&held, &host(0), at(0)).await;
            assert!(matches!(void, Err(Error::Fenced(_))), "a claim of the former run: {void:?}");
            assert!(*store.changes().borrow() > changes, "owners are told");
            let next = claim(&store, at(kill * 100_000 + 50_000)).await;
            assert!(next.epoch.0 >= held.epoch.0 + 1_024, "epochs jump: {next:?}");
        }
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        let (mut known, mut after) = (BTreeSet::new(), None);
        loop {
            let list = store.list_urls(job_id(0), UrlFilter::Pages, after, 1_000).await.unwrap();
            let Some((last, _)) = list.last() else { break };
            after = Some(*last);
            known.extend(list.iter().map(|(_, entry)| entry.candidate.url.to_string()));
        }
        assert!(stored.len() > 20, "{}", stored.len());
        assert_eq!(stored.difference(&known).count(), 0, "stored and lost");
        assert!(store.job(job_id(0)).await.unwrap().counters.discovered >= u64::from(n_admitted));
    });
}

/// After a restart each host waits one delay, also one whose row is lost.
#[test]
fn fault_hosts_wait_after_a_restart() {
    if !server::is_there("fault_hosts_wait_after_a_restart") {
        return;
    }
    let mut server = Server::start(&[]);
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(at(0)).await;
        let held = claim(&store, at(0)).await;
        store.create_job(job_id(0), &spec("default", 100), at(0)).await.unwrap();
        let candidates = vec![link(url(0, 1)), link(url(0, 2)), link(url(1, 1))];
        store.admit(&held, job_id(0), candidates, RejectTally::default(), at(0)).await.unwrap();
        let mut wanted = request(0, 9);
        (wanted.delay, wanted.window) = (Duration::from_secs(1), Duration::from_millis(250));
        assert!(matches!(store.lease(&held, &wanted, at(0)).await.unwrap(), LeaseAnswer::Granted(_)));
        server.kill();
        server.run();
        let broken = store.release(&held).await.unwrap_err();
        assert_eq!(fault(&broken), Some(ServerFault::Unreachable), "the old connection");
        let mut held = claim(&store, at(5_000)).await;
        for number in [0, 1] {
            wanted.host = host(number);
            let early = store.lease(&held, &wanted, at(5_001)).await.unwrap();
            assert_eq!(early, LeaseAnswer::NotBefore(at(6_250)), "host {number}");
        }
        assert!(matches!(store.lease(&held, &wanted, at(6_250)).await.unwrap(), LeaseAnswer::Granted(_)));
        // Another owner without a restart: only hosts that had a start wait.
        let other =
            OnServer { options: OpenOptions { prefix: "t0".to_owned(), ..OpenOptions::new(vec![server.url()]) } };
        let other = other.open_now(at(20_000)).await;
        held = claim(&other, at(20_000)).await;
        assert_eq!(other.lease(&held, &wanted, at(20_000)).await.unwrap(), LeaseAnswer::NotBefore(at(21_000)));
    });
}

/// Memory is used up: offers are refused with the reason, work that is out still ends, and its end makes room.
#[test]
fn a_full_server_refuses_offers_and_still_settles() {
    if !server::is_there("a_full_server_refuses_offers_and_still_settles") {
        return;
    }
    let server = Server::start(&["--appendfsync", "no"]);
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(at(0)).await;
        let held = claim(&store, at(0)).await;
        store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await.unwrap();
        offer(&store, &held, 0, 200).await.unwrap();
        let LeaseAnswer::Granted(first) = store.lease(&held, &request(0, 99), at(0)).await.unwrap() else {
            panic!("nothing to lease")
        };
        let used: u64 = server.info("used_memory").parse().unwrap();
        server.command::<()>(&["CONFIG", "SET", "maxmemory", &(used / 2).to_string()]);
        let refused = offer(&store, &held, 1_000, 5).await.unwrap_err();
        assert_eq!((fault(&refused), refused.code()), (Some(ServerFault::OutOfMemory), ErrorCode::StoreFull));
        assert!(refused.is_retryable());
        let create = store.create_job(job_id(1), &spec("default", 1), at(0)).await.unwrap_err();
        assert_eq!(fault(&create), Some(ServerFault::OutOfMemory));
        assert_eq!(store.settle(&held, first[0].token, Fate::Stored, at(0)).await.unwrap(), SettleAnswer::Ended);
        for _ in 0..100 {
            let LeaseAnswer::Granted(ones) = store.lease(&held, &request(0, 99), at(0)).await.unwrap() else {
                panic!("nothing to lease")
            };
            store.settle(&held, ones[0].token, Fate::Stored, at(0)).await.unwrap();
        }
        let held = store.renew(&held, Duration::from_secs(9), at(0)).await.unwrap();
        assert_eq!(store.job(job_id(0)).await.unwrap().counters.stored, 101);
        server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
        offer(&store, &held, 1_000, 5).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_server_that_takes_no_writes_says_so() {
    if !server::is_there("a_server_that_takes_no_writes_says_so") {
        return;
    }
    let (master, server) = (Server::start(&[]), Server::start(&[]));
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(at(0)).await;
        store.create_job(job_id(0), &spec("default", 5), at(0)).await.unwrap();
        let held = claim(&store, at(0)).await;
        server.command::<()>(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        let refused = store.push_gate(&held, &host(0), at(5)).await.unwrap_err();
        assert_eq!((fault(&refused), refused.code()), (Some(ServerFault::ReadOnly), ErrorCode::StoreReadOnly));
        assert!(refused.is_retryable());
    });
}

#[test]
fn functions_that_are_gone_are_loaded_again() {
    if !server::is_there("functions_that_are_gone_are_loaded_again") {
        return;
    }
    let server = Server::start(&[]);
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(at(0)).await;
        let held = claim(&store, at(0)).await;
        server.command::<()>(&["FUNCTION", "FLUSH"]);
        store.push_gate(&held, &host(0), at(5)).await.unwrap();
        server.command::<()>(&["FLUSHALL"]);
        assert!(matches!(store.push_gate(&held, &host(0), at(5)).await, Err(Error::Fenced(_))), "all data is gone");
    });
}

/// Every wait has an end: a server that is stopped answers with a timeout, and works again when it goes on.
#[test]
fn fault_a_stopped_server_is_a_timeout() {
    if !server::is_there("fault_a_stopped_server_is_a_timeout") {
        return;
    }
    let server = Server::start(&[]);
    runtime().block_on(async {
        let mut options = OnServer::new(&server.url()).options;
        (options.call_timeout, options.connect_timeout) = (Duration::from_millis(300), Duration::from_millis(300));
        let store = RedisFrontier::open(&options, at(0)).await.unwrap();
        let held = claim(&store, at(0)).await;
        server.signal("STOP");
        let began = Instant::now();
        let first = host(0);
        let calls = (0..600).map(|_| store.push_gate(&held, &first, at(5)));
        let answers = futures_util::future::join_all(calls).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(answers.iter().all(|one| one.as_ref().is_err_and(|e| fault(e) == Some(ServerFault::Timeout))));
        server.signal("CONT");
        let began = Instant::now();
        while store.push_gate(&held, &host(0), at(5)).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
    });
}

#[test]
fn settings_that_lose_work_are_named_at_the_start() {
    if !server::is_there("settings_that_lose_work_are_named_at_the_start") {
        return;
    }
    let server = Server::start(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    let safe = Server::start(&[]);
    runtime().block_on(async {
        let warnings = OnServer::new(&server.url()).open_now(at(0)).await.start_report().warnings.clone();
        for needle in ["appendonly is off", "maxmemory-policy is `allkeys-lru`", "clock"] {
            assert!(warnings.iter().any(|warning| warning.contains(needle)), "{needle}: {warnings:?}");
        }
        let strict = |url: String| OpenOptions { durability: Durability::Strict, ..OpenOptions::new(vec![url]) };
        let refused = RedisFrontier::open(&strict(server.url()), at(0)).await.unwrap_err();
        assert!(matches!(refused, Error::NotDurable { .. }) && !refused.is_retryable(), "{refused:?}");
        RedisFrontier::open(&strict(safe.url()), at(0)).await.unwrap();
        let nobody = OpenOptions::new(vec!["redis://127.0.0.1:1".to_owned()]);
        let unreachable = RedisFrontier::open(&nobody, at(0)).await.unwrap_err();
        assert_eq!(fault(&unreachable), Some(ServerFault::Unreachable));
    });
}
