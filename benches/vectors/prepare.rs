//! HTML pages in, chunks with vectors out, by the same code as a crawl's.

use crate::pages::Page;
use anyhow::Context;
use argiope_actors::embedder::{Embedder, LocalEmbedder};
use argiope_content::chunk::{ChunkLimits, chunk};
use argiope_content::page::{self, Depth, PageInput};
use argiope_protocol::{CanonicalUrl, ChunkId, JobId, PageKey, TenantId, Timestamp};
use argiope_store::vectors::{ChunkPayload, PageHead};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) fn prepare(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let embedder = LocalEmbedder::builtin();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = BufWriter::new(File::create(file)?);
    let (mut n_pages, mut n_chunks, began) = (0_usize, 0_usize, Instant::now());
    for path in files {
        let body = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let place = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        let Ok(url) = CanonicalUrl::parse(&format!("http://docs.example.org/{place}")) else { continue };
        let page = runtime.block_on(to_page(&url, &body, &embedder))?;
        n_pages += 1;
        n_chunks += page.chunks.len();
        page.write(&mut out)?;
    }
    out.flush()?;
    println!("{n_pages} pages, {n_chunks} chunks, {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            files.push(path);
        }
    }
    Ok(())
}

async fn to_page(url: &CanonicalUrl, body: &[u8], embedder: &LocalEmbedder) -> anyhow::Result<Page> {
    let (tenant, key, host) = (TenantId::default(), PageKey::of(url), url.host());
    let parsed = page::parse(&PageInput {
        url,
        body,
        content_type: Some("text/html"),
        x_robots_tag: &[],
        robots_token: "bench",
        depth: Depth::Markdown,
        max_links: 0,
    });
    let chunks = chunk(&parsed.markdown, &parsed.headings, &parsed.title, embedder.tokenizer(), ChunkLimits::default());
    let vectors = embedder.embed(chunks.iter().map(|chunk| chunk.embedded_text.clone()).collect()).await?;
    let mut n_equal: BTreeMap<[u8; 32], u32> = BTreeMap::new();
    let mut written = Vec::with_capacity(chunks.len());
    for (place, (chunk, dense)) in chunks.into_iter().zip(vectors).enumerate() {
        let nth = n_equal.entry(chunk.hash.0).or_default();
        let id = ChunkId::of(&tenant, &key, &chunk.hash, *nth);
        *nth += 1;
        let payload = ChunkPayload {
            tenant: tenant.clone(),
            job: JobId::from_uuid(uuid::Uuid::from_u128(1)),
            page: key,
            url: url.to_string(),
            host: host.to_string(),
            domain: host.domain().to_string(),
            title: parsed.title.clone(),
            heading_path: chunk.heading_path,
            anchor: chunk.anchor,
            text: chunk.text,
            position: u32::try_from(place)?,
            language: parsed.language.clone(),
            seq: 1,
            fetched_at: Timestamp::from_millis(1_700_000_000_000),
        };
        written.push((id, dense, payload));
    }
    let ids = written.iter().map(|(id, ..)| *id).collect();
    let head = PageHead { page: key, tenant, url: url.to_string(), seq: 1, chunks: ids };
    Ok(Page { head, chunks: written })
}
