//! How chunks and heads look in an index: the field names and types are the schema of every backend.

use super::{ChunkPayload, PageHead, SearchFilter};
use crate::{Error, Result};
use argiope_protocol::{ChunkId, JobId, PageKey, TenantId, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A point's fields.
pub(crate) type Object = Map<String, Value>;

/// Whose it is.
pub(crate) const TENANT: &str = "tenant";
/// Page key, 32 hexadecimal digits.
pub(crate) const PAGE: &str = "page";
/// Place on its page.
pub(crate) const POSITION: &str = "position";
/// Host of the URL.
pub(crate) const HOST: &str = "host";
/// Registrable domain of the URL.
pub(crate) const DOMAIN: &str = "domain";
/// ISO 639-1.
pub(crate) const LANGUAGE: &str = "language";

pub(crate) fn chunk_to_payload(chunk: &ChunkPayload) -> Object {
    object(json!({
        TENANT: chunk.tenant.as_str(),
        "job": chunk.job.to_string(),
        PAGE: chunk.page.to_string(),
        "url": chunk.url,
        HOST: chunk.host,
        DOMAIN: chunk.domain,
        "title": chunk.title,
        "heading_path": chunk.heading_path,
        "anchor": chunk.anchor,
        "text": chunk.text,
        POSITION: chunk.position,
        LANGUAGE: chunk.language,
        "seq": chunk.seq,
        "fetched_at": chunk.fetched_at.as_millis(),
    }))
}

pub(crate) fn chunk_from_payload(payload: Object) -> Result<ChunkPayload> {
    let mut fields = Fields(payload);
    Ok(ChunkPayload {
        tenant: fields.tenant()?,
        job: fields.parsed::<JobId>("job")?,
        page: fields.page()?,
        url: fields.text("url")?,
        host: fields.text(HOST)?,
        domain: fields.text(DOMAIN)?,
        title: fields.text("title")?,
        heading_path: fields.texts("heading_path")?,
        anchor: fields.text_opt("anchor"),
        text: fields.text("text")?,
        position: u32::try_from(fields.number(POSITION)?).map_err(|_| corrupt(POSITION, "above u32"))?,
        language: fields.text_opt(LANGUAGE),
        seq: fields.number("seq")?,
        fetched_at: Timestamp::from_millis(fields.number("fetched_at")?),
    })
}

/// Only the page of a chunk.
pub(crate) fn page_of(payload: &Object) -> Result<PageKey> {
    page_from(payload.get(PAGE).and_then(Value::as_str))
}

pub(crate) fn head_to_payload(head: &PageHead) -> Object {
    let chunks: Vec<String> = head.chunks.iter().map(ToString::to_string).collect();
    object(json!({
        TENANT: head.tenant.as_str(),
        PAGE: head.page.to_string(),
        "url": head.url,
        "seq": head.seq,
        "chunks": chunks,
    }))
}

pub(crate) fn head_from_payload(payload: Object) -> Result<PageHead> {
    let mut fields = Fields(payload);
    let id = |text: String| Uuid::parse_str(&text).map(ChunkId).map_err(|_| corrupt("chunks", &text));
    Ok(PageHead {
        page: fields.page()?,
        tenant: fields.tenant()?,
        url: fields.text("url")?,
        seq: fields.number("seq")?,
        chunks: fields.texts("chunks")?.into_iter().map(id).collect::<Result<_>>()?,
    })
}

/// The payload that moves a chunk.
pub(crate) fn position_payload(position: u32) -> Object {
    object(json!({ POSITION: position }))
}

/// What a filter asks of the fields; the tenant is in every one.
pub(crate) fn wanted<'a>(
    tenant: &'a TenantId,
    filter: &'a SearchFilter,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let optional = [(HOST, &filter.host), (DOMAIN, &filter.domain), (LANGUAGE, &filter.language)];
    let optional = optional.into_iter().filter_map(|(field, value)| Some((field, value.as_deref()?)));
    std::iter::once((TENANT, tenant.as_str())).chain(optional)
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// A field that is not what it should be.
pub(crate) fn corrupt(field: &str, detail: &str) -> Error {
    Error::Corrupt { what: format!("field {field} of a point"), detail: detail.chars().take(80).collect() }
}

fn page_from(text: Option<&str>) -> Result<PageKey> {
    let text = text.ok_or_else(|| corrupt(PAGE, "missing"))?;
    let uuid = Uuid::try_parse(text).map_err(|_| corrupt(PAGE, text))?;
    Ok(PageKey::from_bytes(uuid.into_bytes()))
}

/// Fields of a payload, taken out one by one.
struct Fields(Object);

impl Fields {
    fn text_opt(&mut self, field: &str) -> Option<String> {
        match self.0.remove(field) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn text(&mut self, field: &str) -> Result<String> {
        self.text_opt(field).ok_or_else(|| corrupt(field, "not a text"))
    }

    fn texts(&mut self, field: &str) -> Result<Vec<String>> {
        let Some(Value::Array(values)) = self.0.remove(field) else { return Err(corrupt(field, "not a list")) };
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(corrupt(field, "not a list of texts")),
        };
        values.into_iter().map(text).collect()
    }

    fn number(&self, field: &str) -> Result<u64> {
        self.0.get(field).and_then(Value::as_u64).ok_or_else(|| corrupt(field, "not a number"))
    }

    fn parsed<T: std::str::FromStr>(&mut self, field: &str) -> Result<T> {
        let text = self.text(field)?;
        text.parse().map_err(|_| corrupt(field, &text))
    }

    fn tenant(&mut self) -> Result<TenantId> {
        let text = self.text(TENANT)?;
        TenantId::try_new(text).map_err(|error| corrupt(TENANT, &error.value))
    }

    fn page(&mut self) -> Result<PageKey> {
        page_from(self.text_opt(PAGE).as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> ChunkPayload {
        ChunkPayload {
            tenant: TenantId::default(),
            job: JobId::from_uuid(Uuid::from_u128(5)),
            page: PageKey::from_bytes([0xab; 16]),
            url: "https://a.example/ü".to_owned(),
            host: "a.example".to_owned(),
            domain: "a.example".to_owned(),
            title: String::new(),
            heading_path: vec!["A".to_owned(), "B".to_owned()],
            anchor: None,
            text: "text".to_owned(),
            position: u32::MAX,
            language: Some("en".to_owned()),
            seq: u64::MAX,
            fetched_at: Timestamp::from_millis(1_700_000_000_123),
        }
    }

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        assert_eq!(chunk_from_payload(chunk_to_payload(&chunk())).unwrap(), chunk());
    }

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = PageHead {
            page: chunk().page,
            tenant: TenantId::default(),
            url: "https://a.example/".to_owned(),
            seq: 1 << 60,
            chunks: vec![ChunkId(Uuid::from_u128(1)), ChunkId(Uuid::from_u128(2))],
        };
        assert_eq!(head_from_payload(head_to_payload(&head)).unwrap(), head);
    }

    #[test]
    fn a_damaged_payload_is_an_error() {
        for field in ["tenant", "job", "page", "text", "position", "seq", "heading_path"] {
            let mut payload = chunk_to_payload(&chunk());
            payload.insert(field.to_owned(), Value::Bool(true));
            assert!(matches!(chunk_from_payload(payload), Err(Error::Corrupt { .. })), "{field}");
        }
    }
}
