//! Which chunks of a page are new, moved or stale against the version that is visible. Pure.

use argiope_protocol::{ChunkId, ChunkRecord};
use argiope_store::vectors::PageHead;
use std::collections::{BTreeMap, BTreeSet};

/// The difference between a page's new chunks and its visible ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Places of the chunks that must be embedded.
    pub(super) new: Vec<usize>,
    /// Kept chunks with a new place.
    pub(super) moved: Vec<(ChunkId, u32)>,
    /// Visible chunks that are gone.
    pub(super) stale: Vec<ChunkId>,
}

pub(super) fn difference(chunks: &[ChunkRecord], visible: Option<&PageHead>) -> Difference {
    let listed: &[ChunkId] = visible.map(|head| head.chunks.as_slice()).unwrap_or_default();
    let places: BTreeMap<ChunkId, usize> = listed.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut difference = Difference::default();
    for (place, chunk) in chunks.iter().enumerate() {
        match places.get(&chunk.id) {
            None => difference.new.push(place),
            Some(old) if *old != place => difference.moved.push((chunk.id, u32::try_from(place).unwrap_or(u32::MAX))),
            Some(_) => {}
        }
    }
    let kept: BTreeSet<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    difference.stale = listed.iter().filter(|id| !kept.contains(id)).copied().collect();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{ChunkHash, PageKey, TenantId};

    fn id(name: &str) -> ChunkId {
        ChunkId::of(&TenantId::default(), &PageKey::from_bytes([0; 16]), &ChunkHash::of(1, name), 0)
    }

    fn chunk(name: &str) -> ChunkRecord {
        ChunkRecord {
            id: id(name),
            hash: ChunkHash::of(1, name),
            heading_path: vec![],
            anchor: None,
            range: (0, 0),
            tokens: 1,
        }
    }

    fn head(names: &[&str]) -> PageHead {
        PageHead {
            page: PageKey::from_bytes([0; 16]),
            tenant: TenantId::default(),
            url: String::new(),
            seq: 1,
            chunks: names.iter().map(|name| id(name)).collect(),
        }
    }

    #[test]
    fn a_first_version_is_all_new() {
        assert_eq!(
            difference(&[chunk("a"), chunk("b")], None),
            Difference { new: vec![0, 1], ..Difference::default() }
        );
    }

    #[test]
    fn kept_chunks_are_neither_embedded_nor_deleted() {
        let found = difference(&[chunk("b"), chunk("new"), chunk("c")], Some(&head(&["a", "b", "c"])));
        assert_eq!(found, Difference { new: vec![1], moved: vec![(id("b"), 0)], stale: vec![id("a")] });
    }
}
