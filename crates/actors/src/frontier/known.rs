//! Links that the frontier is known to have: a menu that stands on every page costs one look into the store, not one
//! a page.
//!
//! An entry says that the job's URL was admitted, durably, while the claims of now held. When a claim changes, the
//! store may have lost the end of its history, and with it the admission: then everything is forgotten, and what was
//! under way meanwhile is not remembered.

use argiope_protocol::{JobId, PageKey};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries of one generation; two are kept. 4 MiB at most, and the links of every menu of some hundred sites.
const GENERATION: usize = 64 * 1024;

/// The links. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct KnownLinks {
    generations: Arc<Mutex<Generations>>,
}

#[derive(Default)]
struct Generations {
    newer: HashSet<u128>,
    older: HashSet<u128>,
    n_forgotten: u64,
}

impl KnownLinks {
    /// Which of the pages the job is known to have, in their order.
    pub(crate) fn among(&self, job: JobId, pages: &[PageKey]) -> Vec<bool> {
        let mut generations = self.lock();
        pages.iter().map(|page| generations.has(entry(job, page))).collect()
    }

    /// How often everything was forgotten; asked before an admission begins.
    pub(super) fn n_forgotten(&self) -> u64 {
        self.lock().n_forgotten
    }

    /// The job has these pages, durably, by an admission that began when so much had been forgotten.
    pub(super) fn add(&self, n_forgotten: u64, job: JobId, pages: impl Iterator<Item = PageKey>) {
        let mut generations = self.lock();
        if generations.n_forgotten == n_forgotten {
            pages.for_each(|page| generations.add(entry(job, &page)));
        }
    }

    /// A claim changed.
    pub(super) fn forget(&self) {
        let mut generations = self.lock();
        *generations = Generations { n_forgotten: generations.n_forgotten + 1, ..Generations::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// A link that is asked for stays.
    fn has(&mut self, entry: u128) -> bool {
        if self.newer.contains(&entry) {
            return true;
        }
        let is_known = self.older.remove(&entry);
        if is_known {
            self.add(entry);
        }
        is_known
    }

    fn add(&mut self, entry: u128) {
        if self.newer.len() >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(entry);
    }
}

/// Page keys are halves of a cryptographic hash, so nobody can choose a page whose key differs from another's by
/// what two job ids differ in.
fn entry(job: JobId, page: &PageKey) -> u128 {
    u128::from_le_bytes(*page.as_bytes()) ^ u128::from_le_bytes(*job.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn page(number: u128) -> PageKey {
        PageKey::from_bytes(number.to_le_bytes())
    }

    #[test]
    fn a_link_is_known_for_its_job_until_a_claim_changes() {
        let (a, b) = (JobId::from_uuid(Uuid::from_u128(1)), JobId::from_uuid(Uuid::from_u128(2)));
        let known = KnownLinks::default();
        known.add(0, a, [page(7)].into_iter());
        assert_eq!(known.among(a, &[page(7), page(8)]), [true, false]);
        assert_eq!(known.among(b, &[page(7)]), [false]);
        known.forget();
        assert_eq!(known.among(a, &[page(7)]), [false]);
        known.add(0, a, [page(7)].into_iter());
        assert_eq!(known.among(a, &[page(7)]), [false], "admitted under the old claim");
    }

    #[test]
    fn memory_is_bounded_and_links_in_use_stay() {
        let job = JobId::from_uuid(Uuid::from_u128(1));
        let known = KnownLinks::default();
        let menu = page(1);
        known.add(0, job, [menu].into_iter());
        for number in 2..(4 * GENERATION as u128) {
            known.add(0, job, [page(number << 32)].into_iter());
            if number % 10_000 == 0 {
                assert_eq!(known.among(job, &[menu]), [true], "{number}");
            }
        }
        let generations = known.lock();
        assert!(generations.newer.len() <= GENERATION && generations.older.len() <= GENERATION);
    }
}
