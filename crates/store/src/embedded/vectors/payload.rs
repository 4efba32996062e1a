//! Chunks and heads in the engine's own types.

use crate::Result;
use crate::vectors::payload::{self, corrupt};
use crate::vectors::{ChunkPayload, PageHead, SearchFilter};
use argiope_protocol::{PageKey, TenantId};
use qdrant_edge::{Condition, FieldCondition, Filter, JsonPath, Match, Payload, PointId};
use uuid::Uuid;

pub(super) use payload::{DOMAIN, HOST, LANGUAGE, PAGE, TENANT};

/// A point's id.
pub(super) const fn point_id(uuid: Uuid) -> PointId {
    PointId::Uuid(uuid)
}

/// The UUID of a point; this program makes no others.
pub(super) fn uuid_of(id: PointId) -> Result<Uuid> {
    match id {
        PointId::Uuid(uuid) => Ok(uuid),
        PointId::NumId(number) => Err(corrupt("point id", &number.to_string())),
    }
}

/// A field's path in the engine's terms.
pub(super) fn path(field: &str) -> Result<JsonPath> {
    field.parse().map_err(|()| corrupt("field name", field))
}

pub(super) fn chunk_to_payload(chunk: &ChunkPayload) -> Payload {
    Payload(payload::chunk_to_payload(chunk))
}

pub(super) fn chunk_from_payload(payload: Payload) -> Result<ChunkPayload> {
    payload::chunk_from_payload(payload.0)
}

/// Only the page of a chunk.
pub(super) fn page_of(payload: &Payload) -> Result<PageKey> {
    payload::page_of(&payload.0)
}

pub(super) fn head_to_payload(head: &PageHead) -> Payload {
    Payload(payload::head_to_payload(head))
}

pub(super) fn head_from_payload(payload: Payload) -> Result<PageHead> {
    payload::head_from_payload(payload.0)
}

/// The payload that moves a chunk.
pub(super) fn position_payload(position: u32) -> Payload {
    Payload(payload::position_payload(position))
}

/// Points of a tenant that the filter allows.
pub(super) fn filter(tenant: &TenantId, filter: &SearchFilter) -> Result<Filter> {
    let conditions = payload::wanted(tenant, filter).map(|(field, value)| {
        Ok(Condition::Field(FieldCondition::new_match(path(field)?, Match::from(value.to_owned()))))
    });
    Ok(Filter { must: Some(conditions.collect::<Result<_>>()?), ..Filter::default() })
}
