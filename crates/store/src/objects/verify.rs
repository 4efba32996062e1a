//! Checks every page and every body against its checksum, and that the bodies which pages name are there.
//!
//! Others may write meanwhile, so what looks wrong is looked at again before it is said. Bodies that no page names are
//! not wrong: `sweep` removes them in time.

use super::layout::{self, BodyRef};
use super::read::{body_at, current, each_listing, each_page};
use super::{ObjectPages, fault};
use crate::pages::Findings;
use crate::{Error, Result};
use futures_util::StreamExt;
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// Bodies that are remembered as good: some 150 MB. A page with another one has it read for itself.
const MAX_GOOD: usize = 8_000_000;

pub(super) async fn verify(pages: &ObjectPages) -> Result<Vec<String>> {
    let good = good_bodies(pages).await?;
    let mut findings = Findings::default();
    let mut after: Option<String> = None;
    loop {
        let names = pages.place.list(layout::PAGES, after.as_deref(), 1_000, pages.deadline()).await?;
        let Some(last) = names.last() else { return Ok(findings.into_texts()) };
        after = Some(last.clone());
        let mut doubtful = Vec::new();
        each_page(pages, names, |name, page| {
            match page {
                Err(error) => findings.add(error.to_string()),
                Ok(page) => {
                    let body = page.response.map(|response| response.body);
                    doubtful.extend(body.filter(|body| !good.contains(&mark(body))).map(|_| name.to_owned()));
                }
            }
            Ok(())
        })
        .await?;
        for name in doubtful {
            check_body(pages, &name, &mut findings).await?;
        }
    }
}

/// Reads every body once.
async fn good_bodies(pages: &ObjectPages) -> Result<HashSet<u64>> {
    let good = std::sync::Mutex::new(HashSet::new());
    let good_of = |names: Vec<String>| {
        let good = &good;
        async move {
            let bodies = names.into_iter().filter_map(|name| BodyRef::parse(&name));
            let reads = bodies.map(|body| async move { (body, body_at(pages, &body, pages.deadline()).await) });
            let mut reads = futures_util::stream::iter(reads).buffer_unordered(pages.max_reads);
            while let Some((body, read)) = reads.next().await {
                let is_good = match read {
                    Ok(found) => found.is_some(),
                    Err(Error::Corrupt { .. }) => false,
                    Err(error) => return Err(error),
                };
                let mut good = good.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if is_good && good.len() < MAX_GOOD {
                    good.insert(mark(&body));
                }
            }
            Ok(())
        }
    };
    each_listing(pages, layout::BODIES, good_of).await?;
    Ok(good.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The page may have changed since, and its body may be newer than the list of good ones.
async fn check_body(pages: &ObjectPages, name: &str, findings: &mut Findings) -> Result<()> {
    let until = pages.deadline();
    let Some(current) = current(pages, name, until).await? else { return Ok(()) };
    let page = match current.page {
        Ok(page) => page,
        Err(error) => {
            findings.add(error.to_string());
            return Ok(());
        }
    };
    let Some(body) = page.response.map(|response| response.body) else { return Ok(()) };
    let problem = match body_at(pages, &body, until).await {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => fault::corrupt(&body.name(), "it is missing"),
        Err(error @ Error::Corrupt { .. }) => error,
        Err(error) => return Err(error),
    };
    findings.add(format!("{}: {problem}", page.record.url.as_str()));
    Ok(())
}

/// A short form of a body's name. Two of ten million are the same with a chance of 1 in 400,000.
pub(super) fn mark(body: &BodyRef) -> u64 {
    xxh3_64(body.name().as_bytes())
}
