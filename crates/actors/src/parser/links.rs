//! Which of a page's links are offered to the frontier. Pure but for the job's shared trap budgets.

use crate::job::JobRuntime;
use argiope_content::page::ParsedPage;
use argiope_content::sitemap::SitemapContents;
use argiope_protocol::{Candidate, CanonicalUrl, Lease, RejectReason, UrlKind, UrlSource};
use argiope_store::frontier::RejectTally;

/// Links sorted into those offered and those refused.
#[derive(Default)]
pub(crate) struct Sorted {
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
            Ok(()) => self.offered.push(candidate),
            Err(reason) => self.rejects.add(reason, url.as_str()),
        }
    }
}

/// The links of a page.
pub(super) fn of_page(job: &JobRuntime, lease: &Lease, page: &ParsedPage) -> Sorted {
    let mut sorted = Sorted::default();
    let obeys = job.spec.politeness.robots;
    let depth = lease.candidate.depth.saturating_add(1);
    for link in &page.links {
        if obeys && (link.nofollow || page.directives.nofollow) {
            sorted.rejects.add(RejectReason::NoFollow, link.url.as_str());
        } else if link.url != lease.candidate.url {
            sorted.consider(job, link_candidate(link.url.clone(), UrlSource::Link, depth));
        }
    }
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
pub(crate) fn known(job: &JobRuntime, lease: &Lease, outlinks: &[CanonicalUrl]) -> Sorted {
    let mut sorted = Sorted::default();
    let depth = lease.candidate.depth.saturating_add(1);
    for url in outlinks {
        sorted.consider(job, link_candidate(url.clone(), UrlSource::Link, depth));
    }
    sorted
}

/// An index of an index of sitemaps is as deep as real sites go.
const MAX_SITEMAP_DEPTH: u16 = 3;

fn link_candidate(url: CanonicalUrl, source: UrlSource, depth: u16) -> Candidate {
    Candidate { url, kind: UrlKind::Page, source, depth, redirect_chain: Vec::new() }
}
