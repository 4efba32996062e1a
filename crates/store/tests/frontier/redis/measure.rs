//! What the frontier costs in Redis: memory a URL, processor time a URL. `ARGIOPE_REDIS_URLS=1000000` measures at full
//! size; the default only shows that it works. The figures are in docs/REDIS.md.

use super::OnServer;
use super::server::{self, Server};
use crate::runtime;
use argiope_protocol::job::Retain;
use argiope_protocol::{
    CanonicalUrl, Claim, Fate, FetchFacts, JobId, PageKey, PageRecord, ProcessMode, Timestamp, Validators,
};
use argiope_store::conformance::frontier::{at, claim, host, job_id, link, request, spec};
use argiope_store::embedded::pages::{EmbeddedPages, PageOptions};
use argiope_store::frontier::{LeaseAnswer, RejectTally, UrlFilter, UrlState};
use argiope_store::redis::{EndedTexts, OpenOptions, RedisFrontier};
use argiope_store::{FrontierStore, PageStore};
use std::sync::Arc;

fn page(number: u64) -> CanonicalUrl {
    let text = format!("https://h{}.example.org/documentation/section-{}/page-{number}.html", number % 50, number % 97);
    CanonicalUrl::parse(&text).unwrap()
}

/// Memory and processor time of a server.
struct Meter<'s> {
    server: &'s Server,
    memory: f64,
    cpu: f64,
    functions: f64,
}

impl<'s> Meter<'s> {
    fn start(server: &'s Server) -> Self {
        Self { server, memory: number(server, "used_memory"), cpu: cpu(server), functions: functions(server) }
    }

    /// Prints, and answers bytes and microseconds a URL.
    fn stop(self, what: &str, count: u64) -> (f64, f64) {
        let bytes = (number(self.server, "used_memory") - self.memory) / count as f64;
        let micros = (cpu(self.server) - self.cpu) * 1e6 / count as f64;
        let inside = (functions(self.server) - self.functions) / count as f64;
        eprintln!(
            "{what}: {count} URLs, {bytes:.1} bytes, {micros:.1} µs of Redis each, {inside:.1} of it in functions"
        );
        (bytes, micros)
    }
}

fn number(server: &Server, name: &str) -> f64 {
    server.info(name).parse().unwrap()
}

/// Microseconds inside of functions; the rest is reading, writing and waiting for calls.
fn functions(server: &Server) -> f64 {
    let stats = server.info("cmdstat_fcall");
    stats.split(',').find_map(|field| field.strip_prefix("usec=")).unwrap().parse().unwrap()
}

fn cpu(server: &Server) -> f64 {
    number(server, "used_cpu_user") + number(server, "used_cpu_sys")
}

async fn admit_all(store: &RedisFrontier, held: &Claim, n_urls: u64) {
    for first in (0..n_urls).step_by(500) {
        let offer = (first..first + 500).map(|number| link(page(number))).collect();
        store.admit(held, job_id(0), offer, RejectTally::default(), at(0)).await.unwrap();
    }
}

/// Leases and settles, `n_at_once` URLs a lease.
async fn fetch_all(store: &Arc<RedisFrontier>, held: &Claim, n_each: u64, n_at_once: u16) {
    let mut hosts = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (store, held) = (store.clone(), held.clone());
        hosts.spawn(async move {
            let mut n_left = usize::try_from(n_each).unwrap();
            while n_left > 0 {
                let mut wanted = request(number, n_at_once);
                wanted.max_urls = n_at_once.min(u16::try_from(n_left).unwrap_or(u16::MAX));
                let LeaseAnswer::Granted(leases) = store.lease(&held, &wanted, at(0)).await.unwrap() else {
                    panic!("{} has no URL", host(number));
                };
                n_left -= leases.len();
                for lease in leases {
                    store.settle(&held, lease.token, Fate::Stored, at(0)).await.unwrap();
                }
            }
        });
    }
    hosts.join_all().await;
}

