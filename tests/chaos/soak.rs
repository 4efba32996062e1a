//! A crawl while nodes, Redis and Qdrant are killed, frozen and cut off at random: nothing is lost or stored twice, the
//! ledger is exact, no host is asked sooner than promised.
//!
//! "Twice" is said of what is stored. Requests do repeat: a lease whose holder was struck is given out again, and the page
//! is fetched again. Their number is bounded by the leases that were out when the faults struck.

use super::net::{self, Net};
use super::plan::{Fault, Form, Kind, NODES, Plan, Victim};
use super::{Cluster, N_SKIPPED, hosts, page_requests};
use crate::origin::Origin;
use crate::place::{PATIENCE, check_line};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Faults at once, of different victims.
const MAX_ACTIVE: usize = 2;
/// Between two looks at what is due.
const LOOK: Duration = Duration::from_millis(50);
/// Between two questions how the job stands.
const ASK: Duration = Duration::from_secs(1);
/// From the end of the last fault to the end of the job: the rest of the crawl, and leases that have to run out first.
const MAX_REST: Duration = Duration::from_secs(900);

#[test]
fn fault_soak_loses_and_doubles_nothing() {
    let test = "chaos::soak::fault_soak_loses_and_doubles_nothing";
    let Some(mut net) = Net::enter(test) else { return };
    let (form, mut plan, mut total) = (Form::wanted(), Plan::new(), Toll::default());
    let mut round = 0;
    while total.n_faults < form.n_faults {
        let Some(cluster) = Cluster::start_on(Some(std::mem::take(&mut net)), test) else { return };
        round += 1;
        let toll = Soak::start(cluster, &form, round).run(&form, &mut plan, total.n_faults);
        total.add(&toll);
        println!("round {round}: {toll:?}");
    }
    println!("ARGIOPE_FAULT_SEED={}: {total:?}", plan.seed);
    println!("{:.2} % of the requests for pages repeated", total.n_again as f64 * 100.0 / total.n_requests as f64);
}

/// What a crawl was hit with, and what that cost.
#[derive(Debug, Default)]
struct Toll {
    n_faults: usize,
    n_pages: usize,
    n_requests: u64,
    /// Requests for pages beyond the first.
    n_again: u64,
    /// Leases that were out when faults struck, summed up.
    n_out: u64,
    n_violations: usize,
    n_strays: u64,
}

impl Toll {
    fn add(&mut self, other: &Self) {
        self.n_faults += other.n_faults;
        self.n_pages += other.n_pages;
        self.n_requests += other.n_requests;
        self.n_again += other.n_again;
        self.n_out += other.n_out;
        self.n_violations += other.n_violations;
        self.n_strays += other.n_strays;
    }
}

/// A crawl under way.
struct Soak {
    cluster: Cluster,
    origin: Origin,
    job: String,
    began: Instant,
    active: Vec<(Fault, Instant)>,
    /// Nodes that were started again and do not listen yet.
    starting: BTreeSet<&'static str>,
    /// The job when it was last seen.
    seen: Value,
    asked_at: Instant,
    toll: Toll,
}

impl Soak {
    #[track_caller]
    fn start(mut cluster: Cluster, form: &Form, round: u64) -> Self {
        let origin = Origin::start(hosts(form.n_hosts, form.n_pages, 80 + round).network(net::ORIGIN));
        for name in NODES {
            let place = cluster.place().with("ARGIOPE_FRONTIER_VISIBILITY_SECS", form.visibility_secs);
            cluster.add_at(place, name, &[]);
        }
        cluster.wait_for_owners(&NODES, PATIENCE);
        let body = json!({ "seeds": origin.seeds(), "delay_secs": form.delay.as_secs_f64() }).to_string();
        let line = ("POST", "/api/v1/jobs");
        // Seeds are offered to their shards' owners, whose links may still be coming up.
        let created = cluster.try_call_with(NODES[0], cluster.endpoint(NODES[0]), line, Some(&body), PATIENCE);
        let created = created.expect("an answer");
        let seen = created.ok(201)["job"].take();
        let job = seen["id"].as_str().expect("the job's id").to_owned();
        let (active, starting, toll, now) = (Vec::new(), BTreeSet::new(), Toll::default(), Instant::now());
        Self { cluster, origin, job, began: now, active, starting, seen, asked_at: now, toll }
    }

