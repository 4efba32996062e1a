//! Offers of URLs to a job.

use super::budget::Part;
use super::server::{Call, Reply};
use super::{RedisFrontier, codes, record};
use crate::frontier::{AdmitReport, MAX_REJECT_SAMPLES, RejectTally};
use crate::{Error, Result};
use argiope_protocol::{Candidate, Claim, Host, JobId, PageKey, ShardId, Timestamp};
use std::collections::BTreeMap;

/// URLs of one call: about 3 ms inside of Redis, which does nothing else meanwhile.
const MAX_URLS_A_CALL: usize = 500;
/// Questions about the page limit before a call is given up.
const MAX_ROUNDS: usize = 12;

/// What one call answered.
enum Answer {
    Done(Reply, Reply, Vec<Reply>),
    /// The job takes nothing any more.
    Final,
    /// The shard has no copy of the job.
    Unknown,
    /// The shard must be allowed so many pages in all.
    Need(u64),
}

impl RedisFrontier {
    pub(super) async fn admit_all(
        &self,
        claim: &Claim,
        job: JobId,
        candidates: &[Candidate],
        rejects: &RejectTally,
        now: Timestamp,
    ) -> Result<AdmitReport> {
        let mut report = AdmitReport::default();
        for candidate in candidates {
            check_shard(claim.shard, &candidate.url.host())?;
        }
        if candidates.is_empty() && rejects.counts.is_empty() {
            return Ok(report);
        }
        let none = RejectTally::default();
        let (first, rest) = candidates.split_at(candidates.len().min(MAX_URLS_A_CALL));
        self.admit_some(claim, job, first, rejects, now, &mut report).await?;
        for some in rest.chunks(MAX_URLS_A_CALL) {
            self.admit_some(claim, job, some, &none, now, &mut report).await?;
        }
        Ok(report)
    }

    async fn admit_some(
        &self,
        claim: &Claim,
        id: JobId,
        candidates: &[Candidate],
        rejects: &RejectTally,
        now: Timestamp,
        report: &mut AdmitReport,
    ) -> Result<()> {
        let mut number = match self.remembered(id) {
            Some(number) => number,
            None => self.join(id, claim.shard).await?,
        };
        let (hosts, offers) = offers(candidates);
        let (mut part, mut is_last, mut was_returned) = (Part::default(), false, false);
        for _ in 0..MAX_ROUNDS {
            let call = call(&self.shard(claim.shard), claim, now, &number, part, is_last);
            let call = with_offers(with_rejects(call, rejects), &hosts, &offers);
            match read(self.router.ask(call).await?)? {
                Answer::Done(n_seen, n_over, counts) => return add(report, n_seen, n_over, counts, &hosts),
                Answer::Final => return Ok(()),
                Answer::Unknown => number = self.join(id, claim.shard).await?,
                Answer::Need(target) => {
                    part = self.raise(&number, claim.shard, target).await?;
                    if part.pages < target && !was_returned {
                        was_returned = true;
                        part = self.raise_after_return(id, claim.shard, target, part).await?;
                    }
                    is_last = part.pages < target;
                }
            }
        }
        Err(Error::engine("admit", "the shard's part of the page limit kept changing"))
    }
}

/// Refuses a host that belongs to another shard: its gate would exist twice.
pub(super) fn check_shard(shard: ShardId, host: &Host) -> Result<()> {
    if ShardId::of_host(host) == shard {
        return Ok(());
    }
    Err(Error::engine("use host", format!("{host} does not belong to shard {shard}")))
}

/// The hosts, and per URL the place of its host (from 1), level, key, and what is offered.
fn offers(candidates: &[Candidate]) -> (Vec<Host>, Vec<[Vec<u8>; 4]>) {
    let (mut hosts, mut places) = (Vec::new(), BTreeMap::new());
    let offer = |candidate: &Candidate| {
        let host = candidate.url.host();
        let place = *places.entry(host.clone()).or_insert_with(|| {
            hosts.push(host);
            hosts.len()
        });
        let level = record::level(candidate).to_string().into_bytes();
        let key = PageKey::of(&candidate.url).as_bytes().to_vec();
        [place.to_string().into_bytes(), level, key, record::offered(candidate)]
    };
    let offers = candidates.iter().map(offer).collect();
    (hosts, offers)
}

fn call(base: &str, claim: &Claim, now: Timestamp, job: &str, part: Part, is_last: bool) -> Call {
    let call = Call::new("admit", base).of(claim).time(now).arg(job);
    call.num(part.pages).num(part.number).num(is_last)
}

fn with_rejects(call: Call, rejects: &RejectTally) -> Call {
    let n_rejects = rejects.counts.len() as u64;
    rejects.counts.iter().fold(call.num(n_rejects), |call, (reason, count)| {
        let texts = rejects.samples.get(reason).map(Vec::as_slice).unwrap_or_default();
        let cut = |text: &String| text.chars().take(codes::MAX_SAMPLE_CHARS).collect::<String>();
        let texts: Vec<String> = texts.iter().take(MAX_REJECT_SAMPLES).map(cut).collect();
        call.arg(reason.code()).num(*count).arg(serde_json::json!(texts).to_string())
    })
}

fn with_offers(call: Call, hosts: &[Host], offers: &[[Vec<u8>; 4]]) -> Call {
    let call = hosts.iter().fold(call.num(hosts.len() as u64), |call, host| call.arg(host.as_str()));
    offers.iter().flatten().fold(call, |call, part| call.arg(part.clone()))
}

fn read(reply: Reply) -> Result<Answer> {
    let mut parts = reply.list()?.into_iter();
    let odd = || Error::Corrupt { what: "answer of admit".to_owned(), detail: "it is short".to_owned() };
    let mut next = || parts.next().ok_or_else(odd);
    match next()?.text()?.as_str() {
        "ok" => Ok(Answer::Done(next()?, next()?, parts.collect())),
        "final" => Ok(Answer::Final),
        "unknown" => Ok(Answer::Unknown),
        _ => Ok(Answer::Need(next()?.num()?)),
    }
}

fn add(report: &mut AdmitReport, n_seen: Reply, n_over: Reply, counts: Vec<Reply>, hosts: &[Host]) -> Result<()> {
    let small = |reply: Reply| reply.num().map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    report.n_seen += small(n_seen)?;
    report.n_over_budget += small(n_over)?;
    let mut counts = counts.into_iter();
    while let (Some(place), Some(count)) = (counts.next(), counts.next()) {
        let place = usize::try_from(place.num()?).unwrap_or_default();
        if let Some(host) = place.checked_sub(1).and_then(|place| hosts.get(place)) {
            *report.queued.entry(host.clone()).or_default() += small(count)?;
        }
    }
    Ok(())
}
