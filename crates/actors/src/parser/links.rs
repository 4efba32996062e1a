//! Which of a page's links are offered to the frontier. Pure but for the job's shared trap budgets.

use crate::frontier::KnownLinks;
use crate::job::JobRuntime;
use argiope_content::page::{Link, ParsedPage};
use argiope_content::sitemap::SitemapContents;
use argiope_protocol::{Candidate, CanonicalUrl, Lease, PageKey, RejectReason, UrlKind, UrlSource};
use argiope_store::frontier::RejectTally;

/// Links sorted into those followed, of which those that the job may not have yet are offered, and those refused.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) followed: Vec<CanonicalUrl>,
    pub(crate) offered: Vec<Candidate>,
    pub(crate) rejects: RejectTally,
}

impl Sorted {
    fn consider(&mut self, job: &JobRuntime, candidate: Candidate) {
        let Candidate { url, depth, source, .. } = &candidate;
        let verdict = match candidate.kind {
            UrlKind::Page => job.check(url, *depth, *source),
            // A sitemap's place is robots.txt's or an index's word; its entries are checked.
            UrlKind::Sitemap => Ok(()),
        };
        match verdict {
            Ok(()) => {
                self.followed.push(candidate.url.clone());
                self.offered.push(candidate);
            }
            Err(reason) => self.rejects.add(reason, url.as_str()),
        }
    }

    /// Takes links of a page. What the job is known to have passed these tests before.
    fn follow(
        &mut self,
        job: &JobRuntime,
        known: &KnownLinks,
        (urls, pages): (Vec<CanonicalUrl>, Vec<PageKey>),
        depth: u16,
    ) {
        for (url, is_known) in urls.into_iter().zip(known.among(job.id, &pages)) {
            if is_known {
                self.followed.push(url);
            } else {
                self.consider(job, link_candidate(url, UrlSource::Link, depth));
            }
        }
    }
}

/// The links of a page.
pub(super) fn of_page(job: &JobRuntime, known: &KnownLinks, lease: &Lease, page: &mut ParsedPage) -> Sorted {
    let mut sorted = Sorted::default();
    let obeys = job.spec.politeness.robots;
    let depth = lease.candidate.depth.saturating_add(1);
    let (mut urls, mut pages) = (Vec::with_capacity(page.links.len()), Vec::with_capacity(page.links.len()));
    for Link { url, page_key, nofollow } in std::mem::take(&mut page.links) {
        if obeys && (nofollow || page.directives.nofollow) {
            sorted.rejects.add(RejectReason::NoFollow, url.as_str());
        } else if url != lease.candidate.url {
            urls.push(url);
            pages.push(page_key);
        }
    }
    sorted.follow(job, known, (urls, pages), depth);
    for (reason, n_links) in
        [(RejectReason::InvalidUrl, page.n_links_invalid), (RejectReason::TooManyLinks, page.n_links_over)]
    {
        if n_links > 0 {
            *sorted.rejects.counts.entry(reason).or_default() += u64::from(n_links);
        }
    }
    sorted
}

/// The entries of a sitemap.
pub(super) fn of_sitemap(job: &JobRuntime, lease: &Lease, contents: SitemapContents) -> Sorted {
    let mut sorted = Sorted::default();
    for entry in contents.pages {
        sorted.consider(job, link_candidate(entry.url, UrlSource::Sitemap, 1));
    }
    let depth = lease.candidate.depth.saturating_add(1);
    for url in contents.sitemaps {
        if depth > MAX_SITEMAP_DEPTH {
            sorted.rejects.add(RejectReason::TooDeep, url.as_str());
        } else {
            sorted
                .consider(job, Candidate { kind: UrlKind::Sitemap, ..link_candidate(url, UrlSource::Sitemap, depth) });
        }
    }
    sorted
}

/// The links that an unchanged page offered when it was stored.
pub(crate) fn of_record(job: &JobRuntime, known: &KnownLinks, lease: &Lease, outlinks: &[CanonicalUrl]) -> Sorted {
    let mut sorted = Sorted::default();
    let pages = outlinks.iter().map(PageKey::of).collect();
    sorted.follow(job, known, (outlinks.to_vec(), pages), lease.candidate.depth.saturating_add(1));
    sorted
}

/// An index of an index of sitemaps is as deep as real sites go.
const MAX_SITEMAP_DEPTH: u16 = 3;

fn link_candidate(url: CanonicalUrl, source: UrlSource, depth: u16) -> Candidate {
    Candidate { url, kind: UrlKind::Page, source, depth, redirect_chain: Vec::new() }
}
