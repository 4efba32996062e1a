//! Writes the prepared pages, asks questions and prints what both cost.

use crate::pages::{Page, Pages};
use argiope_actors::embedder::{Embedder, LocalEmbedder};
use argiope_protocol::TenantId;
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
use argiope_store::vectors::{SearchFilter, SideQuery, VectorStore as _};
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Hits of each side, as a hybrid search asks for them.
const N_HITS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A file that `prepare` made.
    file: PathBuf,
    /// Where the index is made; it must not exist.
    #[arg(long)]
    dir: PathBuf,
    /// Pages in flight at once.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Stop after this many pages.
    #[arg(long, default_value_t = usize::MAX)]
    pages: usize,
    /// New chunks after which the index is compacted; the store's default otherwise.
    #[arg(long)]
    optimize_every: Option<usize>,
    /// Pages a second that are handed to the store; as many as it takes otherwise.
    #[arg(long)]
    rate: Option<f64>,
    /// New chunks after which a group is committed; the store's default otherwise.
    #[arg(long)]
    group_chunks: Option<usize>,
    /// Longest wait of a group in milliseconds; the store's default otherwise.
    #[arg(long)]
    max_group_wait: Option<u64>,
    /// Questions asked after writing.
    #[arg(long, default_value_t = 300)]
    questions: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(!options.dir.exists(), "{} exists", options.dir.display());
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let embedder = LocalEmbedder::builtin();
    let mut store_options = VectorOptions::default();
    if let Some(optimize_every) = options.optimize_every {
        store_options.optimize_every = optimize_every;
    }
    if let Some(group_chunks) = options.group_chunks {
        store_options.group_chunks = group_chunks;
    }
    if let Some(max_group_wait) = options.max_group_wait {
        store_options.max_group_wait = Duration::from_millis(max_group_wait);
    }
    let store = Arc::new(EmbeddedVectors::open(&options.dir, embedder.model().clone(), store_options)?);
    let peak = Peak::watch();
    let before = Spent::now();
    let (n_pages, n_chunks, questions) = write(options, &store).await?;
    let spent = Spent::now() - before;
    println!(
        "write: {n_pages} pages, {n_chunks} chunks: {:.1} CPU s ({:.1} system), {:.3} CPU s / 1,000 chunks, {:.1} s, {} major faults",
        spent.cpu_secs,
        spent.system_secs,
        spent.cpu_secs * 1e3 / n_chunks as f64,
        spent.wall_secs,
        spent.n_major_faults,
    );
    println!("store: {:?}", store.activity());
    println!(
        "memory: peak {} MB, peak anonymous {} MB; after writing {} MB, anonymous {} MB; disk {} MB",
        peak.rss() / 1024,
        peak.anonymous() / 1024,
        status("VmRSS:") / 1024,
        status("RssAnon:") / 1024,
        disk_bytes(&options.dir)? / (1 << 20),
    );
    // Twice: cold, then as in a session.
    for _ in 0..2 {
        ask(&store, &embedder, &questions).await?;
    }
    println!("memory: after asking {} MB, anonymous {} MB", status("VmRSS:") / 1024, status("RssAnon:") / 1024);
    store.close().await?;
    Ok(())
}

