//! The page store's index: which frame holds what. Every record carries a format byte and its own checksum, which
//! covers its key too, since the engine below returns flipped bytes without a word.

use super::segment::FrameRef;
use crate::{Error, Result};
use argiope_protocol::{PageKey, PageRecord, TenantId, Timestamp};
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// Format of the index's records. Raise it with any change of a record type below or of `PageRecord`.
const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
/// Room for most records: a page with a hundred links.
const ROW_BYTES: usize = 8 * 1024;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) const PAGES: Rows = TableDefinition::new("pages");
pub(super) const BODIES: Rows = TableDefinition::new("bodies");
pub(super) const SEGMENTS: Rows = TableDefinition::new("segments");
const META: Rows = TableDefinition::new("meta");
const TOTALS_KEY: &[u8] = b"totals";

/// A page: its record, and where its bytes are.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StoredPage {
    pub(super) record: PageRecord,
    /// Key into `bodies`.
    pub(super) body: Option<[u8; 32]>,
    /// The page's own `revisit` record; `None` when the body's first record is this page's response.
    pub(super) revisit: Option<FrameRef>,
    pub(super) markdown: Option<FrameRef>,
}

/// A [`StoredPage`] as it is written: the record, with its links, is not copied for it. The same fields in the same order.
#[derive(Debug, Serialize)]
pub(super) struct PageRow<'r> {
    pub(super) record: &'r PageRecord,
    pub(super) body: Option<[u8; 32]>,
    pub(super) revisit: Option<FrameRef>,
    pub(super) markdown: Option<FrameRef>,
}

impl StoredPage {
    pub(super) const fn row(&self) -> PageRow<'_> {
        PageRow { record: &self.record, body: self.body, revisit: self.revisit, markdown: self.markdown }
    }
}

/// A body and the response record that holds it, shared by all pages with an equal body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredBody {
    pub(super) frame: FrameRef,
    pub(super) record_id: Uuid,
    pub(super) url: String,
    pub(super) fetched_at: Timestamp,
    /// Pages that refer to it.
    pub(super) n_pages: u64,
}

/// A segment file: what lies beyond `end` was never acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSegment {
    pub(super) end: u64,
    /// Bytes of frames that the index refers to.
    pub(super) live: u64,
}

/// Sums over the whole index, moved in the same transaction as what they count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) pages: u64,
    pub(super) bodies: u64,
    /// References to bodies: above `bodies` by the number of bodies that were not written again.
    pub(super) body_references: u64,
}

/// Key of a page; a tenant's pages lie together, in key order (names hold no zero byte).
pub(super) fn page_key(tenant: &TenantId, key: &PageKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tenant.as_str().len() + 17);
    bytes.extend_from_slice(tenant.as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// Key of a segment; big-endian, so that they sort by number.
pub(super) const fn segment_key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

pub(super) fn segment_number(key: &[u8]) -> Result<u32> {
    let bytes = key.try_into().map_err(|_| corrupt("segments", key, "its key has the wrong length"))?;
    Ok(u32::from_be_bytes(bytes))
}

/// A record as stored: format byte, postcard, xxh3 over key and both.
pub(super) fn seal<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    bytes.push(FORMAT);
    let mut bytes = postcard::to_extend(value, bytes).map_err(|e| Error::engine("encode an index record", e))?;
    let checksum = checksum(key, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// The value of a stored record.
pub(super) fn unseal<T: DeserializeOwned>(table: &'static str, key: &[u8], bytes: &[u8]) -> Result<T> {
    let split = bytes.len().checked_sub(CHECKSUM_BYTES).and_then(|at| bytes.split_at_checked(at));
    let (sealed, stored) = split.ok_or_else(|| corrupt(table, key, "it is too short"))?;
    if checksum(key, sealed).to_le_bytes() != stored {
        return Err(corrupt(table, key, "its checksum does not match"));
    }
    let (format, value) = sealed.split_first().ok_or_else(|| corrupt(table, key, "it is empty"))?;
    if *format > FORMAT {
        return Err(Error::Newer { what: "the page index", found: u32::from(*format), known: u32::from(FORMAT) });
    }
    postcard::from_bytes(value).map_err(|e| corrupt(table, key, &e.to_string()))
}

fn checksum(key: &[u8], sealed: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(key);
    hasher.update(sealed);
    hasher.digest()
}

fn corrupt(table: &str, key: &[u8], detail: &str) -> Error {
    let key: String = key.iter().map(|byte| char::from(*byte)).flat_map(char::escape_default).collect();
    Error::Corrupt { what: format!("the page index's record {table}/{key}"), detail: detail.to_owned() }
}

/// Opens or makes the database, with all tables.
pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Database> {
    let database = redb::Builder::new().set_cache_size(cache_bytes).create(path);
    let database = database.map_err(|e| Error::engine("open the page index", e))?;
    let transaction = begin_write(&database)?;
    drop(Tables::open(&transaction)?);
    commit(transaction)?;
    Ok(database)
}

pub(super) fn begin_write(database: &Database) -> Result<WriteTransaction> {
    database.begin_write().map_err(|e| Error::engine("begin a write of the page index", e))
}

pub(super) fn commit(transaction: WriteTransaction) -> Result<()> {
    transaction.commit().map_err(|e| Error::engine("commit to the page index", e))
}

/// The tables inside one write.
pub(super) struct Tables<'t> {
    pub(super) pages: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) bodies: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) segments: Table<'t, &'static [u8], &'static [u8]>,
    meta: Table<'t, &'static [u8], &'static [u8]>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        let table = |rows: Rows| transaction.open_table(rows).map_err(|e| Error::engine("open a table of pages", e));
        Ok(Self { pages: table(PAGES)?, bodies: table(BODIES)?, segments: table(SEGMENTS)?, meta: table(META)? })
    }

    pub(super) fn page(&self, key: &[u8]) -> Result<Option<StoredPage>> {
        get(&self.pages, "pages", key)
    }

    pub(super) fn set_page(&mut self, key: &[u8], page: &PageRow<'_>) -> Result<()> {
        set(&mut self.pages, key, page)
    }

    pub(super) fn body(&self, hash: &[u8; 32]) -> Result<Option<StoredBody>> {
        get(&self.bodies, "bodies", hash)
    }

    pub(super) fn set_body(&mut self, hash: &[u8; 32], body: &StoredBody) -> Result<()> {
        set(&mut self.bodies, hash, body)
    }

    pub(super) fn segment(&self, number: u32) -> Result<StoredSegment> {
        Ok(get(&self.segments, "segments", &segment_key(number))?.unwrap_or_default())
    }

    pub(super) fn set_segment(&mut self, number: u32, segment: &StoredSegment) -> Result<()> {
        set(&mut self.segments, &segment_key(number), segment)
    }

    pub(super) fn totals(&self) -> Result<Totals> {
        Ok(get(&self.meta, "meta", TOTALS_KEY)?.unwrap_or_default())
    }

    pub(super) fn set_totals(&mut self, totals: &Totals) -> Result<()> {
        set(&mut self.meta, TOTALS_KEY, totals)
    }
}

