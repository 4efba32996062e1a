//! The page store that nodes share, when one is configured.

use crate::config::{Config, PageObjects, PagesBackend};
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use argiope_store::PageStore;
use argiope_store::embedded::data_dir::DiskReserve;
use argiope_store::objects::{BucketOptions, Location, ObjectOptions, ObjectPages};
use std::sync::Arc;
use url::Url;

/// Opens it; `None` when pages are in the data directory.
///
/// # Errors
/// When the storage is away or refuses, holds something else, or lacks what the store needs of it.
pub(crate) async fn shared(config: &Config) -> Result<Option<Arc<dyn PageStore>>> {
    let PagesBackend::Objects(objects) = &config.pages.backend else { return Ok(None) };
    let reserve = DiskReserve { bytes: config.pages.min_free_bytes, ..DiskReserve::default() };
    let options = ObjectOptions { reserve, ..ObjectOptions::new(location(objects)?, Arc::new(super::now)) };
    let pages = Box::pin(ObjectPages::open(options)).await.map_err(|error| explain(error, &objects.url))?;
    Ok(Some(Arc::new(pages)))
}

/// Where shared pages are, without what may be secret in the URL.
pub(crate) fn place(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn location(objects: &PageObjects) -> Result<Location> {
    let PageObjects { url, endpoint, region, access_key, secret_key } = objects;
    if url.scheme() == "file" {
        let path = url.to_file_path().map_err(|()| wrong(url, "is no path: write file:///DIR, with three slashes"))?;
        return Ok(Location::Directory(path));
    }
    let bucket = url.host_str().filter(|bucket| !bucket.is_empty());
    let bucket = bucket.ok_or_else(|| wrong(url, "names no bucket: write s3://BUCKET/PREFIX"))?.to_owned();
    let keys = match (access_key, secret_key) {
        (Some(id), Some(secret)) => Some((id.read()?, secret.read()?)),
        (None, None) => None,
        _ => return Err(wrong(url, "has half a key: set pages.access_key and pages.secret_key, or neither")),
    };
    Ok(Location::Bucket(BucketOptions {
        bucket,
        prefix: url.path().trim_matches('/').to_owned(),
        endpoint: endpoint.as_ref().map(ToString::to_string),
        region: region.clone(),
        keys,
    }))
}

fn wrong(url: &Url, what: &str) -> CliError {
    CliError::new(ErrorCode::Config, format!("pages.url {} {what}", place(url)))
}

fn explain(error: argiope_store::Error, url: &Url) -> CliError {
    let is_bucket = url.scheme() == "s3";
    let next = match error.code() {
        ErrorCode::DataDirNewer => "use the newer argiope, or give another `pages.url`",
        ErrorCode::StoreCorrupt => "something else is there: give another directory or prefix as `pages.url`",
        ErrorCode::StoreNotDurable if is_bucket => {
            "use a server with conditional writes, or a newer version of this one; docs/PAGES.md says what is needed"
        }
        ErrorCode::StoreNotDurable => "mount the file system with locks that reach the server (NFS: without `nolock`)",
        ErrorCode::DiskFull => "free some space there; nothing is lost",
        _ if is_bucket => {
            "does the bucket exist, is `pages.endpoint` reachable, and may the key read, write, list and delete there? \
             `argiope config --print` shows [pages]"
        }
        _ => "is the directory mounted, and may this user write there? `argiope config --print` shows [pages]",
    };
    CliError::from(error).because(format!("the page store is {} (pages.url)", place(url))).advise(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn objects(url: &str, access_key: Option<&str>, secret_key: Option<&str>) -> PageObjects {
        let secret = |text: &str| Secret::parse(text).unwrap();
        PageObjects {
            url: url.parse().unwrap(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key: access_key.map(secret),
            secret_key: secret_key.map(secret),
        }
    }

    #[test]
    fn a_url_is_a_directory_or_a_bucket_with_a_prefix() {
        let Ok(Location::Directory(path)) = location(&objects("file:///srv/pages", None, None)) else { panic!() };
        assert_eq!(path, std::path::Path::new("/srv/pages"));
        let Ok(Location::Bucket(bucket)) = location(&objects("s3://crawl/team/a/", None, None)) else { panic!() };
        assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str(), bucket.keys), ("crawl", "team/a", None));
    }

    #[test]
    fn a_wrong_url_or_half_a_key_is_named_and_no_secret_shown() {
        let check = |objects: PageObjects, expected: &str| {
            let error = location(&objects).unwrap_err();
            assert!(error.code == ErrorCode::Config && error.message.contains(expected), "{error}");
            assert!(!error.message.contains("s3cret"), "{error}");
        };
        check(objects("file://host/dir", None, None), "three slashes");
        check(objects("s3:///prefix", None, None), "no bucket");
        check(objects("s3://me:s3cret@crawl/", Some("env:X"), None), "half a key");
    }
}
