//! What the frontier costs. `ARGIOPE_FRONTIER_URLS=100000` measures at full size; the default only shows it works.

use crate::{database, open, runtime};
use argiope_protocol::{CanonicalUrl, Fate};
use argiope_store::FrontierStore;
use argiope_store::conformance::frontier::{at, claim, host, job_id, link, request, spec};
use argiope_store::frontier::{LeaseAnswer, RejectTally};
use rustix::time::{ClockId, clock_gettime};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Watch(&'static str, f64, Instant);

impl Watch {
    fn start(what: &'static str) -> Self {
        Self(what, cpu_seconds(), Instant::now())
    }

    fn stop(self, count: u64) {
        let (cpu, wall) = (cpu_seconds() - self.1, self.2.elapsed().as_secs_f64());
        let rate = count as f64 / cpu;
        eprintln!("{}: {count}, {rate:.0} per CPU-s, {cpu:.2} CPU-s, {wall:.2} s", self.0);
    }
}

#[test]
fn admits_leases_and_settles_are_measured() {
    let n_urls: u64 = std::env::var("ARGIOPE_FRONTIER_URLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    runtime().block_on(async {
        let store = open(&path, at(0));
        let held = claim(&store, at(0)).await;
        store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await.unwrap();
        let page = |n: u64| format!("https://h{}.example.org/documentation/section-{}/page-{n}.html", n % 50, n % 97);
        let offers: Vec<Vec<_>> = (0..n_urls.div_ceil(1_000))
            .map(|b| (b * 1_000..(b + 1) * 1_000).map(|n| link(CanonicalUrl::parse(&page(n)).unwrap())).collect())
            .collect();
        let n_offered = offers.iter().map(Vec::len).sum::<usize>() as u64;
        let watch = Watch::start("admit, batches of 1,000");
        for offer in offers {
            store.admit(&held, job_id(0), offer, RejectTally::default(), at(0)).await.unwrap();
        }
        watch.stop(n_offered);
        let watch = Watch::start("hosts()");
        let hosts = store.hosts(&held, at(0)).await.unwrap();
        watch.stop(hosts.len() as u64);
        assert_eq!(hosts.iter().map(|summary| summary.n_queued).sum::<u64>(), n_offered);
        let n_leases = (n_offered / 20).max(50);
        let watch = Watch::start("lease and settle, 50 hosts at once");
        let work = async |number: u8| {
            for _ in 0..n_leases / 50 {
                let LeaseAnswer::Granted(leases) = store.lease(&held, &request(number, 1), at(0)).await.unwrap() else {
                    panic!("{} has no URL", host(number));
                };
                store.settle(&held, leases[0].token, Fate::Stored, at(0)).await.unwrap();
            }
        };
        futures(work).await;
        watch.stop(n_leases / 50 * 50);
        assert_eq!(store.job(job_id(0)).await.unwrap().counters.stored, n_leases / 50 * 50);
        drop(store);
        let engine = redb::Database::open(&path).unwrap();
        let stats = engine.begin_write().unwrap().stats().unwrap();
        let used = stats.allocated_pages() * stats.page_size() as u64;
        let file = std::fs::metadata(&path).unwrap().blocks() * 512;
        eprintln!("used pages: {} bytes a URL, of it rows {}", used / n_offered, stats.stored_bytes() / n_offered);
        eprintln!("blocks of the closed file: {} bytes a URL", file / n_offered);
    });
}

/// Runs the work of 50 hosts at once on one task.
async fn futures(work: impl AsyncFn(u8)) {
    let mut all: Vec<_> = (0..50).map(|number| Box::pin(work(number))).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| std::future::Future::poll(one.as_mut(), context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
