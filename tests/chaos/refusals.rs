//! A Redis that answers, and refuses: one clear error with its code on each node, nothing lost, and the crawl goes on
//! when it takes writes again.

use super::faults::wait_for_more;
use super::{CLAIM_TTL, Cluster, N_SKIPPED, check_polite, origin, page_requests};
use crate::origin::Origin;
use crate::place::{PATIENCE, Running, check_line};
use std::time::{Duration, Instant};

const NODES: [&str; 2] = ["node-a", "node-b"];
const N_HOSTS: usize = 20;
const N_PAGES: usize = 40;
const DELAY: Duration = Duration::from_millis(300);
/// For an error to be told.
const NOTICE: Duration = Duration::from_secs(15);

struct Crawl {
    cluster: Cluster,
    origin: Origin,
    running: Running,
}

impl Crawl {
    fn start(test: &str, seed: u64) -> Option<Self> {
        let mut cluster = Cluster::start(test)?;
        let origin = origin(N_HOSTS, N_PAGES, seed);
        for name in NODES {
            // What waits for the server must not be given to somebody else meanwhile.
            let place = cluster.place().with("ARGIOPE_FRONTIER_VISIBILITY_SECS", "120");
            cluster.add_at(place, name, &[]);
        }
        cluster.wait_for_owners(&NODES, PATIENCE);
        let mut running = cluster.crawl("node-a", &origin, &["--delay", "0.3"]);
        running.wait_for_stored(100);
        Some(Self { cluster, origin, running })
    }

    /// What a node's monitor says that keeps it from working.
    fn unready(&self, node: &str) -> Vec<String> {
        let reply = crate::node::call(self.cluster.monitor(node), "GET", "/readyz", &[], None);
        let reasons = reply.json()["reasons"].as_array().cloned().unwrap_or_default();
        let reasons: Vec<String> = reasons.iter().filter_map(|one| one.as_str()).map(str::to_owned).collect();
        assert_eq!(reply.status == 200, reasons.is_empty(), "{reply:?}");
        reasons
    }

    /// Lines of a node's log above INFO with this in them.
    fn complaints(&self, node: &str, needle: &str) -> Vec<String> {
        let log = self.cluster.log(node);
        let is_one = |line: &&str| line.contains(needle) && (line.contains("WARN") || line.contains("ERROR"));
        log.lines().filter(is_one).map(str::to_owned).collect()
    }

    /// Waits until it is so on both nodes.
    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&Self, &str) -> bool) {
        let began = Instant::now();
        while !NODES.into_iter().all(|node| is_so(self, node)) {
            let logs = NODES.map(|node| self.cluster.log(node));
            assert!(began.elapsed() < NOTICE, "no {what}: {logs:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The crawl must end with all that there is, each page stored and asked for once.
    #[track_caller]
    fn finish(mut self) {
        let ended = self.running.wait(PATIENCE * 3);
        check_line(ended.summary(), [(N_HOSTS * N_PAGES) as u64, 0, (N_HOSTS * N_SKIPPED) as u64, 0]);
        check_polite(&self.origin, DELAY);
        let requests = page_requests(&self.origin);
        let again: Vec<_> = requests.iter().filter(|(_, n)| **n > 1).collect();
        assert!(requests.len() == N_HOSTS * N_PAGES && again.is_empty(), "asked for more than once: {again:?}");
        let n_all = serde_json::Value::from(N_HOSTS * N_PAGES);
        let summary = self.cluster.verify();
        assert_eq!((&summary["pages"], &summary["heads"]), (&n_all, &n_all));
    }
}

#[test]
fn fault_a_redis_that_takes_no_writes_is_named_and_waited_for() {
    let Some(crawl) = Crawl::start("fault_a_redis_that_takes_no_writes_is_named_and_waited_for", 58) else {
        return;
    };
    // A replica of a master that nobody hears of, and a master that misses its replicas.
    let refusals: [(&str, &[&str], &[&str]); 2] = [
        ("AR0207", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        ("AR0207", &["CONFIG", "SET", "min-replicas-to-write", "1"], &["CONFIG", "SET", "min-replicas-to-write", "0"]),
    ];
    for (round, (code, begin, end)) in refusals.into_iter().enumerate() {
        crawl.cluster.redis.command(begin);
        crawl.wait_for(code, |crawl, node| crawl.complaints(node, code).len() == round + 1);
        if round == 0 {
            // Reading needs a connection anew, which needs the functions; a master without replicas is read as before.
            crawl.wait_for("503", |crawl, node| crawl.unready(node).iter().any(|reason| reason.contains(code)));
        }
        std::thread::sleep(CLAIM_TTL);
        let n_before = crawl.origin.site().log().n_requests();
        std::thread::sleep(CLAIM_TTL);
        assert_eq!(crawl.origin.site().log().n_requests(), n_before, "requests started without a frontier");
        crawl.cluster.redis.command(end);
        let resumed = wait_for_more(&crawl.origin, n_before);
        crawl.wait_for("200", |crawl, node| crawl.unready(node).is_empty());
        println!("{code}: the crawl went on {resumed:?} after");
    }
    for node in NODES {
        let complaints = crawl.complaints(node, "");
        println!("{node}: {complaints:#?}");
        assert_eq!(crawl.complaints(node, "AR0207").len(), 2, "{complaints:#?}");
    }
    crawl.finish();
}

#[test]
fn fault_a_redis_without_memory_is_named_and_waited_for() {
    let Some(mut crawl) = Crawl::start("fault_a_redis_without_memory_is_named_and_waited_for", 59) else { return };
    crawl.cluster.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    crawl.wait_for("AR0206", |crawl, node| crawl.complaints(node, "AR0206").len() == 1);
    crawl.running.wait_for("the event", |line| line["event"] == "held" && line["code"] == "AR0206");
    let seed = crawl.origin.site().hosts()[0].url("/docs/");
    let refused = crawl.cluster.ask("node-b", &["crawl", &seed]).wait(PATIENCE);
    assert!(refused.status == Some(4) && refused.stderr.contains("AR0206"), "{refused:?}");
    // Claims go on: nobody loses a shard.
    std::thread::sleep(CLAIM_TTL * 2);
    assert_eq!(crawl.cluster.owners("node-b").values().sum::<usize>(), 256);
    let n_before = crawl.origin.site().log().n_requests();
    crawl.cluster.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let resumed = wait_for_more(&crawl.origin, n_before);
    println!("the crawl went on {resumed:?} after");
    for node in NODES {
        // The other is the answer to the new crawl.
        let complaints = crawl.complaints(node, "AR0206");
        assert_eq!(complaints.len(), 1 + usize::from(node == "node-b"), "{node}: {complaints:#?}");
    }
    crawl.running.wait_for("the event", |line| line["event"] == "released");
    crawl.finish();
}
