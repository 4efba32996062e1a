//! The two collections: made or checked when the store is opened.
//!
//! `{prefix}_pages` holds the heads and says, in its metadata, which model the index was made with: heads of one model
//! with chunks of another would hide every chunk. `{prefix}_{model}_{dimension}` holds the chunks.

use super::link::Link;
use super::options::QdrantOptions;
use super::payload::{Fields, to_fields, to_object};
use crate::vectors::IndexModel;
use crate::vectors::payload::{DOMAIN, HOST, LANGUAGE, TENANT};
use crate::{Error, Result};
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollection, CreateFieldIndexCollection, Distance, FieldType, HnswConfigDiff,
    KeywordIndexParams, Modifier, PayloadIndexParams, SparseVectorConfig, SparseVectorParams, VectorParams,
    VectorParamsMap, VectorsConfig,
};
use serde_json::json;
use std::collections::HashMap;
use std::time::Instant;

/// The named dense vector, compared by cosine.
pub(super) const DENSE: &str = "dense";
/// The named sparse vector, weighted by inverse document frequency.
pub(super) const BM25: &str = "bm25";

/// Layout of the collections and of their points' fields.
const FORMAT: u64 = 1;
/// What searches filter by; the tenant is in every filter.
const CHUNK_INDEXES: [&str; 4] = [TENANT, HOST, DOMAIN, LANGUAGE];
const PAGE_INDEXES: [&str; 1] = [TENANT];
/// Links of a point in the graph of its tenant; the server's default for whole collections.
const LINKS: u64 = 16;

/// An index that fits.
#[derive(Debug)]
pub(super) struct Collections {
    pub(super) chunks: String,
    pub(super) pages: String,
    /// Average words of a chunk, as the BM25 weights of this index assume.
    pub(super) average_words: f64,
}

/// Makes what is missing and checks what is there.
///
/// # Errors
/// `ModelMismatch`, `Newer`, or what the server says.
pub(super) async fn open(
    link: &Link,
    options: &QdrantOptions,
    model: &IndexModel,
    until: Instant,
) -> Result<Collections> {
    let pages = format!("{}_pages", options.prefix);
    let chunks = format!("{}_{}_{}", options.prefix, model.name_part(), model.dimension);
    let metadata = json!({
        "argiope_format": FORMAT,
        "model": model.id,
        "dimension": model.dimension,
        "average_words": options.average_words,
    });
    let metadata = metadata.as_object().cloned().map(to_fields).unwrap_or_default();
    // The pages come first: their metadata keeps two nodes with different models from making an index each.
    let mut average_words = options.average_words;
    for (name, dimension) in [(&pages, None), (&chunks, Some(model.dimension))] {
        let info = make(link, collection(name, dimension, metadata.clone()), until).await?;
        average_words = check(name, &info, model, dimension)?;
        let fields = if dimension.is_some() { CHUNK_INDEXES.as_slice() } else { PAGE_INDEXES.as_slice() };
        for field in fields.iter().filter(|field| !info.payload_schema.contains_key(**field)) {
            make_index(link, name, field, until).await?;
        }
    }
    Ok(Collections { chunks, pages, average_words })
}

/// Makes the collection unless it is there. Another node may make it at the same time.
async fn make(link: &Link, request: CreateCollection, until: Instant) -> Result<CollectionInfo> {
    let name = request.collection_name.clone();
    let name = name.as_str();
    let exists = |context| link.read(context, until, |client| async move { client.collection_exists(name).await });
    if !exists("look for the index's collections").await? {
        let made =
            link.call("make a collection", until, |client| async move { client.create_collection(request).await });
        if let Err(error) = made.await
            && !exists("look for a collection that another node made").await?
        {
            return Err(error);
        }
    }
    let info =
        link.read("read a collection's settings", until, |client| async move { client.collection_info(name).await });
    info.await?.result.ok_or_else(|| Error::engine("read a collection's settings", "the server says nothing"))
}

/// The average of the words that the collection was made with.
fn check(name: &str, info: &CollectionInfo, model: &IndexModel, dimension: Option<u32>) -> Result<f64> {
    let mismatch = |found: String| Error::ModelMismatch { found, wanted: model.to_string() };
    let foreign = || mismatch(format!("another program, or of no known model (collection {name})"));
    let config = info.config.as_ref().ok_or_else(foreign)?;
    let metadata = to_object(config.metadata.clone());
    let number = |field: &str| metadata.get(field).and_then(serde_json::Value::as_u64);
    let format = number("argiope_format").ok_or_else(foreign)?;
    if format > FORMAT {
        let found = u32::try_from(format).unwrap_or(u32::MAX);
        return Err(Error::Newer { what: "vector index", found, known: 1 });
    }
    let id = metadata.get("model").and_then(serde_json::Value::as_str).ok_or_else(foreign)?.to_owned();
    let found_dimension = number("dimension").and_then(|n| u32::try_from(n).ok()).ok_or_else(foreign)?;
    let found = IndexModel { id, dimension: found_dimension };
    if found != *model {
        return Err(mismatch(format!("{found} (collection {name})")));
    }
    if let Some(dimension) = dimension {
        let params = config.params.as_ref().and_then(|params| params.vectors_config.as_ref()?.config.as_ref());
        let dense = params.and_then(|config| match config {
            Config::ParamsMap(map) => map.map.get(DENSE),
            Config::Params(_) => None,
        });
        let dense = dense.ok_or_else(foreign)?;
        if dense.size != u64::from(dimension) || dense.distance() != Distance::Cosine {
            return Err(mismatch(format!("{} components, {:?} (collection {name})", dense.size, dense.distance())));
        }
    }
    metadata.get("average_words").and_then(serde_json::Value::as_f64).ok_or_else(foreign)
}

fn collection(name: &str, dimension: Option<u32>, metadata: Fields) -> CreateCollection {
    let dense = dimension.map(|dimension| VectorParams {
        size: u64::from(dimension),
        distance: Distance::Cosine.into(),
        ..VectorParams::default()
    });
    let words = dimension.map(|_| SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..Default::default() });
    CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig {
            config: Some(Config::ParamsMap(VectorParamsMap {
                map: dense.into_iter().map(|dense| (DENSE.to_owned(), dense)).collect(),
            })),
        }),
        sparse_vectors_config: words.map(|words| SparseVectorConfig { map: HashMap::from([(BM25.to_owned(), words)]) }),
        // Every search names its tenant, so a graph for each of them serves all:
        // https://qdrant.tech/documentation/guides/multitenancy/
        hnsw_config: dimension.map(|_| HnswConfigDiff { m: Some(0), payload_m: Some(LINKS), ..Default::default() }),
        metadata,
        ..CreateCollection::default()
    }
}

async fn make_index(link: &Link, collection: &str, field: &str, until: Instant) -> Result<()> {
    let params = KeywordIndexParams { is_tenant: (field == TENANT).then_some(true), ..Default::default() };
    let request = CreateFieldIndexCollection {
        collection_name: collection.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(FieldType::Keyword.into()),
        field_index_params: Some(PayloadIndexParams { index_params: Some(IndexParams::KeywordIndexParams(params)) }),
        ..CreateFieldIndexCollection::default()
    };
    let make =
        link.call("index a payload field", until, |client| async move { client.create_field_index(request).await });
    make.await.map(drop)
}
