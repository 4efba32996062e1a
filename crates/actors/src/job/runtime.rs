//! What the stages need to know of the jobs that run.

use argiope_content::filter::{InvalidPattern, ShapeBudgets, UrlFilter};
use argiope_protocol::{CanonicalUrl, JobId, JobSpec, RejectReason, Timestamp, UrlSource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// One running job.
pub struct JobRuntime {
    /// Its id.
    pub id: JobId,
    /// What was asked for.
    pub spec: JobSpec,
    filter: RwLock<Arc<UrlFilter>>,
    anchors: Mutex<Vec<CanonicalUrl>>,
    shapes: Mutex<ShapeBudgets>,
    has_judged_first_page: AtomicBool,
    may_know_pages: bool,
    is_stopped: Arc<AtomicBool>,
    created_at: Timestamp,
}

impl JobRuntime {
    /// The scope is measured from the seeds and from `redirected`, what seeds redirected to.
    ///
    /// # Errors
    /// All patterns of the scope that are no regular expressions.
    pub fn try_new(
        id: JobId,
        spec: JobSpec,
        redirected: Vec<CanonicalUrl>,
        created_at: Timestamp,
    ) -> Result<Self, Vec<InvalidPattern>> {
        let anchors: Vec<CanonicalUrl> = spec.seeds.iter().cloned().chain(redirected).collect();
        let filter = UrlFilter::try_new(&spec, &anchors)?.at(created_at);
        Ok(Self {
            id,
            spec,
            filter: RwLock::new(Arc::new(filter)),
            anchors: Mutex::new(anchors),
            shapes: Mutex::new(ShapeBudgets::new()),
            has_judged_first_page: AtomicBool::new(false),
            may_know_pages: true,
            is_stopped: Arc::default(),
            created_at,
        })
    }

    /// The tenant had no page when the job was taken: what is stored since then was stored by jobs of this process.
    #[must_use]
    pub fn without_known_pages(self) -> Self {
        Self { may_know_pages: false, ..self }
    }

    /// Whether an earlier crawl may have left something of its pages.
    #[must_use]
    pub const fn may_know_pages(&self) -> bool {
        self.may_know_pages
    }

    /// The filter as it is now.
    #[must_use]
    pub fn filter(&self) -> Arc<UrlFilter> {
        Arc::clone(&self.filter.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a URL may be offered to the frontier.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &CanonicalUrl, depth: u16, source: UrlSource) -> Result<(), RejectReason> {
        self.filter().check(url, depth, source)?;
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner).admit(url)
    }

    /// Widens the scope by a URL to which a seed redirects. Answers whether it was new.
    pub fn add_anchor(&self, anchor: &CanonicalUrl) -> bool {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        if anchors.contains(anchor) {
            return false;
        }
        anchors.push(anchor.clone());
        // The patterns compiled when the job was made, so they compile again.
        if let Ok(filter) = UrlFilter::try_new(&self.spec, &anchors) {
            *self.filter.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(filter.at(self.created_at));
        }
        true
    }

    /// In place of a runtime of the same job that goes on: what still works with that one is stopped with this one.
    #[must_use]
    pub fn in_place_of(self, earlier: &Self) -> Self {
        Self { is_stopped: Arc::clone(&earlier.is_stopped), ..self }
    }

    /// Nothing of the job starts any more: it was paused, cancelled or has ended. A job that goes on is another value.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
    }

    /// Whether nothing of it may start.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// `true` once: for the first page whose links were judged.
    pub fn is_first_page(&self) -> bool {
        !self.has_judged_first_page.swap(true, Ordering::Relaxed)
    }
}

/// The strictest manners of all running jobs: politeness is never multiplied by the number of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// Time between two starts at one host.
    pub delay: Duration,
    /// Requests at once to one host.
    pub per_host: u16,
}

/// The running jobs. Cheap to clone.
#[derive(Clone, Default)]
pub struct Jobs {
    running: Arc<RwLock<BTreeMap<JobId, Arc<JobRuntime>>>>,
    watched: Arc<Mutex<BTreeSet<JobId>>>,
}

impl Jobs {
    /// Whether the caller is the one who watches the job's ledger from now on: `true` once, until the job is removed.
    pub fn watch_once(&self, id: JobId) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Nobody watches the job any more.
    pub fn unwatch(&self, id: JobId) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Nothing of the job starts any more.
    pub fn stop(&self, id: JobId) {
        if let Some(job) = self.get(id) {
            job.stop();
        }
    }

    /// Adds or replaces a job.
    pub fn insert(&self, job: Arc<JobRuntime>) {
        self.running.write().unwrap_or_else(PoisonError::into_inner).insert(job.id, job);
    }

    /// Forgets a job that ended.
    pub fn remove(&self, id: JobId) {
        self.running.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// The running jobs, and those whose end was not noticed yet.
    #[must_use]
    pub fn ids(&self) -> Vec<JobId> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// A running job.
    #[must_use]
    pub fn get(&self, id: JobId) -> Option<Arc<JobRuntime>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The strictest manners of all running jobs.
    #[must_use]
    pub fn manners(&self) -> Manners {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let all = running.values().map(|job| job.spec.politeness);
        let strictest = all.reduce(|a, b| argiope_protocol::Politeness {
            robots: a.robots || b.robots,
            delay: a.delay.max(b.delay),
            per_host: a.per_host.min(b.per_host),
        });
        let politeness = strictest.unwrap_or_default();
        Manners { delay: politeness.delay, per_host: politeness.per_host.max(1) }
    }
}