    /// To the end of the job, with faults as long as there are any; then judges it.
    #[track_caller]
    fn run(mut self, form: &Form, plan: &mut Plan, n_before: usize) -> Toll {
        let (mut next, mut last) = (plan.next(form), Instant::now());
        while self.seen["state"] != "finished" {
            self.end_what_is_over();
            self.tend();
            let is_left = n_before + self.toll.n_faults < form.n_faults;
            if is_left && last.elapsed() >= next.after && self.is_free(next.victim) {
                self.begin(next);
                (next, last) = (plan.next(form), Instant::now());
            }
            assert!(last.elapsed() < MAX_REST, "the job does not end: {}", self.seen);
            self.ask();
            std::thread::sleep(LOOK);
        }
        println!("finished after {:?}", self.began.elapsed());
        for (fault, _) in std::mem::take(&mut self.active) {
            self.end(fault);
        }
        while !self.starting.is_empty() {
            self.tend();
            std::thread::sleep(LOOK);
        }
        self.judge(form)
    }

    fn is_struck(&self, victim: Victim) -> bool {
        let is_starting = matches!(victim, Victim::Node(name) if self.starting.contains(name));
        is_starting || self.active.iter().any(|(fault, _)| fault.victim == victim)
    }

    fn is_free(&self, victim: Victim) -> bool {
        self.active.len() + self.starting.len() < MAX_ACTIVE && !self.is_struck(victim)
    }

    #[track_caller]
    fn begin(&mut self, fault: Fault) {
        self.asked_at -= ASK;
        self.ask();
        let n_out = self.seen["counters"]["leased"].as_u64().unwrap_or_default();
        self.toll.n_out += n_out;
        self.toll.n_faults += 1;
        let at = self.began.elapsed();
        println!(
            "{at:7.1?} fault {}: {:?} {:?} for {:.1?}",
            self.toll.n_faults, fault.kind, fault.victim, fault.length
        );
        self.active.push((fault, Instant::now() + fault.length));
        let cluster = &mut self.cluster;
        match (fault.kind, fault.victim) {
            (Kind::Kill, Victim::Node(name)) => cluster.kill(name),
            (Kind::Kill, Victim::Redis) => cluster.redis.kill(),
            (Kind::Kill, Victim::Qdrant) => cluster.qdrant.kill(),
            (Kind::Freeze, Victim::Node(name)) => cluster.signal(name, Signal::STOP),
            (Kind::Freeze, Victim::Redis) => cluster.redis.signal("STOP"),
            (Kind::Freeze, Victim::Qdrant) => cluster.qdrant.signal("STOP"),
            (Kind::Cut, _) => self.cut(),
        }
    }

    #[track_caller]
    fn end(&mut self, fault: Fault) {
        let cluster = &mut self.cluster;
        match (fault.kind, fault.victim) {
            (Kind::Kill, Victim::Node(name)) => {
                cluster.launch(name);
                self.starting.insert(name);
            }
            (Kind::Kill, Victim::Redis) => cluster.redis.run(),
            (Kind::Kill, Victim::Qdrant) => cluster.qdrant.restart(),
            (Kind::Freeze, Victim::Node(name)) => cluster.signal(name, Signal::CONT),
            (Kind::Freeze, Victim::Redis) => cluster.redis.signal("CONT"),
            (Kind::Freeze, Victim::Qdrant) => cluster.qdrant.signal("CONT"),
            (Kind::Cut, _) => self.cut(),
        }
    }

    #[track_caller]
    fn end_what_is_over(&mut self) {
        let now = Instant::now();
        while let Some(place) = self.active.iter().position(|(_, until)| *until <= now) {
            let (fault, _) = self.active.swap_remove(place);
            self.end(fault);
        }
    }

