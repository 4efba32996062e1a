//! Changes of pages: read, decide, write the body, then replace the page if it is still the one that was read.
//!
//! A node that dies before the last step leaves a body that nobody names, which `sweep` finds; one that dies after it
//! has done all. A write that was beaten by another begins again with what the other wrote.

use super::codec::{self, StoredPage, StoredResponse};
use super::fault::server;
use super::layout::{self, BodyRef, Day};
use super::place::When;
use super::read::{Current, body_at, current};
use super::{ObjectPages, compute};
use crate::error::ServerFault;
use crate::pages::{NewPage, warc};
use crate::{Error, Result};
use argiope_protocol::PageRecord;
use argiope_protocol::job::Retain;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest pause before a beaten write begins again; the first is a sixteenth of it. Two writers of one page are rare:
/// a page has one lease.
const MAX_PAUSE: Duration = Duration::from_millis(160);

pub(super) async fn put(pages: &ObjectPages, page: Arc<NewPage>) -> Result<()> {
    let until = pages.deadline();
    let _permit = pages.permit(until).await?;
    let name = layout::page(&page.record.tenant, &page.record.key);
    let is_raw = page.retain == Retain::Raw;
    let new_body = if is_raw { Some(sealed_body(&page).await?) } else { None };
    let mut written: Option<BodyRef> = None;
    for attempt in 0.. {
        let current = current(pages, &name, until).await?;
        if current.as_ref().is_some_and(|current| is_newer(current, page.record.seq)) {
            return Ok(());
        }
        let body = match (&new_body, written) {
            (None, _) => None,
            (Some(_), Some(written)) => Some(written),
            (Some(new_body), None) => Some(keep_body(pages, &page, new_body, current.as_ref(), until).await?),
        };
        // Only a body of the present stays nameable whatever becomes of the page meanwhile.
        written = body.filter(|body| body.day == today(pages));
        let sealed = sealed_page(&name, &page, body).await?;
        if pages.place.put(&name, sealed, when(current)?, until).await? {
            return Ok(());
        }
        pause(attempt, until).await?;
    }
    Ok(())
}

pub(super) async fn touch(pages: &ObjectPages, record: PageRecord) -> Result<()> {
    let until = pages.deadline();
    let _permit = pages.permit(until).await?;
    let name = layout::page(&record.tenant, &record.key);
    for attempt in 0.. {
        let Some(Current { page, tag }) = current(pages, &name, until).await? else { return Ok(()) };
        let page = page?;
        // Another body: the version that was found unchanged is no longer the one that is stored.
        if page.record.seq > record.seq || page.record.body_hash != record.body_hash {
            return Ok(());
        }
        let touched = StoredPage { record: record.clone(), ..page };
        let n_bytes = touched.markdown.as_ref().map_or(0, String::len);
        let owned = name.clone();
        let sealed = compute(n_bytes, move || codec::seal(&owned, &touched)).await?;
        if pages.place.put(&name, sealed, When::Unchanged(tag), until).await? {
            return Ok(());
        }
        pause(attempt, until).await?;
    }
    Ok(())
}

/// A page that is damaged is no reason to keep it: the new version heals it.
fn is_newer(current: &Current, seq: u64) -> bool {
    current.page.as_ref().is_ok_and(|page| page.record.seq > seq)
}

/// What the write that follows a read asks for.
fn when(current: Option<Current>) -> Result<When> {
    match current {
        None => Ok(When::Absent),
        // What a newer program wrote is not ours to replace.
        Some(Current { page: Err(error @ Error::Newer { .. }), .. }) => Err(error),
        Some(current) => Ok(When::Unchanged(current.tag)),
    }
}

async fn sealed_body(page: &Arc<NewPage>) -> Result<Bytes> {
    let page = Arc::clone(page);
    compute(page.body.len(), move || {
        if *blake3::hash(&page.body).as_bytes() != page.record.body_hash {
            let what = format!("the new body of {}", page.record.url.as_str());
            return Err(Error::Corrupt { what, detail: "it does not match the record's hash".to_owned() });
        }
        codec::seal_body(&page)
    })
    .await
}

async fn sealed_page(name: &str, page: &Arc<NewPage>, body: Option<BodyRef>) -> Result<Bytes> {
    let (name, page) = (name.to_owned(), Arc::clone(page));
    compute(page.markdown.len(), move || {
        let has_markdown = page.retain != Retain::None && !page.markdown.is_empty();
        let stored = StoredPage {
            record: page.record.clone(),
            response: body.map(|body| StoredResponse { headers: warc::kept_fields(&page), body }),
            markdown: has_markdown.then(|| page.markdown.clone()),
        };
        codec::seal(&name, &stored)
    })
    .await
}

/// Answers a body that the page may name, durable and seen whole: the one it names already, today's, or a new one.
async fn keep_body(
    pages: &ObjectPages,
    page: &NewPage,
    new_body: &Bytes,
    current: Option<&Current>,
    until: Instant,
) -> Result<BodyRef> {
    let hash = page.record.body_hash;
    let named = current.and_then(|current| current.page.as_ref().ok()).and_then(|page| page.response.as_ref());
    if let Some(body) = named.map(|response| response.body).filter(|body| body.hash == hash)
        && is_whole(pages, &body, until).await?
    {
        return Ok(body);
    }
    let body = BodyRef { day: today(pages), hash };
    let is_new = pages.place.put(&body.name(), new_body.clone(), When::Absent, until).await?;
    if !is_new && !is_whole(pages, &body, until).await? {
        pages.place.put(&body.name(), new_body.clone(), When::Always, until).await?;
    }
    Ok(body)
}

async fn is_whole(pages: &ObjectPages, body: &BodyRef, until: Instant) -> Result<bool> {
    match body_at(pages, body, until).await {
        Ok(found) => Ok(found.is_some()),
        Err(Error::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn today(pages: &ObjectPages) -> Day {
    Day::of((pages.clock)())
}

/// Between two attempts, a random part of twice as long each time, so that two writers do not meet again and again.
async fn pause(attempt: u32, until: Instant) -> Result<()> {
    let longest = MAX_PAUSE.mul_f64(f64::from(1_u32 << attempt.min(4)) / 16.0);
    let pause = longest.mul_f64(f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0);
    if Instant::now() + pause >= until {
        return Err(server("replace a page", ServerFault::Busy, "other nodes write this page all the time"));
    }
    tokio::time::sleep(pause).await;
    Ok(())
}
