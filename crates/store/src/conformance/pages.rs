//! What every page store must do.

use crate::pages::{NewPage, PageStore};
use crate::{Error, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::page::{FetchFacts, Validators};
use argiope_protocol::{CanonicalUrl, JobId, PageKey, PageRecord, TenantId, Timestamp};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The URL of the `n`th page of a site that does not exist.
///
/// # Panics
/// Never: the text is a URL.
#[must_use]
pub fn page_url(n: u64) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("http://site.test/{n}")).expect("the text is a URL")
}

/// A page as a crawl would hand it over, its Markdown being `# seq`.
#[must_use]
pub fn new_page(url: &CanonicalUrl, seq: u64, body: &[u8]) -> NewPage {
    let fetch = FetchFacts {
        fetched_at: Timestamp::from_millis(1_735_787_045_678),
        status: 200,
        content_type: Some("text/html".to_owned()),
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
        wire_bytes: body.len() as u64,
        elapsed_ms: 12,
    };
    let record = PageRecord {
        key: PageKey::of(url),
        tenant: TenantId::default(),
        job: JobId::from_uuid(uuid::Uuid::nil()),
        url: url.clone(),
        depth: 1,
        seq,
        process: argiope_protocol::ProcessMode::Vectors,
        chunker_version: 1,
        fetch,
        validators: Validators { etag: Some("\"1\"".to_owned()), last_modified: None },
        body_hash: *blake3::hash(body).as_bytes(),
        title: format!("page {seq}"),
        language: Some("en".to_owned()),
        charset: "UTF-8".to_owned(),
        simhash: seq,
        extraction: "container".to_owned(),
        chunks: Vec::new(),
        outlinks: vec![page_url(0)],
        problems: Vec::new(),
    };
    NewPage {
        record,
        headers: vec![("content-type".to_owned(), b"text/html".to_vec())],
        body: Bytes::copy_from_slice(body),
        markdown: format!("# {seq}"),
        retain: Retain::Raw,
    }
}

/// Runs every law on a fresh store.
///
/// # Panics
/// When the store breaks one.
///
/// # Errors
/// When a call fails that must not.
pub async fn all<S: PageStore>(mut make: impl AsyncFnMut() -> S) -> Result<()> {
    what_was_put_is_read_back(&make().await).await?;
    a_lower_seq_changes_nothing(&make().await).await?;
    retain_says_what_stays(&make().await).await?;
    equal_bodies_are_independent_pages(&make().await).await?;
    touch_replaces_the_record_only(&make().await).await?;
    scan_goes_through_one_tenant_in_key_order(&make().await).await?;
    a_body_that_is_not_its_hash_is_refused(&make().await).await
}

async fn what_was_put_is_read_back(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let page = new_page(&page_url(1), 5, b"<p>one");
    let key = page.record.key;
    assert_eq!(store.record(&tenant, &key).await?, None);
    assert_eq!(store.body(&tenant, &key).await?, None);
    assert_eq!(store.headers(&tenant, &key).await?, None);
    store.put(page.clone()).await?;
    store.put(page.clone()).await?;
    assert_eq!(store.record(&tenant, &key).await?, Some(page.record.clone()));
    assert_eq!(store.body(&tenant, &key).await?, Some(page.body.clone()));
    assert_eq!(store.markdown(&tenant, &key).await?.as_deref(), Some("# 5"));
    let headers = store.headers(&tenant, &key).await?.unwrap_or_default();
    assert_eq!(headers, [("content-type".to_owned(), b"text/html".to_vec()), content_length(6)]);
    assert_eq!(store.verify().await?, [""; 0]);
    store.delete(&tenant, &key).await?;
    store.delete(&tenant, &key).await?;
    assert_eq!(store.record(&tenant, &key).await?, None);
    assert_eq!(store.body(&tenant, &key).await?, None);
    assert_eq!(store.verify().await?, [""; 0]);
    Ok(())
}

fn content_length(bytes: usize) -> (String, Vec<u8>) {
    ("content-length".to_owned(), bytes.to_string().into_bytes())
}

async fn a_lower_seq_changes_nothing(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let url = page_url(1);
    for (seq, body, expected) in [(5, "five", "five"), (4, "four", "five"), (5, "FIVE", "FIVE"), (6, "six", "six")] {
        store.put(new_page(&url, seq, body.as_bytes())).await?;
        let read = store.body(&tenant, &PageKey::of(&url)).await?;
        assert_eq!(read.as_deref(), Some(expected.as_bytes()), "after seq {seq}");
    }
    assert_eq!(store.verify().await?, [""; 0]);
    Ok(())
}

