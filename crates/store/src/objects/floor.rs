//! The highest epoch under which pages may have been written: one small object that only ever grows.

use super::ObjectPages;
use super::fault::{corrupt, server};
use super::layout::EPOCH;
use super::place::When;
use crate::Result;
use crate::error::ServerFault;
use argiope_protocol::Epoch;
use std::time::Instant;

/// Writes that others beat, before the storage counts as too busy.
const MAX_TRIES: u32 = 64;

pub(super) async fn read(pages: &ObjectPages) -> Result<Epoch> {
    let found = pages.place.get(EPOCH, pages.deadline()).await?;
    found.map_or(Ok(Epoch::default()), |object| parse(&object.bytes))
}

pub(super) async fn raise(pages: &ObjectPages, epoch: Epoch) -> Result<()> {
    let until: Instant = pages.deadline();
    for _ in 0..MAX_TRIES {
        let found = pages.place.get(EPOCH, until).await?;
        let when = match found {
            Some(object) if parse(&object.bytes)? >= epoch => return Ok(()),
            Some(object) => When::Unchanged(object.tag),
            None => When::Absent,
        };
        if pages.place.put(EPOCH, format!("{}\n", epoch.0).into(), when, until).await? {
            return Ok(());
        }
    }
    Err(server("raise the epoch of the pages", ServerFault::Busy, "other nodes raise it all the time"))
}

fn parse(bytes: &[u8]) -> Result<Epoch> {
    let text = String::from_utf8_lossy(bytes);
    text.trim().parse().map(Epoch).map_err(|_| corrupt(EPOCH, "it is no number"))
}
