//! What an earlier crawl left that makes a conditional request worth while.

use crate::config::Stores;
use argiope_content::chunk::CHUNKER_VERSION;
use argiope_protocol::{JobSpec, PageKey, PageRecord, ProcessMode};

/// The page's record, when "unchanged" would be a true answer for this job: it was processed at least as far,
/// by the same chunker, what the job keeps of it is kept, and its chunks are in the index.
pub(super) async fn usable_prior(
    stores: &Stores,
    spec: &JobSpec,
    key: &PageKey,
) -> argiope_store::Result<Option<PageRecord>> {
    let Some(record) = stores.pages.record_with(&spec.tenant, key, spec.retain).await? else { return Ok(None) };
    if record.process < spec.process || record.chunker_version != CHUNKER_VERSION {
        return Ok(None);
    }
    if spec.process == ProcessMode::Vectors {
        let heads = stores.vectors.heads(&spec.tenant, std::slice::from_ref(key)).await?;
        let is_indexed = heads.first().is_some_and(|head| {
            head.as_ref().is_some_and(|head| head.chunks.iter().eq(record.chunks.iter().map(|chunk| &chunk.id)))
        });
        if !is_indexed && !record.chunks.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(record))
}
