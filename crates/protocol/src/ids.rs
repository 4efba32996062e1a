//! Names of things. Every id is a newtype with one validating constructor.

use crate::url::{CANONICALISER_VERSION, CanonicalUrl, Domain, Host};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use uuid::Uuid;

/// Number of shards: fixed for the life of a data directory or cluster, since it is part of every key.
pub const N_SHARDS: u16 = 256;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    /// What was being named.
    pub kind: &'static str,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub rule: &'static str,
}

const NAME_RULE: &str = "1 to 64 characters of a-z, 0-9, '-' and '_', beginning with a letter or digit";

fn check_name(kind: &'static str, value: &str) -> Result<(), InvalidName> {
    let bytes = value.as_bytes();
    let first_ok = bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest_ok = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if first_ok && rest_ok && bytes.len() <= 64 {
        return Ok(());
    }
    Err(InvalidName { kind, value: value.chars().take(80).collect(), rule: NAME_RULE })
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// When the text is not 1 to 64 characters of `a-z`, `0-9`, `-`, `_` beginning with a letter or digit.
            pub fn try_new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                check_name($kind, &value)?;
                Ok(Self(value))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::try_new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// Owner of jobs, keys, quotas and points.
    TenantId, "tenant"
);
name_type!(
    /// A node of the cluster; `local` when there is only one machine.
    NodeName, "node name"
);

impl Default for TenantId {
    /// The only tenant of a laptop.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Default for NodeName {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

/// One crawl. Time-ordered (UUIDv7), so that lists of jobs sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// From a UUID; the caller draws it, this crate has no clock and no randomness.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The 16 bytes, for keys.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for JobId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |_| InvalidName {
            kind: "job id",
            value: text.chars().take(80).collect(),
            rule: "a UUID as `argiope jobs` prints it",
        };
        Uuid::parse_str(text).map(Self).map_err(invalid)
    }
}

/// One of [`N_SHARDS`] fixed slots: `xxh3_64(registrable domain) % 256`, so that one owner holds every gate of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(u8);

impl ShardId {
    /// The shard that owns a registrable domain.
    #[must_use]
    pub fn of(domain: &Domain) -> Self {
        Self::from_hash(xxhash_rust::xxh3::xxh3_64(domain.as_str().as_bytes()))
    }

    /// The shard that keeps a host's gate: its domain's.
    #[must_use]
    pub fn of_host(host: &Host) -> Self {
        Self::of(&host.domain())
    }

    /// The shard where requests to an address are counted.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self::from_hash(match address {
            IpAddr::V4(address) => xxhash_rust::xxh3::xxh3_64(&address.octets()),
            IpAddr::V6(address) => xxhash_rust::xxh3::xxh3_64(&address.octets()),
        })
    }

    /// By number; every `u8` is a shard.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// All shards, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 256")]
    fn from_hash(hash: u64) -> Self {
        Self((hash % u64::from(N_SHARDS)) as u8)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:03}", self.0)
    }
}

/// Grows with every claim of a shard; a write that names an old one is fenced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The next epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Identity of a page's content: first 16 bytes of `BLAKE3(canonicaliser version, URL)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageKey([u8; 16]);

impl PageKey {
    /// The key of a canonical URL.
    #[must_use]
    pub fn of(url: &CanonicalUrl) -> Self {
        let url = url.as_str().as_bytes();
        let mut short = [0_u8; 256];
        let hash = match short.get_mut(1..=url.len()) {
            // In one piece hashing costs half.
            Some(place) => {
                place.copy_from_slice(url);
                short[0] = CANONICALISER_VERSION;
                blake3::hash(&short[..=url.len()])
            }
            None => blake3::Hasher::new().update(&[CANONICALISER_VERSION]).update(url).finalize(),
        };
        let mut key = [0_u8; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self(key)
    }

    /// From stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for keys.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// As a UUID: the id of the page's head in the vector store, namespaced by tenant.
    #[must_use]
    pub fn head_id(&self, tenant: &TenantId) -> Uuid {
        Uuid::new_v5(&tenant_namespace(tenant), &self.0)
    }
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageKey({self})")
    }
}

/// BLAKE3 of exactly what is embedded (title, heading path, text) and the chunker's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The hash of an embedded text under one version of the chunker.
    #[must_use]
    pub fn of(chunker_version: u16, embedded_text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&chunker_version.to_le_bytes());
        hasher.update(embedded_text.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

/// Identity of a chunk in the vector store: `UUIDv5(tenant, page key, chunk hash, nth equal chunk)`, so that an
/// unchanged chunk keeps its id wherever it moves on its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(pub Uuid);

impl ChunkId {
    /// The id of the `nth` (from 0) chunk with this hash on this page.
    #[must_use]
    pub fn of(tenant: &TenantId, page: &PageKey, hash: &ChunkHash, nth: u32) -> Self {
        let mut name = [0_u8; 52];
        name[..16].copy_from_slice(page.as_bytes());
        name[16..48].copy_from_slice(&hash.0);
        name[48..].copy_from_slice(&nth.to_le_bytes());
        Self(Uuid::new_v5(&tenant_namespace(tenant), &name))
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn tenant_namespace(tenant: &TenantId) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, tenant.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_when_made() {
        for good in ["default", "node-a", "0", "a_b"] {
            assert!(TenantId::try_new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "é", &"x".repeat(65)] {
            assert!(TenantId::try_new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chunk_keeps_its_id_and_its_twin_has_another() {
        let tenant = TenantId::default();
        let page = PageKey::from_bytes([7; 16]);
        let hash = ChunkHash::of(1, "text");
        assert_eq!(ChunkId::of(&tenant, &page, &hash, 0), ChunkId::of(&tenant, &page, &hash, 0));
        assert_ne!(ChunkId::of(&tenant, &page, &hash, 0), ChunkId::of(&tenant, &page, &hash, 1));
        assert_ne!(ChunkHash::of(1, "text"), ChunkHash::of(2, "text"));
    }
}
