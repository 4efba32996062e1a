//! The engine's two shards on disk: chunks with their vectors, and page heads without any.

use super::payload::{DOMAIN, HOST, LANGUAGE, TENANT, head_from_payload, path, point_id, uuid_of};
use crate::vectors::{IndexModel, PageHead};
use crate::{Error, Result};
use qdrant_edge::{
    CreateIndex, Distance, EdgeConfig, EdgeConfigBuilder, EdgeOptimizersConfig, EdgeShard,
    EdgeSparseVectorParamsBuilder, EdgeVectorParams, FieldIndexOperations, HnswIndexConfig, KeywordIndexParams,
    Modifier, PayloadFieldSchema, PayloadSchemaParams, UpdateOperation, WalOptions, WithPayloadInterface, WithVector,
};
use std::collections::HashMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use uuid::Uuid;

/// The named dense vector, compared by cosine.
pub(super) const DENSE: &str = "dense";
/// The named sparse vector, weighted by inverse document frequency.
pub(super) const BM25: &str = "bm25";

/// The engine's log is never read back, only its numbering matters, and never cut by the engine: small files
/// can be thrown away sooner.
const LOG_SEGMENT_BYTES: usize = 4 * 1024 * 1024;

/// What the chunks can be filtered by; the tenant is in every filter. Each field costs: a new segment reads every
/// payload once for each of them, and keeps some files for it.
const CHUNK_INDEXES: [&str; 4] = [TENANT, HOST, DOMAIN, LANGUAGE];
/// A target that the number of segments never exceeds: the engine's own merges would write a small index anew at
/// each optimisation. See `compact`.
const NO_MERGES: usize = 1_000_000;
const PAGE_INDEXES: [&str; 1] = [TENANT];

/// Both shards, open.
#[derive(Debug)]
pub(super) struct Shards {
    /// Chunks, hidden ones and strays included.
    pub(super) chunks: EdgeShard,
    /// Page heads.
    pub(super) pages: EdgeShard,
    /// Bytes of a dense vector, which the engine measures segments by.
    chunk_bytes: usize,
}

impl Shards {
    /// Opens or makes both. `optimize_every` chunks are what the growing segment may hold before it is indexed:
    /// its sparse index costs time in proportion to its size.
    pub(super) fn open(dir: &Path, model: &IndexModel, optimize_every: usize) -> Result<Self> {
        caught("open the index", || {
            let chunks = dir.join(format!("chunks_{}_{}", model.name_part(), model.dimension));
            let chunks = open_shard(&chunks, chunk_config(model.dimension, optimize_every))?;
            let pages = open_shard(&dir.join("pages"), page_config())?;
            let chunk_bytes = usize::try_from(model.dimension).unwrap_or(usize::MAX).saturating_mul(4);
            let shards = Self { chunks, pages, chunk_bytes };
            // Opening an index that is complete writes nothing, so it may be searched on a full disk.
            if !shards.has_indexes() {
                shards.make_indexes()?;
                shards.chunks.flush();
                shards.pages.flush();
            }
            Ok(shards)
        })
    }

    fn has_indexes(&self) -> bool {
        let has_all = |shard: &EdgeShard, fields: &[&str]| {
            let schema = shard.info().payload_schema;
            fields.iter().all(|field| path(field).is_ok_and(|path| schema.contains_key(&path)))
        };
        has_all(&self.chunks, &CHUNK_INDEXES) && has_all(&self.pages, &PAGE_INDEXES)
    }

