//! Decides what a group of writes means, given the heads that are visible now. Pure: the writer does the rest.
//!
//! One thread writes an index that nobody else can open, so the fence is a comparison with the head just read:
//! exact for all of `u64`, where the engine's conditional update compares as `f64`.

use crate::vectors::{PageHead, WriteAnswer};
use argiope_protocol::ChunkId;
use qdrant_edge::PointStructPersisted;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// A page's write with its points ready for the engine.
#[derive(Debug)]
pub(super) struct PreparedWrite {
    pub(super) head: PageHead,
    pub(super) points: Vec<(ChunkId, PointStructPersisted)>,
    pub(super) moved: Vec<(ChunkId, u32)>,
    pub(super) stale: Vec<ChunkId>,
}

/// What the engine has to do, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// One for each write.
    pub(super) answers: Vec<WriteAnswer>,
    pub(super) upserts: Vec<PointStructPersisted>,
    pub(super) heads: Vec<PageHead>,
    pub(super) moves: BTreeMap<u32, Vec<ChunkId>>,
    pub(super) deletes: Vec<ChunkId>,
}

/// The id of a head's point.
pub(super) fn head_id(head: &PageHead) -> Uuid {
    head.page.head_id(&head.tenant)
}

/// Writes of one page take effect in order; the last one that is not fenced is the version that becomes visible.
pub(super) fn plan(writes: Vec<PreparedWrite>, mut visible: HashMap<Uuid, PageHead>) -> Plan {
    let mut plan = Plan::default();
    let mut changed = BTreeSet::new();
    let (mut points, mut moves, mut unlisted) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for write in writes {
        let id = head_id(&write.head);
        if let Some(newer) = visible.get(&id).filter(|head| head.seq > write.head.seq) {
            plan.answers.push(WriteAnswer::Fenced { seq: newer.seq });
            continue;
        }
        plan.answers.push(WriteAnswer::Switched);
        changed.insert(id);
        points.extend(write.points);
        moves.extend(write.moved);
        unlisted.extend(write.stale);
        if let Some(previous) = visible.insert(id, write.head) {
            unlisted.extend(previous.chunks);
        }
    }
    plan.heads = changed.iter().filter_map(|id| visible.remove(id)).collect();
    let listed: HashSet<ChunkId> = plan.heads.iter().flat_map(|head| head.chunks.iter().copied()).collect();
    unlisted.extend(points.iter().map(|(id, _)| *id));
    plan.deletes = unlisted.into_iter().filter(|id| !listed.contains(id)).collect();
    plan.upserts = points.into_iter().filter(|(id, _)| listed.contains(id)).map(|(_, point)| point).collect();
    for (id, position) in moves.into_iter().filter(|(id, _)| listed.contains(id)) {
        plan.moves.entry(position).or_default().push(id);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{PageKey, TenantId};
    use qdrant_edge::VectorStructPersisted;

    fn id(n: u8) -> ChunkId {
        ChunkId(Uuid::from_bytes([n; 16]))
    }

    fn head(page: u8, seq: u64, chunks: &[u8]) -> PageHead {
        let chunks = chunks.iter().copied().map(id).collect();
        let page = PageKey::from_bytes([page; 16]);
        PageHead { page, tenant: TenantId::default(), url: String::new(), seq, chunks }
    }

    fn write(head: PageHead, new: &[u8], stale: &[u8]) -> PreparedWrite {
        let vector = || VectorStructPersisted::Named(HashMap::new());
        let point = |n: u8| PointStructPersisted {
            id: super::super::payload::point_id(id(n).0),
            vector: vector(),
            payload: None,
        };
        let points = new.iter().map(|&n| (id(n), point(n))).collect();
        PreparedWrite { head, points, moved: vec![(id(1), 7)], stale: stale.iter().copied().map(id).collect() }
    }

    /// Visible heads, writes, then: answers, number of upserts, visible seqs, deleted chunks.
    fn check(visible: &[PageHead], writes: Vec<PreparedWrite>, expected: (&[Option<u64>], usize, &[u64], &[u8])) {
        let visible = visible.iter().map(|head| (head_id(head), head.clone())).collect();
        let plan = plan(writes, visible);
        let answers: Vec<_> = plan
            .answers
            .iter()
            .map(|answer| match answer {
                WriteAnswer::Switched => None,
                WriteAnswer::Fenced { seq } => Some(*seq),
            })
            .collect();
        assert_eq!(answers, expected.0);
        assert_eq!(plan.upserts.len(), expected.1);
        assert_eq!(plan.heads.iter().map(|head| head.seq).collect::<Vec<_>>(), expected.2);
        assert_eq!(plan.deletes, expected.3.iter().copied().map(id).collect::<Vec<_>>());
    }

    #[test]
    fn a_group_is_planned_in_order_and_fenced_by_seq() {
        check(&[], vec![write(head(1, 1, &[1, 2]), &[1, 2], &[])], (&[None], 2, &[1], &[]));
        // What the previous head lists goes, whether the caller knew of it or not; a listed chunk never goes.
        check(&[head(1, 1, &[1, 2, 3])], vec![write(head(1, 2, &[1, 4]), &[4], &[2, 1])], (&[None], 1, &[2], &[2, 3]));
        // An older write leaves no trace.
        check(&[head(1, 5, &[1])], vec![write(head(1, 4, &[9]), &[9], &[1])], (&[Some(5)], 0, &[], &[]));
        // The same write again, as after an error.
        check(&[head(1, 5, &[1])], vec![write(head(1, 5, &[1]), &[1], &[])], (&[None], 1, &[5], &[]));
        // Two versions of one page in one group: the first one's chunk is never visible.
        check(
            &[],
            vec![write(head(1, 1, &[1, 2]), &[1, 2], &[]), write(head(1, 2, &[1, 3]), &[3], &[2])],
            (&[None, None], 2, &[2], &[2]),
        );
        // Hiding a page removes its chunks.
        check(&[head(1, 1, &[1, 2])], vec![write(head(1, 2, &[]), &[], &[])], (&[None], 0, &[2], &[1, 2]));
    }

    #[test]
    fn only_visible_chunks_move() {
        let moved = plan(vec![write(head(1, 1, &[1]), &[], &[])], HashMap::new()).moves;
        assert_eq!(moved, BTreeMap::from([(7, vec![id(1)])]));
        assert!(plan(vec![write(head(1, 1, &[2]), &[], &[])], HashMap::new()).moves.is_empty());
    }
}
