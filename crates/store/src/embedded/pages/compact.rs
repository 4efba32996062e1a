//! Gives the room of dead frames back: live frames of mostly dead segments move to the end of the store, then the
//! segments go. A crash in between leaves copies that nothing refers to, never a page without its bytes.

use super::group::Group;
use super::index::{BODIES, PAGES, StoredBody, StoredPage, StoredSegment, View};
use super::segment::{FrameRef, segment_path};
use super::writer::{Writer, stored_segments};
use crate::embedded::data_dir::free_space;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Less than this is not worth a rewrite; a segment's own `warcinfo` record is never counted as live.
const MIN_DEAD_BYTES: u64 = 4 * 1024;
/// Owners moved in one durable step: some ten MiB of usual pages.
const OWNERS_A_STEP: usize = 1_000;

/// What compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Segments removed.
    pub segments: u64,
    /// Dead bytes given back.
    pub freed_bytes: u64,
}

/// A row that refers to frames that have to move.
enum Owner {
    Page(Vec<u8>),
    Body([u8; 32]),
}

impl Writer {
    /// Rewrites every segment of which more than half is dead. A segment with a damaged live frame stays.
    pub(super) fn compact(&mut self) -> Result<Compaction> {
        let segments = self.shared.with_database(stored_segments)?;
        let dead = |segment: &StoredSegment| segment.end.saturating_sub(segment.live);
        let mostly_dead =
            segments.iter().filter(|(_, segment)| dead(segment) > segment.live && dead(segment) >= MIN_DEAD_BYTES);
        let from: Vec<u32> = mostly_dead.map(|(number, _)| *number).collect();
        if from.is_empty() {
            return Ok(Compaction::default());
        }
        let planned = from.iter().filter_map(|number| segments.get(number)).map(|segment| segment.live).sum();
        self.options.reserve.check(free_space(&self.shared.directory)?, planned)?;
        self.write(|group| {
            if from.contains(&group.appender.current()) {
                group.appender.next_file();
            }
            Ok(())
        })?;
        for step in self.owners(&from)?.chunks(OWNERS_A_STEP) {
            self.write(|group| step.iter().try_for_each(|owner| move_owner(group, owner, &from)))?;
        }
        let was_dead = from.iter().filter_map(|number| Some((*number, dead(segments.get(number)?)))).collect();
        self.remove(&was_dead)
    }

    fn remove(&mut self, was_dead: &BTreeMap<u32, u64>) -> Result<Compaction> {
        let segments = self.shared.with_database(stored_segments)?;
        let is_empty = |number: &u32| segments.get(number).is_some_and(|segment| segment.live == 0);
        let emptied: Vec<u32> = was_dead.keys().copied().filter(is_empty).collect();
        self.write(|group| emptied.iter().try_for_each(|number| group.forget_segment(*number)))?;
        let mut done = Compaction::default();
        for number in emptied {
            match std::fs::remove_file(segment_path(&self.shared.segments(), number)) {
                Ok(()) => {
                    done.segments += 1;
                    done.freed_bytes += was_dead.get(&number).copied().unwrap_or(0);
                }
                Err(error) => tracing::warn!(segment = number, %error, "emptied segment was not removed"),
            }
        }
        Ok(done)
    }

    fn owners(&self, from: &[u32]) -> Result<Vec<Owner>> {
        self.shared.with_database(|database| {
            let view = View::begin(database)?;
            let mut owners = Vec::new();
            // Damaged rows are verify's business; their frames keep their segment alive.
            for (key, page) in view.rows::<StoredPage>(PAGES, "pages", &[])?.flatten() {
                if page.revisit.iter().chain(&page.markdown).any(|frame| from.contains(&frame.segment)) {
                    owners.push(Owner::Page(key));
                }
            }
            for (key, body) in view.rows::<StoredBody>(BODIES, "bodies", &[])?.flatten() {
                if let (true, Ok(hash)) = (from.contains(&body.frame.segment), key.try_into()) {
                    owners.push(Owner::Body(hash));
                }
            }
            Ok(owners)
        })
    }
}

fn move_owner(group: &mut Group<'_>, owner: &Owner, from: &[u32]) -> Result<()> {
    match owner {
        Owner::Page(key) => {
            let Some(mut page) = group.tables.page(key)? else { return Ok(()) };
            for frame in page.revisit.iter_mut().chain(&mut page.markdown) {
                *frame = moved_or_kept(group, frame, from)?;
            }
            group.tables.set_page(key, &page.row())
        }
        Owner::Body(hash) => {
            let Some(mut body) = group.tables.body(hash)? else { return Ok(()) };
            body.frame = moved_or_kept(group, &body.frame, from)?;
            group.tables.set_body(hash, &body)
        }
    }
}

fn moved_or_kept(group: &mut Group<'_>, frame: &FrameRef, from: &[u32]) -> Result<FrameRef> {
    match group.move_frame(frame, from) {
        Ok(moved) => Ok(moved.unwrap_or(*frame)),
        Err(Error::Corrupt { what, detail }) => {
            tracing::warn!(%what, %detail, "damaged frame stays where it is");
            Ok(*frame)
        }
        Err(error) => Err(error),
    }
}
