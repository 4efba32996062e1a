//! What other nodes may ask of this one.

use super::link::{Handler, Peer, Refusal, Request};
use argiope_actors::Engine;
use argiope_protocol::messages::{NodeCall, NodeReply};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// The call is not one that this version knows.
pub(super) const UNKNOWN_CALL: u16 = Refusal::FIRST_OF_APPLICATION;
/// A store did not answer.
pub(super) const STORE_AWAY: u16 = Refusal::FIRST_OF_APPLICATION + 1;

/// Answers with the engine.
pub(super) struct Answers {
    engine: Arc<Engine>,
}

impl Answers {
    pub(super) const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    async fn answer(&self, call: NodeCall) -> Result<NodeReply, Refusal> {
        Ok(match call {
            NodeCall::Shard(shard, call) => {
                // A task of its own: when the asker gives up, what was begun is done all the same.
                let engine = Arc::clone(&self.engine);
                let served = tokio::spawn(async move { engine.serve(shard, call).await }).await;
                NodeReply::Shard(served.map_err(|error| Refusal::new(Refusal::PANICKED, error.to_string()))?)
            }
            NodeCall::Fetch(order) => match self.engine.take_order(*order) {
                true => NodeReply::Taken,
                false => NodeReply::Full,
            },
            NodeCall::JobMoved(job) => {
                let moved = self.engine.job_moved(job).await;
                moved.map_err(|error| Refusal::new(STORE_AWAY, error.to_string()))?;
                NodeReply::Done
            }
            NodeCall::Embed(order) => self.engine.embed(*order).await,
        })
    }
}

#[async_trait]
impl Handler for Answers {
    async fn handle(&self, from: &Peer, request: Request) -> Result<Bytes, Refusal> {
        let call = NodeCall::decode(&request.body).map_err(|error| {
            tracing::debug!(peer = %from.name, %error, "a call that is not understood");
            Refusal::new(UNKNOWN_CALL, format!("the call is not understood: {error}"))
        })?;
        Ok(self.answer(call).await?.encode().into())
    }
}
