//! Removes bodies that no page names.
//!
//! Why that is safe beside writers: a page begins to name a body only within the time of one operation after its
//! writer wrote the body or saw it under the name of the present day; everything else a page names it named already
//! (a conditional write sees to that). So a body of the day before yesterday or older that no page names is named by
//! nobody ever again, even where clocks differ by a day. A writer whose clock is further off is caught by a second look:
//! a body that the storage says is young stays.

use super::layout::{self, BodyRef, Day};
use super::read::{each_listing, each_page};
use super::{ObjectPages, verify};
use crate::Result;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Names that are remembered at once, some 150 MB. When there are more, a share of all bodies is looked at, another
/// one each time.
const MAX_NAMED: usize = 8_000_000;

/// The bodies that pages name, or a share of them.
#[derive(Debug)]
struct Named {
    marks: HashSet<u64>,
    /// Where the share begins: differs each time.
    salt: u64,
    /// Size of the share, of 2⁶⁴; halved when there is no room.
    share: u64,
    max: usize,
}

impl Named {
    fn new(salt: u64, max: usize) -> Self {
        Self { marks: HashSet::new(), salt, share: u64::MAX, max }
    }

    const fn is_in_share(&self, mark: u64) -> bool {
        mark.wrapping_add(self.salt) <= self.share
    }

    fn add(&mut self, body: &BodyRef) {
        let mark = verify::mark(body);
        if !self.is_in_share(mark) {
            return;
        }
        self.marks.insert(mark);
        while self.marks.len() > self.max {
            self.share /= 2;
            let (salt, share) = (self.salt, self.share);
            self.marks.retain(|mark| mark.wrapping_add(salt) <= share);
        }
    }

    /// Whether it is known that no page names it.
    fn is_stray(&self, body: &BodyRef) -> bool {
        let mark = verify::mark(body);
        self.is_in_share(mark) && !self.marks.contains(&mark)
    }
}

/// Answers how many objects were removed. A page that cannot be read stops it: what that page names is not known.
pub(super) async fn remove_strays(pages: &ObjectPages) -> Result<u64> {
    let now = (pages.clock)();
    let today = Day::of(now);
    let named = Mutex::new(Named::new(now.as_millis().wrapping_mul(0x9E37_79B9_7F4A_7C15), MAX_NAMED));
    each_listing(pages, layout::PAGES, |names| async {
        each_page(pages, names, |_, page| {
            if let Some(response) = page?.response {
                named.lock().unwrap_or_else(PoisonError::into_inner).add(&response.body);
            }
            Ok(())
        })
        .await
    })
    .await?;
    let named = named.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut n_removed = pages.place.tidy(today.before().begin(), pages.deadline()).await?;
    let mut after: Option<String> = None;
    loop {
        let names = pages.place.list(layout::BODIES, after.as_deref(), 1_000, pages.deadline()).await?;
        let Some(last) = names.last() else { return Ok(n_removed) };
        after = Some(last.clone());
        for body in names.iter().filter_map(|name| BodyRef::parse(name)) {
            // Names begin with the day: the rest is recent too.
            if body.day.is_recent(today) {
                return Ok(n_removed);
            }
            n_removed += u64::from(named.is_stray(&body) && remove(pages, &body, today).await?);
        }
    }
}

async fn remove(pages: &ObjectPages, body: &BodyRef, today: Day) -> Result<bool> {
    let name = body.name();
    let written_at = pages.place.written_at(&name, pages.deadline()).await?;
    if written_at.is_none_or(|written_at| Day::of(written_at).is_recent(today)) {
        return Ok(false);
    }
    pages.place.delete(&name, pages.deadline()).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_memory_is_short_only_a_share_is_judged_and_never_wrongly() {
        let bodies: Vec<BodyRef> = (0..200).map(|n| BodyRef { day: Day(1), hash: [n; 32] }).collect();
        let mut judged = HashSet::new();
        for salt in 0..64_u64 {
            let mut named = Named::new(salt << 58, 10);
            bodies.iter().step_by(2).for_each(|body| named.add(body));
            assert!(named.marks.len() <= 10);
            let strays: Vec<usize> = (0..200).filter(|n| named.is_stray(&bodies[*n])).collect();
            assert!(strays.iter().all(|n| n % 2 == 1), "a named body is taken for a stray: {strays:?}");
            judged.extend(strays);
        }
        assert!(judged.len() > 90, "in time all strays are found, {} were", judged.len());
    }
}
