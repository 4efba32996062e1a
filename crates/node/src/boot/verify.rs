//! Frontier, pages, heads and chunks must say the same; chunks that no head lists are removed.

use super::Stores;
use crate::errors::Result;
use argiope_protocol::{ChunkId, PageKey, TenantId};
use argiope_store::frontier::UrlFilter;
use std::collections::HashMap;

/// Items fetched from a store at once.
const PAGE: usize = 1_000;

/// Problems that are listed; the rest is counted.
const MAX_LISTED: usize = 100;

/// What was compared, and what was wrong.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Findings {
    /// What is wrong, in words; only the first of very many.
    pub(crate) problems: Vec<String>,
    /// How much is wrong.
    pub(crate) n_problems: u64,
    /// Page records.
    pub(crate) n_pages: u64,
    /// Pages visible in the index.
    pub(crate) n_heads: u64,
    /// Chunks that they list.
    pub(crate) n_chunks: u64,
    /// Chunks that nothing lists.
    pub(crate) n_strays: u64,
    /// Objects of the page store that no page names, removed.
    pub(crate) n_stray_bodies: u64,
    /// Whether only what holds at every instant of a crawl was compared, since one was running.
    pub(crate) is_partial: bool,
}

impl Findings {
    fn add(&mut self, problem: String) {
        self.n_problems += 1;
        if self.problems.len() < MAX_LISTED {
            self.problems.push(problem);
        }
    }
}

/// Compares all stores. No crawl may run: a page between two of its writes would look wrong, and its chunks like strays.
pub(super) async fn compare(stores: &Stores, tenant: &TenantId, keep: bool) -> Result<Findings> {
    let mut findings = compare_ledger(stores).await?;
    findings.is_partial = false;
    compare_pages(stores, tenant, &mut findings).await?;
    let listed = compare_heads(stores, tenant, &mut findings).await?;
    compare_chunks(stores, tenant, keep, listed, &mut findings).await?;
    if !keep {
        findings.n_stray_bodies = remove_stray_bodies(stores).await?;
    }
    Ok(findings)
}

/// Compares what holds at every instant: each store in itself, and that every URL that ended as a page has its record.
pub(super) async fn compare_ledger(stores: &Stores) -> Result<Findings> {
    let mut findings = Findings { is_partial: true, ..Findings::default() };
    for problem in stores.frontier.verify().await? {
        findings.add(format!("frontier: {problem}"));
    }
    for problem in stores.pages.verify().await? {
        findings.add(format!("pages: {problem}"));
    }
    compare_frontier(stores, &mut findings).await?;
    Ok(findings)
}

/// A damaged page, which is among the problems already, keeps all of them: what it names is not known.
async fn remove_stray_bodies(stores: &Stores) -> Result<u64> {
    match stores.pages.remove_strays().await {
        Err(argiope_store::Error::Corrupt { .. }) => Ok(0),
        removed => Ok(removed?),
    }
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
