//! Keys of the one table: a tag byte, then numbers in big-endian, so that key order is the order of service.
//!
//! Jobs and hosts are interned as 32-bit numbers, since they are part of every URL's three entries.

use argiope_protocol::{JobId, LeaseToken, PageKey, RejectReason};

/// First byte of a key.
pub(super) mod tag {
    /// Store-wide numbers.
    pub(in super::super) const META: u8 = 0x01;
    /// Shard → claim.
    pub(in super::super) const CLAIM: u8 = 0x10;
    /// Job id → job number.
    pub(in super::super) const JOB_NUMBER: u8 = 0x20;
    /// Job number → what was asked for.
    pub(in super::super) const JOB: u8 = 0x21;
    /// Job number → state and ledger.
    pub(in super::super) const JOB_HEAD: u8 = 0x22;
    /// Job number and reason → samples of rejected links.
    pub(in super::super) const SAMPLES: u8 = 0x23;
    /// Shard and host name → host number.
    pub(in super::super) const HOST_NUMBER: u8 = 0x30;
    /// Host number → gate and leases.
    pub(in super::super) const HOST: u8 = 0x31;
    /// Shard, host and job → how much of the job waits at the host.
    pub(in super::super) const HOST_JOB: u8 = 0x32;
    /// Job and page → URL.
    pub(in super::super) const URL: u8 = 0x40;
    /// Host, job, band, depth, age → page: the queue, in order of service.
    pub(in super::super) const READY: u8 = 0x41;
    /// Host, job, time, age → page: what may not be leased yet.
    pub(in super::super) const WAITING: u8 = 0x42;
    /// Shard and token → lease.
    pub(in super::super) const LEASE: u8 = 0x43;
}

/// A key or a prefix of keys.
pub(super) type Key = Vec<u8>;

fn join(tag: u8, parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(tag);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(super) fn meta() -> Key {
    join(tag::META, &[])
}

pub(super) fn claim(shard: u8) -> Key {
    join(tag::CLAIM, &[&[shard]])
}

pub(super) fn job_number(id: &JobId) -> Key {
    join(tag::JOB_NUMBER, &[id.as_bytes()])
}

pub(super) fn job(number: u32) -> Key {
    join(tag::JOB, &[&number.to_be_bytes()])
}

pub(super) fn job_head(number: u32) -> Key {
    join(tag::JOB_HEAD, &[&number.to_be_bytes()])
}

pub(super) fn samples_of(job: u32) -> Key {
    join(tag::SAMPLES, &[&job.to_be_bytes()])
}

pub(super) fn samples(job: u32, reason: RejectReason) -> Key {
    join(tag::SAMPLES, &[&job.to_be_bytes(), reason.code().as_bytes()])
}

pub(super) fn host_number(shard: u8, name: &str) -> Key {
    join(tag::HOST_NUMBER, &[&[shard], name.as_bytes()])
}

pub(super) fn host(number: u32) -> Key {
    join(tag::HOST, &[&number.to_be_bytes()])
}

pub(super) fn host_jobs_of_shard(shard: u8) -> Key {
    join(tag::HOST_JOB, &[&[shard]])
}

pub(super) fn host_jobs(shard: u8, host: u32) -> Key {
    join(tag::HOST_JOB, &[&[shard], &host.to_be_bytes()])
}

pub(super) fn host_job(shard: u8, host: u32, job: u32) -> Key {
    join(tag::HOST_JOB, &[&[shard], &host.to_be_bytes(), &job.to_be_bytes()])
}

pub(super) fn urls(job: u32) -> Key {
    join(tag::URL, &[&job.to_be_bytes()])
}

pub(super) fn url(job: u32, page: &PageKey) -> Key {
    join(tag::URL, &[&job.to_be_bytes(), page.as_bytes()])
}

pub(super) fn ready_of(host: u32, job: u32) -> Key {
    join(tag::READY, &[&host.to_be_bytes(), &job.to_be_bytes()])
}

pub(super) fn ready(host: u32, job: u32, rank: (u8, u16, u64)) -> Key {
    let (band, depth, age) = rank;
    let (host, job) = (host.to_be_bytes(), job.to_be_bytes());
    join(tag::READY, &[&host, &job, &[band], &depth.to_be_bytes(), &age.to_be_bytes()])
}

pub(super) fn waiting_of(host: u32, job: u32) -> Key {
    join(tag::WAITING, &[&host.to_be_bytes(), &job.to_be_bytes()])
}

pub(super) fn waiting(host: u32, job: u32, not_before: u64, age: u64) -> Key {
    let (host, job) = (host.to_be_bytes(), job.to_be_bytes());
    join(tag::WAITING, &[&host, &job, &not_before.to_be_bytes(), &age.to_be_bytes()])
}

pub(super) fn leases(shard: u8) -> Key {
    join(tag::LEASE, &[&[shard]])
}

pub(super) fn lease(shard: u8, token: LeaseToken) -> Key {
    join(tag::LEASE, &[&[shard], &token.epoch.0.to_be_bytes(), &token.seq.to_be_bytes()])
}

/// The first key after all that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// The 32-bit number that begins `skip` bytes after the tag.
pub(super) fn number_at(key: &[u8], skip: usize) -> Option<u32> {
    key.get(1 + skip..5 + skip).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

/// The 64-bit number that begins `skip` bytes after the tag.
pub(super) fn long_at(key: &[u8], skip: usize) -> Option<u64> {
    key.get(1 + skip..9 + skip).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

/// The page of a URL's key.
pub(super) fn page_of(key: &[u8]) -> Option<PageKey> {
    key.get(5..21).and_then(|bytes| bytes.try_into().ok()).map(PageKey::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        for (prefix, end) in [(vec![1, 2], vec![1, 3]), (vec![1, 255], vec![2]), (vec![255, 255], vec![])] {
            assert_eq!(end_of(&prefix), end);
        }
    }

    #[test]
    fn key_order_is_the_order_of_service() {
        let ranks = [(0, 0, 9), (0, 1, 2), (1, 0, 1), (1, 0, 300), (1, 2, 0), (2, 0, 0)];
        let keys: Vec<Key> = ranks.iter().map(|rank| ready(1, 1, *rank)).collect();
        assert!(keys.is_sorted());
    }
}
