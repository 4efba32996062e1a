//! What the embedded vector store costs: CPU a chunk while writing, time and CPU a search.
//!
//! `cargo bench -p argiope-store --bench vectors [N_CHUNKS]` writes pages of 8 chunks from 4 callers, then asks
//! questions of both sides (100 hits each). Measured with 2 cores at 2,000 chunks: 0.19 ms CPU a chunk, 920 chunks/s,
//! 3.1 ms a question. The texts are random words with Zipf's frequencies, 150 to a chunk.

use argiope_protocol::{ChunkHash, ChunkId, JobId, PageKey, TenantId, Timestamp};
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
use argiope_store::vectors::{
    ChunkPayload, ChunkPoint, IndexModel, PageHead, PageWrite, SearchFilter, SideQuery, VectorStore as _,
};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const DIMENSION: u32 = 256;
const CHUNKS_PER_PAGE: u64 = 8;
const WORDS_PER_CHUNK: u64 = 150;
const N_CALLERS: u64 = 4;
const N_QUESTIONS: u64 = 200;

/// A counter-based generator: the same numbers on each run, in any order.
fn number(stream: u64, n: u64) -> u64 {
    let mut x = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn unit(stream: u64, n: u64) -> f64 {
    (number(stream, n) >> 11) as f64 / (1_u64 << 53) as f64
}

fn text(chunk: u64, n_words: u64) -> String {
    let word = |n| format!("w{}", 30_000_f64.powf(unit(chunk, n)) as u64);
    (0..n_words).map(word).collect::<Vec<_>>().join(" ")
}

fn vector(chunk: u64) -> Vec<f32> {
    let raw: Vec<f32> = (0..DIMENSION).map(|n| unit(chunk ^ 0xabcd, n.into()) as f32 - 0.5).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / norm).collect()
}

fn page(n: u64) -> PageWrite {
    let tenant = TenantId::default();
    let key = PageKey::from_bytes(Uuid::from_u128(n.into()).into_bytes());
    let chunk = |place: u64| {
        let text = text(n * CHUNKS_PER_PAGE + place, WORDS_PER_CHUNK);
        let id = ChunkId::of(&tenant, &key, &ChunkHash::of(1, &text), 0);
        let payload = ChunkPayload {
            tenant: tenant.clone(),
            job: JobId::from_uuid(Uuid::from_u128(1)),
            page: key,
            url: format!("https://docs.example.org/guide/{n}.html"),
            host: "docs.example.org".to_owned(),
            domain: "example.org".to_owned(),
            title: format!("Guide {n}"),
            heading_path: vec!["Guide".to_owned(), "Part".to_owned()],
            anchor: None,
            text,
            position: place as u32,
            language: Some("en".to_owned()),
            seq: 1,
            fetched_at: Timestamp::from_millis(1),
        };
        ChunkPoint { id, dense: vector(n * CHUNKS_PER_PAGE + place), payload }
    };
    let new_chunks: Vec<_> = (0..CHUNKS_PER_PAGE).map(chunk).collect();
    let chunks = new_chunks.iter().map(|chunk| chunk.id).collect();
    let head = PageHead { page: key, tenant: tenant.clone(), url: String::new(), seq: 1, chunks };
    PageWrite { head, new_chunks, moved: Vec::new(), stale: Vec::new() }
}

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn main() {
    let n_chunks = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000_u64);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(measure(n_chunks));
}

async fn measure(n_chunks: u64) {
    let dir = tempfile::tempdir().expect("a directory is made");
    let model = IndexModel { id: "bench".to_owned(), dimension: DIMENSION };
    let store = EmbeddedVectors::open(dir.path(), model, VectorOptions::default()).expect("the store opens");
    let store = Arc::new(store);
    let pages: Vec<PageWrite> = (0..n_chunks / CHUNKS_PER_PAGE).map(page).collect();
    let n_written = pages.len() as f64 * CHUNKS_PER_PAGE as f64;
    let (cpu, wall) = (cpu_ms(), Instant::now());
    let callers = (0..N_CALLERS).map(|caller| {
        let store = Arc::clone(&store);
        let mine: Vec<_> = pages.iter().skip(caller as usize).step_by(N_CALLERS as usize).cloned().collect();
        tokio::spawn(async move {
            for group in mine.chunks(8) {
                store.apply(group.to_vec()).await.expect("the group is written");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("the caller ends");
    }
    let (cpu, wall) = (cpu_ms() - cpu, wall.elapsed());
    println!(
        "apply: {n_written} chunks, {:.3} ms CPU a chunk, {:.0} chunks/s",
        cpu / n_written,
        n_written / wall.as_secs_f64()
    );
    let (cpu, mut times) = (cpu_ms(), Vec::new());
    for n in 0..N_QUESTIONS {
        let (text, dense) = (text(n + (1 << 40), 6), vector(n + (1 << 40)));
        let query = SideQuery { tenant: TenantId::default(), text, dense, filter: SearchFilter::default(), limit: 100 };
        let asked = Instant::now();
        let (lexical, semantic) = store.search_both(&query).await.expect("the search succeeds");
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        assert!(semantic.len() == 100 && !lexical.is_empty());
    }
    times.sort_by(f64::total_cmp);
    let percentile = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    let cpu = (cpu_ms() - cpu) / N_QUESTIONS as f64;
    println!("search_both: {:.1} ms p50, {:.1} ms p95, {cpu:.1} ms CPU", percentile(0.5), percentile(0.95));
    store.close().await.expect("the store closes");
}