/// Answers pages, chunks, and questions taken from titles and headings all over the file.
async fn write(options: &Options, store: &Arc<EmbeddedVectors>) -> anyhow::Result<(usize, usize, Vec<String>)> {
    let room = Arc::new(Semaphore::new(options.in_flight));
    let (mut n_pages, mut n_chunks, mut questions) = (0, 0, Vec::new());
    let pause = options.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
    let began = Instant::now();
    for page in Pages::open(&options.file)?.take(options.pages) {
        let page: Page = page?;
        n_pages += 1;
        n_chunks += page.chunks.len();
        if let Some((_, _, payload)) = page.chunks.get(n_pages % page.chunks.len().max(1)) {
            let heading = payload.heading_path.last().map_or("", String::as_str);
            questions.push(format!("{} {heading}", payload.title));
        }
        tokio::time::sleep_until((began + pause * u32::try_from(n_pages)?).into()).await;
        let permit = Arc::clone(&room).acquire_owned().await?;
        let store = Arc::clone(store);
        tokio::spawn(async move {
            store.heads(&page.head.tenant, &[page.head.page]).await.expect("the heads are read");
            store.apply(vec![page.into_write()]).await.expect("the page is written");
            drop(permit);
        });
    }
    drop(room.acquire_many(u32::try_from(options.in_flight)?).await?);
    // Commands are done one after the other, so this waits for the last compaction too.
    store.remove_strays(Vec::new()).await?;
    let step = (questions.len() / options.questions.max(1)).max(1);
    Ok((n_pages, n_chunks, questions.into_iter().step_by(step).take(options.questions).collect()))
}

async fn ask(store: &EmbeddedVectors, embedder: &LocalEmbedder, questions: &[String]) -> anyhow::Result<()> {
    let vectors = embedder.embed(questions.to_vec()).await?;
    let (before, mut times, mut print) = (Spent::now(), Vec::new(), 0_u64);
    for (text, dense) in questions.iter().zip(vectors) {
        let tenant = TenantId::default();
        let query = SideQuery { tenant, text: text.clone(), dense, filter: SearchFilter::default(), limit: N_HITS };
        let asked = Instant::now();
        let (lexical, semantic) = store.search_both(&query).await?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        // Equal contents give equal answers, however the index is laid out.
        for hit in lexical.iter().take(10).chain(semantic.iter().take(10)) {
            print = print.rotate_left(7) ^ (hit.id.0.as_u128() as u64);
        }
    }
    let spent = Spent::now() - before;
    times.sort_by(f64::total_cmp);
    let percentile = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "ask: {} questions, {:.2} ms CPU each, {:.2} ms p50, {:.2} ms p95, {} major faults, print {print:016x}",
        times.len(),
        spent.cpu_secs * 1e3 / times.len() as f64,
        percentile(0.5),
        percentile(0.95),
        spent.n_major_faults,
    );
    Ok(())
}

/// What the process used until now.
#[derive(Clone, Copy)]
struct Spent {
    cpu_secs: f64,
    system_secs: f64,
    wall_secs: f64,
    n_major_faults: u64,
}

impl Spent {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let wall = clock_gettime(ClockId::Monotonic);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Fields 12 and 15 of proc(5), counted from behind the name; 100 ticks a second on every Linux.
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
            .unwrap_or_default();
        let field = |n: usize| fields.get(n).copied().unwrap_or_default();
        let secs = |time: rustix::time::Timespec| time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        Self {
            cpu_secs: secs(cpu),
            system_secs: field(12) as f64 / 100.0,
            wall_secs: secs(wall),
            n_major_faults: field(9),
        }
    }
}

impl std::ops::Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu_secs: self.cpu_secs - before.cpu_secs,
            system_secs: self.system_secs - before.system_secs,
            wall_secs: self.wall_secs - before.wall_secs,
            n_major_faults: self.n_major_faults - before.n_major_faults,
        }
    }
}

/// Highest memory seen, sampled every 20 ms for as long as the process runs.
#[derive(Clone, Default)]
struct Peak(Arc<[AtomicU64; 2]>);

impl Peak {
    fn watch() -> Self {
        let peak = Self::default();
        let seen = peak.clone();
        std::thread::spawn(move || {
            loop {
                seen.0[0].fetch_max(status("VmRSS:"), Ordering::Relaxed);
                seen.0[1].fetch_max(status("RssAnon:"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        peak
    }

    fn rss(&self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    fn anonymous(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }
}

/// A field of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Allocated bytes below a folder: sparse files count as what they hold.
fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = std::fs::symlink_metadata(&path)?;
        bytes += if metadata.is_dir() { disk_bytes(&path)? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
