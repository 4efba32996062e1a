//! Reads: one object a page, one more for its body.

use super::codec::{self, StoredPage};
use super::fault::corrupt;
use super::layout::{self, BodyRef};
use super::place::Tag;
use super::{ObjectPages, compute};
use crate::{Error, Result};
use argiope_protocol::{PageKey, PageRecord, TenantId};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Instant;

/// Names in one listing: what S3 gives at once.
const LISTED: usize = 1_000;

/// A page as it lies in the storage.
pub(super) struct Current {
    /// What it says, or why it cannot be read.
    pub(super) page: Result<StoredPage>,
    pub(super) tag: Tag,
}

pub(super) async fn page(pages: &ObjectPages, tenant: &TenantId, key: &PageKey) -> Result<Option<StoredPage>> {
    let name = layout::page(tenant, key);
    current(pages, &name, pages.deadline()).await?.map(|current| current.page).transpose()
}

pub(super) async fn current(pages: &ObjectPages, name: &str, until: Instant) -> Result<Option<Current>> {
    let Some(object) = pages.place.get(name, until).await? else { return Ok(None) };
    let (n_bytes, owned) = (object.bytes.len(), name.to_owned());
    let page = compute(n_bytes, move || codec::unseal(&owned, &object.bytes)).await;
    Ok(Some(Current { page, tag: object.tag }))
}

/// The body that a page names.
pub(super) async fn body(pages: &ObjectPages, tenant: &TenantId, key: &PageKey) -> Result<Option<Bytes>> {
    loop {
        let Some(body) = named_body(pages, tenant, key).await? else { return Ok(None) };
        if let Some(bytes) = body_at(pages, &body, pages.deadline()).await? {
            return Ok(Some(bytes));
        }
        // The page may have changed a day ago, between the two reads of a very slow reader.
        if named_body(pages, tenant, key).await? == Some(body) {
            return Err(corrupt(&body.name(), format_args!("it is missing, page {key} names it")));
        }
    }
}

async fn named_body(pages: &ObjectPages, tenant: &TenantId, key: &PageKey) -> Result<Option<BodyRef>> {
    Ok(page(pages, tenant, key).await?.and_then(|page| page.response).map(|response| response.body))
}

/// A body, checked; `None` when it is not there.
pub(super) async fn body_at(pages: &ObjectPages, body: &BodyRef, until: Instant) -> Result<Option<Bytes>> {
    let Some(object) = pages.place.get(&body.name(), until).await? else { return Ok(None) };
    let (n_bytes, body) = (object.bytes.len(), *body);
    compute(n_bytes, move || codec::unseal_body(&body, &object.bytes)).await.map(Some)
}

pub(super) async fn scan(
    pages: &ObjectPages,
    tenant: &TenantId,
    after: Option<PageKey>,
    limit: usize,
) -> Result<Vec<PageRecord>> {
    let folder = layout::tenant_folder(tenant);
    let mut after = after.map(|key| layout::page(tenant, &key));
    let mut records = Vec::new();
    while records.len() < limit {
        let wanted = (limit - records.len()).min(LISTED);
        let names = pages.place.list(&folder, after.as_deref(), wanted, pages.deadline()).await?;
        let Some(last) = names.last() else { break };
        after = Some(last.clone());
        let is_end = names.len() < wanted;
        each_page(pages, names, |_, page| {
            records.push(page?.record);
            Ok(())
        })
        .await?;
        if is_end {
            break;
        }
    }
    Ok(records)
}

/// Shows the pages of these names in their order, those that cannot be read as errors. Names that are no pages' and
/// pages that are gone by now are left out.
pub(super) async fn each_page(
    pages: &ObjectPages,
    names: Vec<String>,
    mut show: impl FnMut(&str, Result<StoredPage>) -> Result<()> + Send,
) -> Result<()> {
    let reads = names.into_iter().filter(|name| layout::is_page(name)).map(|name| async move {
        let read = current(pages, &name, pages.deadline()).await;
        (name, read)
    });
    let mut reads = futures_util::stream::iter(reads).buffered(pages.max_reads);
    while let Some((name, read)) = reads.next().await {
        match read {
            Ok(None) => {}
            Ok(Some(current)) => show(&name, current.page)?,
            Err(error @ Error::Corrupt { .. }) => show(&name, Err(error))?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Shows all names in a folder, a listing at a time.
pub(super) async fn each_listing<Shown>(
    pages: &ObjectPages,
    folder: &str,
    mut show: impl FnMut(Vec<String>) -> Shown + Send,
) -> Result<()>
where
    Shown: Future<Output = Result<()>> + Send,
{
    let mut after: Option<String> = None;
    loop {
        let names = pages.place.list(folder, after.as_deref(), LISTED, pages.deadline()).await?;
        let Some(last) = names.last() else { return Ok(()) };
        after = Some(last.clone());
        let is_end = names.len() < LISTED;
        show(names).await?;
        if is_end {
            return Ok(());
        }
    }
}
