//! The names of objects. They are a format: an older program must find what a newer one wrote.
//!
//! ```text
//! format                                      version of the layout
//! epoch                                       highest epoch under which pages may have been written
//! pages/<tenant>/<2 hex>/<key>.page           record, header fields, Markdown, name of the body
//! bodies/<day>/<2 hex>/<blake3>.warc.zst      a WARC response record with the body
//! ```
//! The two digits are the first of the name that follows: they keep folders of a directory small, and change nothing of
//! the order, so that a listing is in key order.

use argiope_protocol::{PageKey, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Holds the version of the layout.
pub(super) const FORMAT: &str = "format";
/// Holds the highest epoch under which pages may have been written.
pub(super) const EPOCH: &str = "epoch";
/// All pages.
pub(super) const PAGES: &str = "pages/";
/// All bodies.
pub(super) const BODIES: &str = "bodies/";

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
const PAGE_SUFFIX: &str = ".page";
const BODY_SUFFIX: &str = ".warc.zst";

/// Days since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Day(pub(super) u32);

impl Day {
    pub(super) fn of(now: Timestamp) -> Self {
        Self(u32::try_from(now.as_millis() / DAY_MILLIS).unwrap_or(u32::MAX))
    }

    /// Whether a writer that read its clock on this day, or on a clock that is less than a day off, may still be about
    /// to name a body of it.
    pub(super) const fn is_recent(self, today: Self) -> bool {
        self.0.saturating_add(1) >= today.0
    }

    /// Its first instant.
    pub(super) const fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0 as u64 * DAY_MILLIS)
    }

    /// The day before it.
    pub(super) const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Which body: the day it was first written, and its BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct BodyRef {
    pub(super) day: Day,
    pub(super) hash: [u8; 32],
}

impl BodyRef {
    pub(super) fn name(&self) -> String {
        let hash = hex(&self.hash);
        let fan = hash.get(..2).unwrap_or_default();
        // Padded, so that days sort; five digits last until 2243.
        format!("{BODIES}{:05}/{fan}/{hash}{BODY_SUFFIX}", self.day.0)
    }

    /// From the name; `None` when it is no body's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (day, rest) = name.strip_prefix(BODIES)?.split_once('/')?;
        let hash = rest.rsplit('/').next()?.strip_suffix(BODY_SUFFIX)?;
        let body = Self { day: Day(day.parse().ok()?), hash: unhex(hash)? };
        (body.name() == name).then_some(body)
    }
}

/// The object of a page.
pub(super) fn page(tenant: &TenantId, key: &PageKey) -> String {
    let key = key.to_string();
    let fan = key.get(..2).unwrap_or_default();
    format!("{}{fan}/{key}{PAGE_SUFFIX}", tenant_folder(tenant))
}

/// Whether the name is one that [`page`] makes. Strangers in a shared directory are left alone.
pub(super) fn is_page(name: &str) -> bool {
    let Some((tenant, rest)) = name.strip_prefix(PAGES).and_then(|name| name.split_once('/')) else { return false };
    let key = rest.rsplit('/').next().and_then(|key| key.strip_suffix(PAGE_SUFFIX)).and_then(unhex);
    let made = TenantId::try_new(tenant).ok().zip(key).map(|(tenant, key)| page(&tenant, &PageKey::from_bytes(key)));
    made.as_deref() == Some(name)
}

/// The pages of a tenant.
pub(super) fn tenant_folder(tenant: &TenantId) -> String {
    format!("{PAGES}{}/", tenant.as_str())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(n * 2..n * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_others_are_not_taken_for_them() {
        let key = PageKey::from_bytes([0xab; 16]);
        let name = page(&TenantId::default(), &key);
        assert_eq!(name, "pages/default/ab/abababababababababababababababab.page");
        assert!(is_page(&name));
        for other in ["pages/default/ac/abababababababababababababababab.page", "pages/default/notes.txt", "format"] {
            assert!(!is_page(other), "{other}");
        }
        let body = BodyRef { day: Day(20_784), hash: [7; 32] };
        assert_eq!(body.name(), format!("bodies/20784/07/{}.warc.zst", "07".repeat(32)));
        assert_eq!(BodyRef::parse(&body.name()), Some(body));
        assert_eq!(BodyRef::parse(&body.name().to_uppercase()), None);
        assert_eq!(BodyRef::parse("bodies/20784/07/x.warc.zst"), None);
    }

    #[test]
    fn a_body_can_be_named_anew_for_a_day_and_some() {
        let today = Day::of(Timestamp::from_millis(20_000 * DAY_MILLIS + 1));
        assert_eq!(today, Day(20_000));
        for (day, expected) in [(19_998, false), (19_999, true), (20_000, true), (20_001, true)] {
            assert_eq!(Day(day).is_recent(today), expected, "{day}");
        }
        assert_eq!(today.before().begin(), Timestamp::from_millis(19_999 * DAY_MILLIS));
    }
}
