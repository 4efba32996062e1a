//! The one actor of a node that other nodes can reach.
//!
//! A message is opaque bytes: the token of a session, then an envelope. The transport does not say who sent a message,
//! so the token does: the node that receives has drawn it and told it to one peer only, over a stream on which that
//! peer proved who it is. Nothing here waits, so the mailbox holds what the windows of the peers allow.

use super::counters::count;
use super::serve;
use super::shared::Shared;
use argiope_protocol::NodeName;
use bytes::Bytes;
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use std::sync::Arc;
use uuid::Uuid;

const TOKEN_BYTES: usize = 16;

/// Token and envelope.
pub(super) struct Delivery(pub(super) Vec<u8>);

impl Message for Delivery {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        Ok(SerializedMessage::Cast { variant: String::new(), args: self.0, metadata: None })
    }

    /// Never fails on bytes: what they mean is judged, and counted, by the actor.
    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            SerializedMessage::Cast { args, .. } => Ok(Self(args)),
            SerializedMessage::Call { .. } | SerializedMessage::CallReply(..) => Err(BoxedDowncastErr),
        }
    }
}

/// Name of a node's gateway: how its peers find it among what the transport announces.
pub(super) fn name_of(node: &NodeName, boot: Uuid) -> String {
    format!("argiope-link {node}#{boot}")
}

/// The actor.
pub(super) struct Gateway;

impl Actor for Gateway {
    type Msg = Delivery;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, _: ActorRef<Delivery>, shared: Arc<Shared>) -> Result<Arc<Shared>, ActorProcessingErr> {
        Ok(shared)
    }

    async fn handle(
        &self,
        _: ActorRef<Delivery>,
        Delivery(bytes): Delivery,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        let mut bytes = Bytes::from(bytes);
        let session = bytes.first_chunk::<TOKEN_BYTES>().and_then(|token| shared.table().of_token(token));
        match session {
            Some(session) => serve::receive(shared, &session, &bytes.split_off(TOKEN_BYTES)),
            None => count(&shared.counters.messages_dropped),
        }
        Ok(())
    }
}
