//! Counters against the URLs they count, the registry against its shards, every record against its key.
//!
//! Each shard's counters are compared in one step inside of Redis; records are read in pieces, so URLs that move
//! meanwhile are read twice or not at all, and only what is wrong in itself is reported of them.

use super::RedisFrontier;
use super::lists::ended;
use super::server::{Call, Reply};
use super::shard_job::Registered;
use crate::{Error, Result};
use argiope_protocol::{Fate, JobCounters, PageKey, ShardId};
use std::collections::BTreeMap;

/// Findings that are told one by one; the rest is only counted.
const MAX_FINDINGS: usize = 100;

/// What was found.
#[derive(Default)]
struct Findings {
    told: Vec<String>,
    n_more: u64,
}

impl Findings {
    fn add(&mut self, finding: String) {
        if self.told.len() < MAX_FINDINGS {
            self.told.push(finding);
        } else {
            self.n_more += 1;
        }
    }
}

impl RedisFrontier {
    pub(super) async fn verify_all(&self) -> Result<Vec<String>> {
        let mut findings = Findings::default();
        let mut known: BTreeMap<String, Registered> = BTreeMap::new();
        for record in self.records().await? {
            let job = self.registered(record.id).await?;
            known.insert(job.number.clone(), job);
        }
        for shard in ShardId::all() {
            self.verify_shard(shard, &known, &mut findings).await?;
        }
        for job in known.values() {
            let sum: u64 = job.shards.values().map(|(part, _)| part).sum();
            if sum != job.granted {
                findings.add(format!("job {}: {} pages are granted, its shards hold {sum}", job.id, job.granted));
            }
        }
        if findings.n_more > 0 {
            findings.told.push(format!("and {} more", findings.n_more));
        }
        Ok(findings.told)
    }

    async fn verify_shard(
        &self,
        shard: ShardId,
        known: &BTreeMap<String, Registered>,
        findings: &mut Findings,
    ) -> Result<()> {
        let base = self.shard(shard);
        for finding in self.router.ask(Call::read("audit", &base)).await?.list()? {
            findings.add(format!("shard {shard}: {}", finding.text()?));
        }
        let jobs = self.router.ask(Call::command("SMEMBERS", &base).arg(format!("{base}jobs"))).await?;
        for number in jobs.list()?.into_iter().map(Reply::text) {
            let number = number?;
            let Some(job) = known.get(&number) else {
                findings.add(format!("shard {shard} has a job of number {number} that the registry does not know"));
                continue;
            };
            match job.shards.get(&shard) {
                None => findings.add(format!("job {}: the registry does not know its copy in {shard}", job.id)),
                Some((part, _)) => {
                    let grant = self.ledger(&number, shard).await?.grant;
                    if grant > *part {
                        findings.add(format!("job {} may hold {grant} pages in {shard}, {part} are granted", job.id));
                    }
                }
            }
            self.verify_records(&number, shard, findings).await?;
        }
        Ok(())
    }

    async fn verify_records(&self, job: &str, shard: ShardId, findings: &mut Findings) -> Result<()> {
        let before = self.ledger(job, shard).await?.counters;
        for place in self.places(job, shard).await? {
            let mut wrong = Vec::new();
            let read = self
                .visit(shard, &place, &mut |kept| {
                    if PageKey::of(&kept.record.candidate.url) != kept.record.page {
                        wrong.push(format!("{} is stored under another page's key", kept.record.candidate.url));
                    }
                    Ok(())
                })
                .await;
            match read {
                Err(Error::Corrupt { what, detail }) => wrong.push(format!("{}: {what}: {detail}", place.key)),
                other => other?,
            }
            wrong.into_iter().for_each(|finding| findings.add(finding));
        }
        let (mut counted, mut odd) = (JobCounters::default(), None);
        self.visit_seen(&self.shard(shard), job, &mut |page, value| match ended(value) {
            Ok(end) => count(&mut counted, value, end.map(|(fate, _)| fate)),
            Err(error) => odd = Some(format!("{page}: {error}")),
        })
        .await?;
        odd.into_iter().for_each(|finding| findings.add(finding));
        let after = self.ledger(job, shard).await?.counters;
        let stored = JobCounters { queued: after.queued + after.leased, leased: 0, ..after };
        if before == after && stored != counted {
            findings.add(format!("ledger of job {job} in {shard} says {stored:?}, its URLs say {counted:?}"));
        }
        Ok(())
    }
}

/// Open URLs count as queued: their number does not say whether they are leased.
fn count(counted: &mut JobCounters, value: i64, end: Option<Fate>) {
    counted.discovered += 1;
    match end {
        None if value < 0 => counted.queued += 1,
        None | Some(Fate::Failed(..)) => counted.failed += 1,
        Some(Fate::Stored) => counted.stored += 1,
        Some(Fate::Unchanged) => counted.unchanged += 1,
        Some(Fate::Skipped(_)) => counted.skipped += 1,
    }
}