#[test]
fn heavy_memory_and_time_of_a_url_are_within_their_budget() {
    if !server::is_there("heavy_memory_and_time_of_a_url_are_within_their_budget") {
        return;
    }
    let wanted = std::env::var("ARGIOPE_REDIS_URLS").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(50_000);
    let n_urls = wanted.div_ceil(500) * 500;
    let server = Server::start(&["--appendonly", "no"]);
    let dir = tempfile::tempdir().unwrap();
    let pages = EmbeddedPages::open(dir.path(), PageOptions::default()).unwrap();
    let options =
        OpenOptions { ended_texts: EndedTexts::InPages(Arc::new(pages)), ..OnServer::new(&server.url()).options };
    runtime().block_on(async {
        let store = Arc::new(RedisFrontier::open(&options, at(0)).await.unwrap());
        let held = claim(&*store, at(0)).await;
        store.create_job(job_id(0), &spec("default", u64::MAX), at(0)).await.unwrap();
        // The first URL of each host pays for the host.
        admit_all(&store, &held, 500).await;
        let text_bytes = (500..n_urls).map(|number| page(number).as_str().len() as f64).sum::<f64>() / n_urls as f64;
        let meter = Meter::start(&server);
        admit_all(&store, &held, n_urls).await;
        let (bytes, admit_micros) = meter.stop("queued", n_urls - 500);
        eprintln!("queued: {:.1} bytes beyond its text of {text_bytes:.1}", bytes - text_bytes);
        assert!(bytes - text_bytes <= 100.0);
        let meter = Meter::start(&server);
        admit_all(&store, &held, n_urls.min(20_000)).await;
        meter.stop("offered again", n_urls.min(20_000));
        server.command::<()>(&["CONFIG", "RESETSTAT"]);
        store.renew(&held, std::time::Duration::from_secs(9), at(0)).await.unwrap();
        let before = Meter::start(&server);
        fetch_all(&store, &held, n_urls / 100, 8).await;
        before.stop("leased by eights and settled", n_urls / 2);
        let before = Meter::start(&server);
        fetch_all(&store, &held, n_urls / 100, 1).await;
        let (_, fetch_micros) = before.stop("leased one by one and settled", n_urls / 2);
        let empty = Server::start(&["--appendonly", "no"]);
        let left = (number(&server, "used_memory") - number(&empty, "used_memory")) / n_urls as f64;
        eprintln!("finished: {left:.1} bytes; a URL's life: {:.1} µs", admit_micros + fetch_micros);
        assert!(left <= 24.0 + 1_500_000.0 / n_urls as f64, "the rest is the library, connections and 50 hosts");
        assert_eq!(store.job(job_id(0)).await.unwrap().counters.stored, n_urls);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}

fn record(job: JobId, url: &CanonicalUrl) -> PageRecord {
    PageRecord {
        key: PageKey::of(url),
        tenant: spec("default", 1).tenant,
        job,
        url: url.clone(),
        depth: 1,
        seq: 1,
        process: ProcessMode::default(),
        chunker_version: 1,
        fetch: FetchFacts {
            fetched_at: Timestamp::ZERO,
            status: 200,
            content_type: None,
            remote: "127.0.0.1:80".parse().unwrap(),
            wire_bytes: 0,
            elapsed_ms: 0,
        },
        validators: Validators::default(),
        body_hash: *blake3::hash(b"body").as_bytes(),
        title: String::new(),
        language: None,
        charset: "UTF-8".to_owned(),
        simhash: 0,
        extraction: "body".to_owned(),
        chunks: Vec::new(),
        outlinks: Vec::new(),
        problems: Vec::new(),
    }
}

/// Pages are listed with the page store's help; nothing of their text is left in Redis.
#[test]
fn ended_urls_are_listed_from_the_page_store() {
    if !server::is_there("ended_urls_are_listed_from_the_page_store") {
        return;
    }
    let server = Server::start(&["--appendfsync", "no"]);
    let dir = tempfile::tempdir().unwrap();
    let pages = Arc::new(EmbeddedPages::open(dir.path(), PageOptions::default()).unwrap());
    let options =
        OpenOptions { ended_texts: EndedTexts::InPages(pages.clone()), ..OnServer::new(&server.url()).options };
    runtime().block_on(async {
        let store = RedisFrontier::open(&options, at(0)).await.unwrap();
        let held = claim(&store, at(0)).await;
        let spec = spec("default", 1_000);
        store.create_job(job_id(0), &spec, at(0)).await.unwrap();
        let offer = (0..300).map(|number| link(page(number))).collect();
        store.admit(&held, job_id(0), offer, RejectTally::default(), at(0)).await.unwrap();
        let fates = [
            Fate::Stored,
            Fate::Unchanged,
            Fate::Skipped(argiope_protocol::SkipReason::Gone),
            Fate::Failed(argiope_protocol::FailReason::Tls, None),
        ];
        for fate in fates {
            let LeaseAnswer::Granted(leases) = store.lease(&held, &request(7, 9), at(0)).await.unwrap() else { panic!() };
            let url = leases[0].candidate.url.clone();
            if matches!(fate, Fate::Stored | Fate::Unchanged) {
                let body = bytes::Bytes::from_static(b"body");
                let (headers, markdown, retain) = (Vec::new(), String::new(), Retain::Raw);
                let record = record(job_id(0), &url);
                pages.put(argiope_store::pages::NewPage { record, headers, body, markdown, retain }).await.unwrap();
            }
            store.settle(&held, leases[0].token, fate, at(0)).await.unwrap();
        }
        let listed = store.list_urls(job_id(0), UrlFilter::All, None, 1_000).await.unwrap();
        assert_eq!(listed.len(), 300);
        assert!(listed.iter().all(|(page, entry)| PageKey::of(&entry.candidate.url) == *page));
        for fate in fates {
            let is_it = |entry: &&(PageKey, _)| matches!(&entry.1, argiope_store::frontier::UrlEntry { state: UrlState::Ended(one), attempts: 1, .. } if *one == fate);
            assert_eq!(listed.iter().filter(is_it).count(), 1, "{fate:?}");
        }
        let known = store.known_pages(&spec.tenant, spec.identity(), None, 10).await.unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}
