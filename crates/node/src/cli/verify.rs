//! `argiope verify`: frontier, pages, heads and chunks must say the same; chunks that no head lists are removed.

use super::Context;
use crate::boot::{self, Stores};
use crate::errors::{CliError, Result};
use argiope_protocol::{ChunkId, ErrorCode, PageKey, TenantId};
use argiope_store::frontier::UrlFilter;
use clap::Args;
use std::collections::HashMap;

/// Items fetched from a store at once.
const PAGE: usize = 1_000;

/// Problems that are listed; the rest is counted.
const MAX_LISTED: usize = 100;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Report strays, but leave them.
    #[arg(long)]
    keep: bool,
}

/// What was compared, and what was wrong.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<String>,
    n_problems: u64,
    n_pages: u64,
    n_heads: u64,
    n_chunks: u64,
    n_strays: u64,
}

impl Findings {
    fn add(&mut self, problem: String) {
        self.n_problems += 1;
        if self.problems.len() < MAX_LISTED {
            self.problems.push(problem);
        }
    }
}

/// Compares and reports. Exit status 4 when something is wrong that removing strays does not mend.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let mut findings = Findings::default();
    if boot::has_data(&context.config) {
        let stores = Stores::open(&context.config).await?;
        Box::pin(compare(&stores, &context.config.tenant, arguments.keep, &mut findings)).await?;
    }
    for problem in &findings.problems {
        context.output.text(format!("  {problem}"));
        context.output.object(&serde_json::json!({ "event": "problem", "problem": problem }));
    }
    let Findings { n_pages, n_heads, n_chunks, n_strays, n_problems, .. } = findings;
    let verb = if arguments.keep { "found" } else { "removed" };
    context.output.text(format!(
        "{n_pages} pages, {n_heads} visible in the index with {n_chunks} chunks; {n_strays} strays {verb}; {n_problems} problems"
    ));
    context.output.object(&serde_json::json!({
        "event": "summary", "pages": n_pages, "heads": n_heads, "chunks": n_chunks, "strays": n_strays,
        "strays_removed": !arguments.keep, "problems": n_problems,
    }));
    if n_problems == 0 {
        return Ok(0);
    }
    Err(CliError::new(ErrorCode::StoreCorrupt, format!("the stores disagree in {n_problems} places")))
}

async fn compare(stores: &Stores, tenant: &TenantId, keep: bool, findings: &mut Findings) -> Result<()> {
    for problem in stores.frontier.verify().await? {
        findings.add(format!("frontier: {problem}"));
    }
    for problem in stores.pages.verify().await? {
        findings.add(format!("pages: {problem}"));
    }
    compare_frontier(stores, findings).await?;
    compare_pages(stores, tenant, findings).await?;
    let listed = compare_heads(stores, tenant, findings).await?;
    compare_chunks(stores, tenant, keep, listed, findings).await
}

/// Every URL that ended as a page has a page record.
async fn compare_frontier(stores: &Stores, findings: &mut Findings) -> Result<()> {
    for job in stores.frontier.jobs().await? {
        if !job.counters.is_balanced() {
            findings.add(format!("job {}: its counters do not add up", job.id));
        }
        let mut after = None;
        loop {
            let entries = stores.frontier.list_urls(job.id, UrlFilter::Pages, after, PAGE).await?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(*last);
            for (key, entry) in &entries {
                let is_missing = stores.pages.record(&job.spec.tenant, key).await?.is_none();
                // A later crawl may have found the page gone and removed it.
                if is_missing && job.ended_at.is_none() {
                    findings.add(format!("job {}: {} is stored but has no page record", job.id, entry.candidate.url));
                }
            }
        }
    }
    Ok(())
}

/// Every page with chunks is visible with exactly these.
async fn compare_pages(stores: &Stores, tenant: &TenantId, findings: &mut Findings) -> Result<()> {
    let mut after = None;
    loop {
        let records = stores.pages.scan(tenant, after, PAGE).await?;
        let Some(last) = records.last() else { return Ok(()) };
        after = Some(last.key);
        findings.n_pages += records.len() as u64;
        let keys: Vec<PageKey> = records.iter().map(|record| record.key).collect();
        let heads = stores.vectors.heads(tenant, &keys).await?;
        for (record, head) in records.iter().zip(heads) {
            // A job that embeds nothing keeps chunks without a head.
            let Some(head) = head else { continue };
            let chunks: Vec<ChunkId> = record.chunks.iter().map(|chunk| chunk.id).collect();
            if head.seq == record.seq && head.chunks != chunks {
                findings.add(format!("{}: page record and index list different chunks", record.url));
            }
            if head.seq > record.seq {
                findings.add(format!("{}: the index shows a newer version than the page record", record.url));
            }
        }
    }
}

/// The chunks that heads list, with whether each was seen in the index.
async fn compare_heads(
    stores: &Stores,
    tenant: &TenantId,
    findings: &mut Findings,
) -> Result<HashMap<ChunkId, PageKey>> {
    let mut listed = HashMap::new();
    let mut cursor = None;
    loop {
        let (heads, next) = stores.vectors.scan_heads(tenant, cursor, PAGE).await?;
        for head in heads {
            findings.n_heads += u64::from(!head.chunks.is_empty());
            if !head.chunks.is_empty() && stores.pages.record(tenant, &head.page).await?.is_none() {
                findings.add(format!("{}: visible in the index but has no page record", head.url));
            }
            listed.extend(head.chunks.iter().map(|chunk| (*chunk, head.page)));
        }
        if next.is_none() {
            return Ok(listed);
        }
        cursor = next;
    }
}

/// Every listed chunk is there; what nobody lists goes.
async fn compare_chunks(
    stores: &Stores,
    tenant: &TenantId,
    keep: bool,
    mut listed: HashMap<ChunkId, PageKey>,
    findings: &mut Findings,
) -> Result<()> {
    let mut after = None;
    loop {
        let chunks = stores.vectors.scan_chunks(tenant, after, PAGE).await?;
        let Some(last) = chunks.last() else { break };
        after = Some(last.id);
        let strays: Vec<ChunkId> =
            chunks.iter().filter(|chunk| listed.remove(&chunk.id).is_none()).map(|chunk| chunk.id).collect();
        findings.n_chunks += (chunks.len() - strays.len()) as u64;
        findings.n_strays += strays.len() as u64;
        if !keep && !strays.is_empty() {
            stores.vectors.remove_strays(strays).await?;
        }
    }
    for (chunk, page) in listed {
        findings.add(format!("chunk {chunk} of page {page} is listed but not in the index"));
    }
    Ok(())
}