async fn retain_says_what_stays(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let url = page_url(1);
    let key = PageKey::of(&url);
    let cases = [(Retain::Raw, true, true), (Retain::Markdown, false, true), (Retain::None, false, false)];
    for (seq, (retain, has_body, has_markdown)) in (1..).zip(cases) {
        store.put(NewPage { retain, ..new_page(&url, seq, b"text") }).await?;
        assert_eq!(store.body(&tenant, &key).await?.is_some(), has_body, "{retain:?}");
        assert_eq!(store.headers(&tenant, &key).await?.is_some(), has_body, "{retain:?}");
        assert_eq!(store.markdown(&tenant, &key).await?.is_some(), has_markdown, "{retain:?}");
        assert_eq!(store.record(&tenant, &key).await?.map(|record| record.seq), Some(seq), "{retain:?}");
        let wanted = [(Retain::Raw, has_body), (Retain::Markdown, has_markdown), (Retain::None, true)];
        for (wanted, is_kept) in wanted {
            let found = store.record_with(&tenant, &key, wanted).await?;
            assert_eq!(found.map(|record| record.seq), is_kept.then_some(seq), "{wanted:?} of {retain:?}");
        }
    }
    store.put(NewPage { markdown: String::new(), ..new_page(&url, 9, b"text") }).await?;
    assert_eq!(store.markdown(&tenant, &key).await?, None);
    assert_eq!(store.verify().await?, [""; 0]);
    Ok(())
}

async fn equal_bodies_are_independent_pages(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let keys: Vec<PageKey> = (1..=3).map(|n| PageKey::of(&page_url(n))).collect();
    for n in 1..=3 {
        let mut page = new_page(&page_url(n), 1, b"the same");
        page.headers = vec![("x-page".to_owned(), n.to_string().into_bytes())];
        store.put(page).await?;
    }
    for (n, key) in (1..).zip(&keys) {
        assert_eq!(store.body(&tenant, key).await?.as_deref(), Some(b"the same".as_slice()), "page {n}");
        let headers = store.headers(&tenant, key).await?.unwrap_or_default();
        assert_eq!(headers.first(), Some(&("x-page".to_owned(), n.to_string().into_bytes())));
        store.delete(&tenant, key).await?;
        assert_eq!(store.verify().await?, [""; 0]);
    }
    Ok(())
}

async fn touch_replaces_the_record_only(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let page = new_page(&page_url(1), 5, b"text");
    let key = page.record.key;
    store.touch(page.record.clone()).await?;
    assert_eq!(store.record(&tenant, &key).await?, None, "a page that is not stored stays so");
    store.put(page.clone()).await?;
    for (seq, expected) in [(4, "page 5"), (5, "touched 5"), (7, "touched 7")] {
        store.touch(PageRecord { seq, title: format!("touched {seq}"), ..page.record.clone() }).await?;
        let title = store.record(&tenant, &key).await?.map(|record| record.title);
        assert_eq!(title.as_deref(), Some(expected), "after seq {seq}");
    }
    assert_eq!(store.body(&tenant, &key).await?, Some(page.body));
    assert_eq!(store.markdown(&tenant, &key).await?.as_deref(), Some("# 5"));
    Ok(())
}

async fn scan_goes_through_one_tenant_in_key_order(store: &impl PageStore) -> Result<()> {
    let tenant = TenantId::default();
    let other = TenantId::try_new("default-2").expect("the text is a tenant's name");
    let mut expected = Vec::new();
    for n in 0..10 {
        let mut page = new_page(&page_url(n), 1, n.to_string().as_bytes());
        expected.push(page.record.key);
        store.put(page.clone()).await?;
        page.record.tenant = other.clone();
        page.record.title = "other".to_owned();
        store.put(page).await?;
    }
    expected.sort_unstable();
    let mut found = Vec::new();
    loop {
        let part = store.scan(&tenant, found.last().copied(), 3).await?;
        assert!(part.len() <= 3 && part.iter().all(|record| record.title != "other"));
        if part.is_empty() {
            break;
        }
        found.extend(part.iter().map(|record| record.key));
    }
    assert_eq!(found, expected);
    assert_eq!(store.scan(&other, None, 100).await?.len(), 10);
    Ok(())
}

async fn a_body_that_is_not_its_hash_is_refused(store: &impl PageStore) -> Result<()> {
    let mut page = new_page(&page_url(1), 1, b"text");
    page.body = Bytes::from_static(b"other");
    let key = page.record.key;
    assert!(matches!(store.put(page).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.record(&TenantId::default(), &key).await?, None);
    Ok(())
}