    /// Indexes the payload fields that searches filter by, in segments that have no index of them yet.
    pub(super) fn make_indexes(&self) -> Result<()> {
        for (shard, fields) in [(&self.chunks, CHUNK_INDEXES.as_slice()), (&self.pages, PAGE_INDEXES.as_slice())] {
            for &field in fields {
                let params = KeywordIndexParams { is_tenant: (field == TENANT).then_some(true), ..Default::default() };
                let operation = UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
                    field_name: path(field)?,
                    field_schema: Some(PayloadFieldSchema::FieldParams(PayloadSchemaParams::Keyword(params))),
                }));
                shard.update(operation).map_err(|error| Error::engine("index a payload field", error))?;
            }
        }
        Ok(())
    }

    /// Makes larger chunk segments of small ones, each of less than `max_chunks` chunks.
    pub(super) fn merge(&self, max_chunks: usize) -> Result<bool> {
        let failed = |error| Error::engine("merge segments", error);
        let unmerged = self.chunks.config().optimizers.clone();
        let max_kib = max_chunks.saturating_mul(self.chunk_bytes) / 1024;
        let merging = EdgeOptimizersConfig {
            default_segment_number: Some(1),
            max_segment_size: Some(max_kib.max(1)),
            ..unmerged.clone()
        };
        self.chunks.set_optimizers_config(merging).map_err(failed)?;
        let result = self.chunks.optimize().map_err(failed);
        self.chunks.set_optimizers_config(unmerged).map_err(failed)?;
        result
    }

    /// The heads that exist among these ids.
    pub(super) fn heads(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, PageHead>> {
        let ids: Vec<_> = ids.iter().copied().map(point_id).collect();
        let records = self
            .pages
            .retrieve(&ids, Some(WithPayloadInterface::Bool(true)), Some(WithVector::Bool(false)))
            .map_err(|error| Error::engine("read page heads", error))?;
        let mut heads = HashMap::with_capacity(records.len());
        for record in records {
            let Some(payload) = record.payload else { continue };
            heads.insert(uuid_of(record.id)?, head_from_payload(payload)?);
        }
        Ok(heads)
    }
}

/// Runs engine code. A panic in it becomes an error; whether the store survives it is the writer's to say.
pub(super) fn caught<T>(context: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "the engine panicked".to_owned());
        // The engine's messages may hold a backtrace.
        let message = message.chars().take_while(|c| *c != '\n').take(300).collect();
        Err(Error::Engine { context, message, is_poisoned: false })
    })
}

fn open_shard(dir: &Path, config: EdgeConfig) -> Result<EdgeShard> {
    let failed = |error: std::io::Error| Error::engine("prepare the index's directory", error);
    fs::create_dir_all(dir).map_err(failed)?;
    cut_log(&dir.join("wal")).map_err(failed)?;
    // Loading with a configuration also makes a shard that is new, or that a crash left half made.
    EdgeShard::load(dir, Some(config)).map_err(|error| Error::engine("open the index", error))
}

/// Removes the closed files of a log, but never the newest: it carries the numbering on, and an engine whose
/// numbers start again answers Ok to updates without doing them.
fn cut_log(dir: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut closed = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("closed-")).and_then(|n| n.parse::<u64>().ok());
        closed.extend(number.map(|number| (number, entry.path())));
    }
    closed.sort();
    closed.pop();
    closed.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

fn chunk_config(dimension: u32, optimize_every: usize) -> EdgeConfig {
    let size = usize::try_from(dimension).unwrap_or(usize::MAX);
    let dense = EdgeVectorParams {
        size,
        distance: Distance::Cosine,
        // In memory would mean files of 32 MiB for each segment, whatever it holds, and all of them read at once.
        on_disk: Some(true),
        multivector_config: None,
        datatype: None,
        quantization_config: None,
        hnsw_config: None,
    };
    // A tenth less than what is written between two optimisations, so that each of them finds the segment due.
    let threshold_kib = optimize_every.saturating_mul(size).saturating_mul(4) / 1024 * 9 / 10;
    let optimizers = EdgeOptimizersConfig {
        indexing_threshold: Some(threshold_kib.max(1)),
        default_segment_number: Some(NO_MERGES),
        ..Default::default()
    };
    EdgeConfigBuilder::new()
        .vector(DENSE, dense)
        .sparse_vector(BM25, EdgeSparseVectorParamsBuilder::new().modifier(Modifier::Idf).on_disk(true).build())
        .hnsw_config(no_graph())
        .optimizers(optimizers)
        .wal_options(log_options())
        .build()
}

fn page_config() -> EdgeConfig {
    EdgeConfigBuilder::new().hnsw_config(no_graph()).wal_options(log_options()).build()
}

/// `m = 0`: no graph is built and searches scan, which is faster than building one below 100,000 chunks.
const fn no_graph() -> HnswIndexConfig {
    HnswIndexConfig {
        m: 0,
        ef_construct: 100,
        full_scan_threshold: 10_000,
        max_indexing_threads: 1,
        on_disk: None,
        payload_m: Some(0),
        inline_storage: None,
    }
}

fn log_options() -> WalOptions {
    WalOptions { segment_capacity: LOG_SEGMENT_BYTES, ..WalOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_closed_log_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["closed-9", "closed-10", "closed-100", "open-4", "closed-x"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        cut_log(dir.path()).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["closed-100", "closed-x", "open-4"]);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let result: Result<()> = caught("test", || panic!("at {}", 1));
        assert!(matches!(result, Err(Error::Engine { message, .. }) if message == "at 1"));
    }
}
