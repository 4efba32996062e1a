//! Every record against its checksum, every counter against the URLs it counts.

use super::keys::{self, tag};
use super::ledger::{queue_key, reason_code};
use super::record::{hex, unseal};
use super::rows::{ClaimRow, HostJobRow, HostRow, JobHead, JobRow, LeaseRow, MetaRow, Place, UrlRow};
use super::table::View;
use crate::Result;
use crate::frontier::RobotsRecord;
use argiope_protocol::{Fate, JobCounters, PageKey};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Findings that are told one by one; the rest is only counted.
const MAX_FINDINGS: usize = 100;

/// What a pass over the table found.
#[derive(Default)]
struct Audit {
    findings: Vec<String>,
    n_more: u64,
    ledgers: BTreeMap<u32, (JobCounters, BTreeMap<String, u64>)>,
    shares: BTreeMap<(u8, u32, u32), (u64, u32)>,
    n_queued: u64,
    n_queue_entries: u64,
    n_leased: u64,
    n_leases: u64,
    n_host_leases: u64,
}

pub(super) fn verify(view: &impl View) -> Result<Vec<String>> {
    let mut audit = Audit::default();
    view.scan(&[], &[u8::MAX], &mut |key, bytes| {
        audit.row(view, key, bytes);
        Ok(ControlFlow::Continue(()))
    })?;
    view.scan_robots(&mut |key, bytes| {
        audit.decode::<RobotsRecord>(key, bytes);
        Ok(ControlFlow::Continue(()))
    })?;
    audit.compare(view)?;
    if audit.n_more > 0 {
        audit.findings.push(format!("and {} more", audit.n_more));
    }
    Ok(audit.findings)
}

impl Audit {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.n_more += 1;
        }
    }

    fn decode<T: DeserializeOwned>(&mut self, key: &[u8], bytes: &[u8]) -> Option<T> {
        unseal(key, bytes).map_err(|error| self.find(error.to_string())).ok()
    }

    fn row(&mut self, view: &impl View, key: &[u8], bytes: &[u8]) {
        match key.first().copied() {
            Some(tag::META) => drop(self.decode::<MetaRow>(key, bytes)),
            Some(tag::CLAIM) => drop(self.decode::<ClaimRow>(key, bytes)),
            Some(tag::JOB_NUMBER | tag::HOST_NUMBER) => drop(self.decode::<u32>(key, bytes)),
            Some(tag::JOB) => drop(self.decode::<JobRow>(key, bytes)),
            Some(tag::JOB_HEAD) => drop(self.decode::<JobHead>(key, bytes)),
            Some(tag::SAMPLES) => drop(self.decode::<Vec<String>>(key, bytes)),
            Some(tag::HOST_JOB) => drop(self.decode::<HostJobRow>(key, bytes)),
            Some(tag::HOST) => {
                self.n_host_leases += self.decode::<HostRow>(key, bytes).map_or(0, |host| host.leases.len() as u64);
            }
            Some(tag::READY | tag::WAITING) => {
                self.n_queue_entries += u64::from(self.decode::<PageKey>(key, bytes).is_some());
            }
            Some(tag::LEASE) => self.n_leases += u64::from(self.decode::<LeaseRow>(key, bytes).is_some()),
            Some(tag::URL) => self.url(view, key, bytes),
            _ => self.find(format!("unknown record {}", hex(key))),
        }
    }

    fn url(&mut self, view: &impl View, key: &[u8], bytes: &[u8]) {
        let Some(url) = self.decode::<UrlRow>(key, bytes) else { return };
        let (Some(job), Some(page)) = (keys::number_at(key, 0), keys::page_of(key)) else {
            return self.find(format!("URL record {} has a short key", hex(key)));
        };
        match url.candidate() {
            Ok(candidate) if PageKey::of(&candidate.url) == page => {}
            Ok(candidate) => self.find(format!("{} is stored under another page's key", candidate.url)),
            Err(error) => self.find(error.to_string()),
        }
        self.count(job, &url);
        if let Some(entry) = queue_key(job, &url)
            && !matches!(view.get::<PageKey>(&entry), Ok(Some(found)) if found == page)
        {
            self.find(format!("{} is queued but has no queue entry", url.url));
        }
        if let Place::Leased { token, .. } = url.place
            && !matches!(view.get::<LeaseRow>(&keys::lease(url.shard, token)), Ok(Some(row)) if row.page == page && row.job == job)
        {
            self.find(format!("{} is leased but has no lease", url.url));
        }
    }

    fn count(&mut self, job: u32, url: &UrlRow) {
        let (counters, reasons) = self.ledgers.entry(job).or_default();
        let share = self.shares.entry((url.shard, url.host, job)).or_default();
        counters.discovered += 1;
        match url.place {
            Place::Ready { .. } | Place::Waiting { .. } => {
                counters.queued += 1;
                share.0 += 1;
                self.n_queued += 1;
            }
            Place::Leased { .. } => {
                counters.leased += 1;
                share.1 += 1;
                self.n_leased += 1;
            }
            Place::Ended(fate) => {
                match fate {
                    Fate::Stored => counters.stored += 1,
                    Fate::Unchanged => counters.unchanged += 1,
                    Fate::Skipped(_) => counters.skipped += 1,
                    Fate::Failed(..) => counters.failed += 1,
                }
                if let Some(code) = reason_code(fate) {
                    *reasons.entry(code.to_owned()).or_default() += 1;
                }
            }
        }
    }

    /// Counters against what was counted.
    fn compare(&mut self, view: &impl View) -> Result<()> {
        let ledgers = std::mem::take(&mut self.ledgers);
        view.scan_prefix(&[tag::JOB_HEAD], &mut |key, bytes| {
            let Some(number) = keys::number_at(key, 0) else { return Ok(ControlFlow::Continue(())) };
            let Ok(head) = unseal::<JobHead>(key, bytes) else { return Ok(ControlFlow::Continue(())) };
            let counted = ledgers.get(&number).cloned().unwrap_or_default();
            if (head.counters, &head.reasons) != (counted.0, &counted.1) || !head.counters.is_balanced() {
                self.find(format!("ledger of job {} says {:?}, its URLs say {:?}", head.id, head.counters, counted.0));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut shares = std::mem::take(&mut self.shares);
        view.scan_prefix(&[tag::HOST_JOB], &mut |key, bytes| {
            let place = (key.get(1).copied(), keys::number_at(key, 1), keys::number_at(key, 5));
            let (Some(shard), Some(host), Some(job)) = place else { return Ok(ControlFlow::Continue(())) };
            let Ok(row) = unseal::<HostJobRow>(key, bytes) else { return Ok(ControlFlow::Continue(())) };
            let counted = shares.remove(&(shard, host, job)).unwrap_or_default();
            if counted != (row.n_queued, row.n_leased) {
                self.find(format!("host {host} and job {job}: counted {counted:?}, stored {row:?}"));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (place, counted) in shares.into_iter().filter(|(_, counted)| *counted != (0, 0)) {
            self.find(format!("nothing is stored for shard, host, job {place:?}, counted {counted:?}"));
        }
        let pairs = [
            (self.n_queued, self.n_queue_entries, "queued URLs, queue entries"),
            (self.n_leased, self.n_leases, "leased URLs, leases"),
            (self.n_leases, self.n_host_leases, "leases, leases of hosts"),
        ];
        for (left, right, what) in pairs {
            if left != right {
                self.find(format!("{what}: {left}, {right}"));
            }
        }
        Ok(())
    }
}
