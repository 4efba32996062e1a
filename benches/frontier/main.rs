//! `frontier`: what the frontier of one machine costs alone: URLs admitted, leased and settled for each CPU second,
//! and what a URL takes on disk and in memory.
//!
//! ```text
//! cargo bench -p argiope --bench frontier -- --urls 1000000 --dir /tmp/frontier
//! ```

use argiope_protocol::{CanonicalUrl, Claim, Fate};
use argiope_store::FrontierStore;
use argiope_store::conformance::frontier::{at, claim, host, job_id, link, request, spec};
use argiope_store::embedded::frontier::{EmbeddedFrontier, OpenOptions};
use argiope_store::frontier::{LeaseAnswer, LeaseRequest, RejectTally};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hosts of the site that is crawled; all at once.
const N_HOSTS: u8 = 50;
/// URLs of one offer, as of a page with many links.
const OFFER: u64 = 100;

/// Measures the embedded frontier.
#[derive(Parser)]
struct Options {
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// URLs that are admitted; one in twenty is leased and settled.
    #[arg(long, default_value_t = 200_000)]
    urls: u64,
    /// Where the database is made; it must not exist.
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    rustix::thread::disable_transparent_huge_pages(true)?;
    let options = Options::parse();
    anyhow::ensure!(!options.dir.exists(), "{} exists", options.dir.display());
    std::fs::create_dir_all(&options.dir)?;
    tokio::runtime::Runtime::new()?.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let path = options.dir.join("frontier.redb");
    let before = anonymous_bytes()?;
    let store = EmbeddedFrontier::open(&path, &OpenOptions::default(), at(0))?;
    let held = claim(&store, at(0)).await;
    store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await?;
    let n_offers = options.urls.div_ceil(OFFER);
    let watch = Watch::start("admit, 100 URLs an offer, 16 offers at once");
    let offers = async |first: u64| {
        for number in (first..n_offers).step_by(16) {
            let offer = (number * OFFER..(number + 1) * OFFER).map(|number| link(page(number))).collect();
            store.admit(&held, job_id(0), offer, RejectTally::default(), at(0)).await?;
        }
        anyhow::Ok(())
    };
    futures_util::future::try_join_all((0..16).map(offers)).await?;
    watch.stop(n_offers * OFFER, before)?;
    let watch = Watch::start("admit again, all known");
    for number in 0..n_offers.min(1_000) {
        let offer = (number * OFFER..(number + 1) * OFFER).map(|number| link(page(number))).collect();
        store.admit(&held, job_id(0), offer, RejectTally::default(), at(0)).await?;
    }
    watch.stop(n_offers.min(1_000) * OFFER, before)?;
    for max_urls in [1, 8] {
        let n_each = options.urls / 40 / u64::from(N_HOSTS);
        let watch = Watch::start(if max_urls == 1 {
            "lease and settle, 50 hosts at once, one URL a call"
        } else {
            "lease and settle, 50 hosts at once, 8 URLs a lease"
        });
        let work = |number| work_off(&store, &held, number, max_urls, n_each);
        let n_settled: u64 = futures_util::future::try_join_all((0..N_HOSTS).map(work)).await?.into_iter().sum();
        watch.stop(n_settled, before)?;
    }
    drop(store);
    let on_disk = std::fs::metadata(&path)?.blocks() * 512;
    println!("file: {} bytes a URL, its text {}", on_disk / options.urls, page(options.urls / 2).as_str().len());
    Ok(())
}

/// Leases and settles some of a host's URLs.
async fn work_off(
    store: &EmbeddedFrontier,
    held: &Claim,
    number: u8,
    max_urls: u16,
    n_wanted: u64,
) -> anyhow::Result<u64> {
    let mut n_settled = 0;
    while n_settled < n_wanted {
        let wanted = LeaseRequest { max_urls, ..request(number, 64) };
        let LeaseAnswer::Granted(leases) = store.lease(held, &wanted, at(0)).await? else {
            anyhow::bail!("{} has no URL", host(number));
        };
        let settled = leases.iter().map(|lease| store.settle(held, lease.token, Fate::Stored, at(0)));
        n_settled += futures_util::future::try_join_all(settled).await?.len() as u64;
    }
    Ok(n_settled)
}

fn page(number: u64) -> CanonicalUrl {
    let (host, section) = (number % u64::from(N_HOSTS), number % 97);
    CanonicalUrl::parse(&format!("http://h{host}.example.org/documentation/section-{section}/page-{number}.html"))
        .expect("the benchmark's URLs are valid")
}

struct Watch {
    cpu: f64,
    wall: Instant,
}

impl Watch {
    fn start(what: &'static str) -> Self {
        println!("{what}:");
        Self { cpu: cpu_seconds(), wall: Instant::now() }
    }

    fn stop(self, count: u64, before: u64) -> anyhow::Result<()> {
        let (cpu, wall) = (cpu_seconds() - self.cpu, self.wall.elapsed().as_secs_f64());
        let memory = anonymous_bytes()?.saturating_sub(before);
        println!("    {count} in {cpu:.2} CPU s ({:.0} per CPU s), {wall:.2} s of wall time", count as f64 / cpu);
        println!("    {} MiB anonymous memory more than before the store was opened", memory >> 20);
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident anonymous memory of this process.
fn anonymous_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| anyhow::anyhow!("the kernel does not say how much memory is anonymous"))
}
