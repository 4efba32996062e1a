//! Embeds what is new of a page and passes it to the writer.

use super::adapter::{Embedder, ReadText};
use super::core::difference;
use crate::flow::{EmbedTask, Work, WriteKind, WriteTask};
use crate::metrics::Metrics;
use crate::support::stage::Stage;
use crate::support::tasks::TaskKind;
use crate::support::{Route, StoreWait};
use argiope_content::chunk::Chunk;
use argiope_protocol::{FailReason, Fate, PageRecord};
use argiope_store::VectorStore;
use argiope_store::pages::NewPage;
use argiope_store::vectors::{ChunkPayload, ChunkPoint, PageHead, PageWrite};
use std::sync::Arc;
use std::time::Instant;

/// The embedder.
pub struct EmbedStage {
    /// Who embeds.
    pub embedder: Arc<dyn Embedder>,
    /// What is visible now.
    pub vectors: Arc<dyn VectorStore>,
    /// The way to the writer.
    pub write: Route<WriteTask>,
    /// Waits for an index that is away.
    pub wait: StoreWait,
    /// Where it counts.
    pub metrics: Metrics,
}

impl Stage for EmbedStage {
    type Task = EmbedTask;
    const NAME: &'static str = "embedder";
    const KIND: TaskKind = TaskKind::Embed;

    async fn run(self: Arc<Self>, task: EmbedTask) {
        let EmbedTask { work, page, chunks, permit } = task;
        match self.index(&work, &page.record, &chunks).await {
            Ok(index) => {
                let n_bytes = (page.body.len() + page.markdown.len()) as u64;
                let write_permit = self.write.acquire(n_bytes).await;
                drop(permit);
                let kind = WriteKind::Page { page: Box::<NewPage>::new(page), index: Some(index), fate: Fate::Stored };
                let _ = self.write.send(WriteTask { work, kind, permit: write_permit });
            }
            Err(reason) => work.guard.settle(Fate::Failed(reason, None)).await,
        }
    }
}

impl EmbedStage {
    async fn index(&self, work: &Work, record: &PageRecord, chunks: &[Chunk]) -> Result<PageWrite, FailReason> {
        let url = &record.url;
        // An index that is away holds the page here: given back, it would be fetched again, and fail here again.
        let heads = || self.vectors.heads(&record.tenant, std::slice::from_ref(&record.key));
        let heads = self.wait.insist(Self::KIND, heads).await.map_err(|error| {
            tracing::warn!(%url, %error, "visible version not readable, the page is tried again");
            FailReason::Store
        })?;
        let found = difference(&record.chunks, heads.first().and_then(Option::as_ref));
        let new: Vec<(usize, &Chunk)> =
            found.new.iter().filter_map(|place| chunks.get(*place).map(|chunk| (*place, chunk))).collect();
        let n_tokens = new.iter().map(|(_, chunk)| u64::from(chunk.n_tokens())).sum();
        let read = new.iter().map(|(_, chunk)| ReadText { text: &chunk.embedded_text, token_ids: &chunk.token_ids });
        let began = Instant::now();
        let vectors = self.embedder.embed_read(read.collect()).await.map_err(|error| {
            tracing::warn!(%url, %error, "chunks not embedded, the page is tried again");
            FailReason::Embed
        })?;
        self.metrics.busy(Self::NAME, began.elapsed());
        self.metrics.embedded(new.len() as u64, n_tokens);
        let points = new.iter().zip(vectors).filter_map(|((place, chunk), dense)| {
            let id = record.chunks.get(*place)?.id;
            Some(ChunkPoint { id, dense, payload: payload(work, record, chunk, *place) })
        });
        let head = PageHead {
            page: record.key,
            tenant: record.tenant.clone(),
            url: url.to_string(),
            seq: record.seq,
            chunks: record.chunks.iter().map(|chunk| chunk.id).collect(),
        };
        Ok(PageWrite { head, new_chunks: points.collect(), moved: found.moved, stale: found.stale })
    }
}

fn payload(work: &Work, record: &PageRecord, chunk: &Chunk, place: usize) -> ChunkPayload {
    let host = record.url.host();
    ChunkPayload {
        tenant: record.tenant.clone(),
        job: work.lease().job,
        page: record.key,
        url: record.url.to_string(),
        domain: host.domain().to_string(),
        host: host.to_string(),
        title: record.title.clone(),
        heading_path: chunk.heading_path.clone(),
        anchor: chunk.anchor.clone(),
        text: chunk.text.clone(),
        position: u32::try_from(place).unwrap_or(u32::MAX),
        language: record.language.clone(),
        seq: record.seq,
        fetched_at: record.fetch.fetched_at,
    }
}
