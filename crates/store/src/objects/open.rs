//! Opens the storage: is it ours, do we know its format, does it keep what the other modules rest on?

use super::bucket::Bucket;
use super::directory::Directory;
use super::fault::corrupt;
use super::layout::FORMAT;
use super::options::{Location, ObjectOptions};
use super::place::{Place, Tag, When};
use crate::{Error, Result};
use bytes::Bytes;
use std::time::Instant;

/// Version of the layout. Raise it when an older program could not read what a newer one wrote.
const VERSION: u32 = 1;
const TITLE: &str = "argiope-pages ";
/// An entity tag that no object has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

pub(super) async fn open(options: &ObjectOptions) -> Result<Box<dyn Place>> {
    let until = Instant::now() + options.operation_timeout;
    let place: Box<dyn Place> = match &options.location {
        Location::Directory(path) => Box::new(Directory::open(path.clone(), options, until).await?),
        Location::Bucket(bucket) => Box::new(Bucket::open(bucket, options)?),
    };
    check_format(place.as_ref(), until).await?;
    if matches!(options.location, Location::Bucket(_)) {
        check_conditions(place.as_ref(), until).await?;
    }
    Ok(place)
}

fn format_text() -> Bytes {
    format!("{TITLE}{VERSION}\n").into()
}

/// The first node writes the format, all others read it.
async fn check_format(place: &dyn Place, until: Instant) -> Result<()> {
    loop {
        if let Some(found) = place.get(FORMAT, until).await? {
            return known(&found.bytes);
        }
        if place.put(FORMAT, format_text(), When::Absent, until).await? {
            return Ok(());
        }
    }
}

fn known(bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let found = text.strip_prefix(TITLE).and_then(|version| version.trim().parse::<u32>().ok());
    match found {
        Some(found) if found > VERSION => Err(Error::Newer { what: "the page store", found, known: VERSION }),
        Some(_) => Ok(()),
        None => Err(corrupt(FORMAT, "it does not name a format of ours")),
    }
}

/// Storage that ignores the condition of a write would let an old version of a page win. Both writes here change
/// nothing when it does.
async fn check_conditions(place: &dyn Place, until: Instant) -> Result<()> {
    let current = place.get(FORMAT, until).await?.map_or_else(format_text, |found| found.bytes);
    let is_created = place.put(FORMAT, current.clone(), When::Absent, until).await?;
    let is_updated = place.put(FORMAT, current, When::Unchanged(Tag(NO_TAG.to_owned())), until).await?;
    if is_created || is_updated {
        let detail =
            "the page store's server ignores the conditions of writes (If-None-Match, If-Match), so that nodes \
                      would overwrite newer pages"
                .to_owned();
        return Err(Error::NotDurable { detail });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_newer_or_not_ours() {
        assert!(known(b"argiope-pages 1\n").is_ok());
        assert!(matches!(known(b"argiope-pages 2\n"), Err(Error::Newer { found: 2, .. })));
        for other in ["", "argiope-pages", "argiope-pages x", "1\n"] {
            assert!(matches!(known(other.as_bytes()), Err(Error::Corrupt { .. })), "{other:?}");
        }
    }
}
