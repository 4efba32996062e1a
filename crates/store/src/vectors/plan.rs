//! Decides what a group of writes means, given the heads that are visible now. Pure: the adapters do the rest.
//!
//! The fence is a comparison with the heads just read: exact for all of `u64`. Where others write the same index, it
//! only spares work, and the index itself has to compare once more.

use super::{PageHead, WriteAnswer};
use argiope_protocol::ChunkId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// A page's write with its points ready for the engine, `P` each.
#[derive(Debug)]
pub(crate) struct PreparedWrite<P> {
    pub(crate) head: PageHead,
    pub(crate) points: Vec<(ChunkId, P)>,
    pub(crate) moved: Vec<(ChunkId, u32)>,
    pub(crate) stale: Vec<ChunkId>,
}

/// What has to be done.
#[derive(Debug)]
pub(crate) struct Plan<P> {
    /// One for each write.
    pub(crate) answers: Vec<WriteAnswer>,
    /// By the id of the head's point: pages that change.
    pub(crate) pages: BTreeMap<Uuid, PagePlan<P>>,
}

/// One page's changes, in this order.
#[derive(Debug)]
pub(crate) struct PagePlan<P> {
    pub(crate) upserts: Vec<(ChunkId, P)>,
    /// The version that becomes visible.
    pub(crate) head: PageHead,
    pub(crate) moves: BTreeMap<ChunkId, u32>,
    pub(crate) deletes: Vec<ChunkId>,
    /// Which of the group's writes it answers.
    pub(crate) writes: Vec<usize>,
}

/// The id of a head's point.
pub(crate) fn head_id(head: &PageHead) -> Uuid {
    head.page.head_id(&head.tenant)
}

/// Writes of one page take effect in order; the last one that is not fenced is the version that becomes visible.
pub(crate) fn plan<P>(writes: Vec<PreparedWrite<P>>, mut visible: HashMap<Uuid, PageHead>) -> Plan<P> {
    let mut answers = Vec::with_capacity(writes.len());
    let mut pages: BTreeMap<Uuid, Draft<P>> = BTreeMap::new();
    for (number, write) in writes.into_iter().enumerate() {
        let id = head_id(&write.head);
        if let Some(newer) = visible.get(&id).filter(|head| head.seq > write.head.seq) {
            answers.push(WriteAnswer::Fenced { seq: newer.seq });
            continue;
        }
        answers.push(WriteAnswer::Switched);
        let draft = pages.entry(id).or_default();
        draft.writes.push(number);
        draft.points.extend(write.points);
        draft.moves.extend(write.moved);
        draft.unlisted.extend(write.stale);
        if let Some(previous) = visible.insert(id, write.head) {
            draft.unlisted.extend(previous.chunks);
        }
    }
    let page = |(id, draft): (Uuid, Draft<P>)| Some((id, draft.into_plan(visible.remove(&id)?)));
    Plan { answers, pages: pages.into_iter().filter_map(page).collect() }
}

/// What the writes of one page ask for, before it is known which version becomes visible.
struct Draft<P> {
    points: Vec<(ChunkId, P)>,
    moves: BTreeMap<ChunkId, u32>,
    unlisted: BTreeSet<ChunkId>,
    writes: Vec<usize>,
}

impl<P> Default for Draft<P> {
    fn default() -> Self {
        Self { points: Vec::new(), moves: BTreeMap::new(), unlisted: BTreeSet::new(), writes: Vec::new() }
    }
}

impl<P> Draft<P> {
    fn into_plan(mut self, head: PageHead) -> PagePlan<P> {
        let listed: HashSet<ChunkId> = head.chunks.iter().copied().collect();
        self.unlisted.extend(self.points.iter().map(|(id, _)| *id));
        self.points.retain(|(id, _)| listed.contains(id));
        self.moves.retain(|id, _| listed.contains(id));
        let deletes = self.unlisted.into_iter().filter(|id| !listed.contains(id)).collect();
        PagePlan { upserts: self.points, head, moves: self.moves, deletes, writes: self.writes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{PageKey, TenantId};

    fn id(n: u8) -> ChunkId {
        ChunkId(Uuid::from_bytes([n; 16]))
    }

    fn head(page: u8, seq: u64, chunks: &[u8]) -> PageHead {
        let chunks = chunks.iter().copied().map(id).collect();
        let page = PageKey::from_bytes([page; 16]);
        PageHead { page, tenant: TenantId::default(), url: String::new(), seq, chunks }
    }

    fn write(head: PageHead, new: &[u8], stale: &[u8]) -> PreparedWrite<()> {
        let points = new.iter().map(|&n| (id(n), ())).collect();
        PreparedWrite { head, points, moved: vec![(id(1), 7)], stale: stale.iter().copied().map(id).collect() }
    }

    /// Visible heads, writes, then: answers, number of upserts, visible seqs, deleted chunks.
    fn check(visible: &[PageHead], writes: Vec<PreparedWrite<()>>, expected: (&[Option<u64>], usize, &[u64], &[u8])) {
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
        let pages = || plan.pages.values();
        assert_eq!(pages().map(|page| page.upserts.len()).sum::<usize>(), expected.1);
        assert_eq!(pages().map(|page| page.head.seq).collect::<Vec<_>>(), expected.2);
        let deletes: Vec<_> = pages().flat_map(|page| page.deletes.iter().copied()).collect();
        assert_eq!(deletes, expected.3.iter().copied().map(id).collect::<Vec<_>>());
        let answered: Vec<_> = pages().flat_map(|page| page.writes.iter().copied()).collect();
        assert_eq!(answered.len(), answers.iter().filter(|answer| answer.is_none()).count());
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
        let moves = |head| {
            let pages = plan(vec![write(head, &[], &[])], HashMap::new()).pages;
            pages.into_values().flat_map(|page| page.moves).collect::<Vec<_>>()
        };
        assert_eq!(moves(head(1, 1, &[1])), [(id(1), 7)]);
        assert!(moves(head(1, 1, &[2])).is_empty());
    }
}
