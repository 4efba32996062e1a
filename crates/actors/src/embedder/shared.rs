//! The embedder of a node of a cluster: its own first, those of other nodes when its own has no credit left, or when it
//! does not have the role. The page stays where it was fetched; texts go and vectors come back.

use super::adapter::{EmbedError, Embedder, ReadText};
use crate::frontier::{Embedded, Frontier};
use crate::metrics::{EmbedPlace, Metrics};
use crate::support::StoreWait;
use crate::support::tasks::TaskKind;
use argiope_content::model::Tokenizer;
use argiope_protocol::messages::{EmbedOrder, NodeReply};
use argiope_store::vectors::IndexModel;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pages, or orders of other nodes, that are embedded here at once.
const MAX_CALLS: usize = 32;
/// Pause before nodes that have no credit left are asked again.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Embeds here or at another node.
pub struct SharedEmbedder {
    own: Arc<dyn Embedder>,
    /// Credit of this node's own embedder; none without the role.
    credit: Option<Semaphore>,
    frontier: Frontier,
    wait: StoreWait,
    metrics: Metrics,
}

impl SharedEmbedder {
    /// Around the configured embedder. `embeds`: whether this node has the role; alone it always has.
    #[must_use]
    pub fn new(own: Arc<dyn Embedder>, embeds: bool, frontier: Frontier, wait: StoreWait, metrics: Metrics) -> Self {
        Self { own, credit: embeds.then(|| Semaphore::new(MAX_CALLS)), frontier, wait, metrics }
    }

    /// Answers another node.
    pub async fn serve(&self, order: EmbedOrder) -> NodeReply {
        let model = self.own.model();
        let Some(credit) =
            self.credit.as_ref().filter(|_| (&order.model, order.dimension) == (&model.id, model.dimension))
        else {
            return NodeReply::OtherModel;
        };
        let Ok(_permit) = credit.try_acquire() else { return NodeReply::Full };
        self.metrics.embed_call(EmbedPlace::ForPeer);
        match self.own.embed(order.texts).await {
            Ok(vectors) => NodeReply::Embedded(vectors),
            Err(error) => NodeReply::NotEmbedded { message: error.to_string() },
        }
    }

    async fn embed_here(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.metrics.embed_call(EmbedPlace::Here);
        self.own.embed(texts).await
    }

    /// Embeds as many texts as fit a message, wherever credit is found first.
    async fn embed_part(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let model = self.own.model();
        let order = EmbedOrder { model: model.id.clone(), dimension: model.dimension, texts };
        loop {
            if let Some(Ok(_permit)) = self.credit.as_ref().map(Semaphore::try_acquire) {
                return self.embed_here(order.texts).await;
            }
            let asked = match self.frontier.peers() {
                Some(peers) => peers.embed(order.clone()).await,
                None => Embedded::Nobody,
            };
            match (asked, &self.credit) {
                (Embedded::Vectors(vectors), _) => {
                    self.wait.available();
                    self.metrics.embed_call(EmbedPlace::Peer);
                    return Ok(vectors);
                }
                (Embedded::Failed(message), _) => return Err(EmbedError::Peer(message)),
                (Embedded::Full | Embedded::Nobody, Some(credit)) => {
                    let _permit = credit.acquire().await.map_err(|_| EmbedError::Ended)?;
                    return self.embed_here(order.texts).await;
                }
                (Embedded::Full, None) => tokio::time::sleep(FULL_PAUSE).await,
                (Embedded::Nobody, None) if self.wait.is_draining() => return Err(EmbedError::Nobody),
                (Embedded::Nobody, None) => {
                    self.wait.pause(TaskKind::Embed, &EmbedError::Nobody, EmbedError::Nobody.code()).await;
                }
            }
        }
    }
}

#[async_trait]
impl Embedder for SharedEmbedder {
    fn model(&self) -> &IndexModel {
        self.own.model()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.own.tokenizer()
    }

    async fn embed_read(&self, texts: Vec<ReadText<'_>>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if !texts.is_empty()
            && let Some(Ok(_permit)) = self.credit.as_ref().map(Semaphore::try_acquire)
        {
            self.metrics.embed_call(EmbedPlace::Here);
            return self.own.embed_read(texts).await;
        }
        self.embed(texts.into_iter().map(|read| read.text.to_owned()).collect()).await
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(Ok(_permit)) = self.credit.as_ref().map(Semaphore::try_acquire) {
            return self.embed_here(texts).await;
        }
        let mut vectors = Vec::with_capacity(texts.len());
        for part in parts(texts, self.own.model().dimension) {
            vectors.extend(self.embed_part(part).await?);
        }
        Ok(vectors)
    }
}

/// Cuts texts into parts that each fit a message. A text that is too long alone is a part of its own: the link refuses it.
fn parts(texts: Vec<String>, dimension: u32) -> Vec<Vec<String>> {
    let (mut parts, mut part, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        if !part.is_empty() && !EmbedOrder::fits(part.len() + 1, n_bytes + text.len(), dimension) {
            parts.push(std::mem::take(&mut part));
            n_bytes = 0;
        }
        n_bytes += text.len();
        part.push(text);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::messages::{MAX_BATCH_BYTES, NodeCall};
    use argiope_protocol::wire::MAX_ENVELOPE_BYTES;

    #[test]
    fn parts_fit_both_ways_and_lose_nothing() {
        let check = |n_texts: usize, length: usize, dimension: u32, expected: usize| {
            let texts: Vec<String> = (0..n_texts).map(|n| format!("{n} {}", "x".repeat(length))).collect();
            let parts = parts(texts.clone(), dimension);
            assert_eq!(parts.len(), expected);
            for part in &parts {
                let order = EmbedOrder { model: "m".to_owned(), dimension, texts: part.clone() };
                assert!(NodeCall::Embed(Box::new(order)).encode().len() < MAX_ENVELOPE_BYTES);
                let reply = NodeReply::Embedded(vec![vec![0.1; dimension as usize]; part.len()]);
                assert!(reply.encode().len() < MAX_ENVELOPE_BYTES);
            }
            assert_eq!(parts.concat(), texts);
        };
        check(1, 10, 256, 1);
        check(512, 100, 256, 1);
        check(513, 100, 256, 2);
        check(100, 100, 4_096, 4);
        check(10, MAX_BATCH_BYTES / 2 - 8, 256, 5);
    }
}