fn get<T: DeserializeOwned>(
    table: &impl redb::ReadableTable<&'static [u8], &'static [u8]>,
    name: &'static str,
    key: &[u8],
) -> Result<Option<T>> {
    let row = table.get(key).map_err(|e| Error::engine("read the page index", e))?;
    row.map(|row| unseal(name, key, row.value())).transpose()
}

fn set<T: Serialize>(table: &mut Table<'_, &'static [u8], &'static [u8]>, key: &[u8], value: &T) -> Result<()> {
    let sealed = seal(key, value)?;
    table.insert(key, sealed.as_slice()).map_err(|e| Error::engine("write the page index", e))?;
    Ok(())
}

/// One consistent view for readers.
pub(super) struct View {
    transaction: ReadTransaction,
}

impl View {
    pub(super) fn begin(database: &Database) -> Result<Self> {
        let transaction = database.begin_read().map_err(|e| Error::engine("begin a read of the page index", e))?;
        Ok(Self { transaction })
    }

    pub(super) fn table(&self, rows: Rows) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>> {
        self.transaction.open_table(rows).map_err(|e| Error::engine("open a table of pages", e))
    }

    pub(super) fn page(&self, tenant: &TenantId, key: &PageKey) -> Result<Option<StoredPage>> {
        get(&self.table(PAGES)?, "pages", &page_key(tenant, key))
    }

    pub(super) fn body(&self, hash: &[u8; 32]) -> Result<Option<StoredBody>> {
        get(&self.table(BODIES)?, "bodies", hash)
    }

    pub(super) fn totals(&self) -> Result<Totals> {
        Ok(get(&self.table(META)?, "meta", TOTALS_KEY)?.unwrap_or_default())
    }

    /// All rows of a table in key order, with undecodable ones as errors in their place.
    pub(super) fn rows<T: DeserializeOwned>(
        &self,
        rows: Rows,
        name: &'static str,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<(Vec<u8>, T)>> + use<T>> {
        let range = self.table(rows)?.range::<&[u8]>(from..).map_err(|e| Error::engine("read the page index", e))?;
        Ok(range.map(move |row| {
            let (key, value) = row.map_err(|e| Error::engine("read the page index", e))?;
            let decoded = unseal(name, key.value(), value.value())?;
            Ok((key.value().to_vec(), decoded))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_of_a_newer_format_is_refused() {
        let mut sealed = vec![FORMAT + 1, 1, 2];
        let sum = checksum(b"key", &sealed);
        sealed.extend_from_slice(&sum.to_le_bytes());
        assert!(matches!(unseal::<Totals>("meta", b"key", &sealed), Err(Error::Newer { .. })));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_or_other_key_is_found(end: u64, live: u64, at in 0_usize..200, bit in 0_u8..8) {
            let segment = StoredSegment { end, live };
            let mut sealed = seal(b"k1", &segment).unwrap();
            prop_assert_eq!(unseal::<StoredSegment>("segments", b"k1", &sealed).unwrap(), segment);
            prop_assert!(unseal::<StoredSegment>("segments", b"k2", &sealed).is_err());
            let at = at % sealed.len();
            sealed[at] ^= 1 << bit;
            prop_assert!(unseal::<StoredSegment>("segments", b"k1", &sealed).is_err());
        }

        #[test]
        fn any_bytes_decode_to_an_error_and_never_panic(bytes: Vec<u8>) {
            prop_assert!(unseal::<StoredPage>("pages", b"k", &bytes).is_err());
        }
    }
}