    /// Makes the rules of all nodes those of the cuts that are in force.
    fn cut(&self) {
        let net = self.cluster.net.as_ref().expect("the soak has a network");
        for name in NODES {
            let mut gone: BTreeSet<Ipv4Addr> = BTreeSet::new();
            for (fault, _) in self.active.iter().filter(|(fault, _)| fault.kind == Kind::Cut) {
                match fault.victim {
                    Victim::Redis => gone.extend([net::REDIS]),
                    Victim::Qdrant => gone.extend([net::QDRANT]),
                    Victim::Node(struck) if struck == name => {
                        gone.extend([net::REDIS, net::QDRANT]);
                        gone.extend(net.others(name));
                    }
                    Victim::Node(_) => {}
                }
            }
            net.cut(name, &gone);
        }
    }

    /// Starts nodes again that could not start, as their operator would. Nobody else may end.
    #[track_caller]
    fn tend(&mut self) {
        for name in NODES {
            if self.active.iter().any(|(fault, _)| fault.kind == Kind::Kill && fault.victim == Victim::Node(name)) {
                continue;
            }
            if self.starting.contains(name) && self.cluster.has_started(name) {
                self.starting.remove(name);
            }
            if let Some(how) = self.cluster.end_of(name) {
                assert!(self.starting.contains(name), "{name} ended by itself: {how}");
                self.cluster.launch(name);
            }
        }
    }

    /// Looks at the job, where that is possible.
    fn ask(&mut self) {
        if self.asked_at.elapsed() < ASK || self.is_struck(Victim::Redis) || self.is_struck(Victim::Qdrant) {
            return;
        }
        self.asked_at = Instant::now();
        let Some(name) = NODES.into_iter().find(|name| !self.is_struck(Victim::Node(name))) else { return };
        if let Ok(job) = self.cluster.try_get(name, &format!("/jobs/{}", self.job)) {
            self.seen = job;
        }
    }

    #[track_caller]
    fn judge(mut self, form: &Form) -> Toll {
        let n_all = form.n_hosts * form.n_pages;
        println!("reasons: {}", self.seen["reasons"]);
        check_line(&self.seen["counters"], [n_all as u64, 0, (form.n_hosts * N_SKIPPED) as u64, 0]);
        self.cluster.wait_for_owners(&NODES, PATIENCE);
        let (n_exported, n_chunks) = self.export();
        assert_eq!(n_exported, n_all, "pages exported");
        self.cluster.stop_all();
        let first = self.cluster.place().run(&["verify"]);
        assert_eq!((first.status, &first.summary()["problems"]), (Some(0), &0.into()), "{first:?}");
        let summary = self.cluster.place().verify();
        let counts = ["pages", "heads", "chunks"].map(|name| summary[name].as_u64());
        assert_eq!(counts, [n_all as u64, n_all as u64, n_chunks].map(Some), "{summary}");

        let requests = page_requests(&self.origin);
        let violations = self.origin.violations(form.delay, 1);
        let n_requests: u64 = requests.values().sum();
        let toll = Toll {
            n_pages: n_all,
            n_requests,
            n_again: n_requests - requests.len() as u64,
            n_violations: violations.len(),
            n_strays: first.summary()["strays"].as_u64().unwrap_or_default(),
            ..self.toll
        };
        assert_eq!(requests.len(), n_all, "{toll:?}");
        assert!(violations.is_empty(), "{toll:?}: {violations:#?}");
        assert!(toll.n_again <= toll.n_out, "more requests were repeated than leases were out: {toll:?}");
        toll
    }

    /// Pages and chunks of the job as it is exported, each page once.
    #[track_caller]
    fn export(&self) -> (usize, u64) {
        let out = self.cluster.shared().join("export");
        let words = ["export", "last", "--format", "jsonl", "--out", &out.display().to_string()];
        let ended = self.cluster.ask(NODES[1], &words).wait(PATIENCE);
        assert_eq!((ended.status, &ended.summary()["without_record"]), (Some(0), &0.into()), "{ended:?}");
        let text = std::fs::read_to_string(out.join("pages.jsonl")).expect("the export");
        let pages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let urls: BTreeSet<&str> = pages.iter().filter_map(|page| page["url"].as_str()).collect();
        assert_eq!(urls.len(), pages.len(), "a page is exported twice");
        (pages.len(), pages.iter().filter_map(|page| page["chunks"].as_u64()).sum())
    }
}
