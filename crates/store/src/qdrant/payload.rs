//! Chunks and heads as points of the server, and what is asked of their fields.
//!
//! A number in a filter is compared as `f64`, which does not tell two neighbouring `seq` apart. Each point has its
//! `seq` once more in two halves that `f64` holds exactly; the fence rests on those.

use crate::Result;
use crate::vectors::payload::{self, Object, corrupt};
use crate::vectors::{PageHead, SearchFilter};
use argiope_protocol::{ChunkId, TenantId};
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Condition, Filter, ListValue, PointId, PointStruct, Range, Struct, Value};
use serde_json::{Number, Value as Json};
use std::collections::HashMap;
use uuid::Uuid;

const SEQ_HIGH: &str = "seq_high";
const SEQ_LOW: &str = "seq_low";

/// Fields as the server has them.
pub(super) type Fields = HashMap<String, Value>;

/// The fields of a point that version `seq` of a page writes.
pub(super) fn versioned(object: Object, seq: u64) -> Fields {
    let (high, low) = halves(seq);
    let mut fields = to_fields(object);
    for (name, half) in [(SEQ_HIGH, high), (SEQ_LOW, low)] {
        fields.insert(name.to_owned(), Value { kind: Some(Kind::IntegerValue(i64::from(half))) });
    }
    fields
}

/// A head's point: an id and fields, no vectors.
pub(super) fn head_point(id: Uuid, head: &PageHead) -> PointStruct {
    let none: HashMap<String, Vec<f32>> = HashMap::new();
    PointStruct::new(point_id(id), none, versioned(payload::head_to_payload(head), head.seq))
}

/// Points that version `seq` of a page may change or remove: those that no newer version wrote.
pub(super) fn not_newer(seq: u64) -> Condition {
    let (high, low) = halves(seq);
    let below = Range { lt: Some(f64::from(high)), ..Range::default() };
    let same = Filter::must([
        Condition::matches(SEQ_HIGH, MatchValue::Integer(i64::from(high))),
        Condition::range(SEQ_LOW, Range { lte: Some(f64::from(low)), ..Range::default() }),
    ]);
    Filter::should([Condition::range(SEQ_HIGH, below), same.into()]).into()
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn halves(seq: u64) -> (u32, u32) {
    ((seq >> 32) as u32, seq as u32)
}

/// Points with one of these ids.
pub(super) fn has_id(chunks: &[ChunkId]) -> Condition {
    Condition::has_id(chunks.iter().map(|id| point_id(id.0)))
}

/// Points of a tenant that the filter allows.
pub(super) fn filter(tenant: &TenantId, filter: &SearchFilter) -> Filter {
    Filter::must(payload::wanted(tenant, filter).map(|(field, value)| Condition::matches(field, value.to_owned())))
}

/// A point's id.
pub(super) fn point_id(id: Uuid) -> PointId {
    PointId { point_id_options: Some(PointIdOptions::Uuid(id.to_string())) }
}

/// The UUID of a point; this program makes no others.
pub(super) fn uuid_of(id: Option<PointId>) -> Result<Uuid> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => Uuid::try_parse(&text).map_err(|_| corrupt("point id", &text)),
        Some(PointIdOptions::Num(number)) => Err(corrupt("point id", &number.to_string())),
        None => Err(corrupt("point id", "missing")),
    }
}

/// Fields for the server.
pub(super) fn to_fields(object: Object) -> Fields {
    object.into_iter().map(|(name, value)| (name, to_value(value))).collect()
}

/// Fields from the server, nested ones by one level only: there are no others.
pub(super) fn to_object(fields: Fields) -> Object {
    fields.into_iter().map(|(name, value)| (name, to_json(value))).collect()
}

fn to_value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(yes) => Kind::BoolValue(yes),
        // Numbers beyond `i64` do not come back as they were; `seq` is checked before it is written.
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Kind::DoubleValue(number.as_f64().unwrap_or_default()), Kind::IntegerValue)
        }
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(to_value).collect() }),
        Json::Object(object) => Kind::StructValue(Struct { fields: to_fields(object) }),
    };
    Value { kind: Some(kind) }
}

fn to_json(value: Value) -> Json {
    match value.kind {
        Some(Kind::BoolValue(yes)) => Json::Bool(yes),
        Some(Kind::IntegerValue(number)) => Json::from(number),
        Some(Kind::DoubleValue(number)) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(to_json).collect()),
        // Nothing of ours is nested deeper; what is, is not read.
        Some(Kind::StructValue(_) | Kind::NullValue(_)) | None => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::vectors::chunk;

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        let mut chunk = chunk(&TenantId::default(), 1, "text", 3, (1 << 60) + 1).payload;
        for anchor in [None, Some("a".to_owned())] {
            chunk.anchor = anchor;
            let fields = versioned(payload::chunk_to_payload(&chunk), chunk.seq);
            assert_eq!(payload::chunk_from_payload(to_object(fields)).unwrap(), chunk);
        }
    }

    #[test]
    fn halves_of_a_seq_are_exact_numbers() {
        assert_eq!(halves(u64::MAX), (u32::MAX, u32::MAX));
        assert_eq!(halves((7 << 32) | 5), (7, 5));
    }
}
