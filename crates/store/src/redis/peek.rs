//! A host's queue in the order in which it would be leased, without leasing.

use super::lists::MAX_LIST;
use super::record::Record;
use super::server::{Call, Reply};
use super::{RedisFrontier, lease};
use crate::Result;
use argiope_protocol::{Candidate, Claim, Host, JobId, Timestamp};
use std::collections::BTreeMap;

/// A job that has, or had, URLs at the host.
struct Turn {
    job: JobId,
    tenant: String,
    last_turn: u64,
    /// Place in the answer: jobs that were never served come in it by age.
    place: usize,
    records: std::vec::IntoIter<Record>,
}

impl RedisFrontier {
    pub(super) async fn peek_at(
        &self,
        claim: &Claim,
        host: &Host,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(JobId, Candidate)>> {
        let limit = limit.min(MAX_LIST);
        let call = Call::read("peek", &self.shard(claim.shard)).of(claim).time(now).arg(host.as_str());
        let rows = self.router.ask(call.num(limit as u64)).await?.list()?;
        let turns = rows.into_iter().enumerate().map(|(place, row)| turn(place, row, limit));
        Ok(in_turn(turns.collect::<Result<_>>()?, limit))
    }
}

fn turn(place: usize, row: Reply, limit: usize) -> Result<Turn> {
    let [job, tenant, last_turn, records] = row.parts()?;
    let read = |record: Reply| Record::read(&record.bytes()?);
    let mut records = records.list()?.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    records.sort_by_key(Record::rank);
    records.truncate(limit);
    Ok(Turn {
        job: lease::job_id(&job.bytes()?)?,
        tenant: tenant.text()?,
        last_turn: last_turn.num()?,
        place,
        records: records.into_iter(),
    })
}

/// Takes the jobs' URLs in turn.
fn in_turn(mut turns: Vec<Turn>, limit: usize) -> Vec<(JobId, Candidate)> {
    let mut clock = turns.iter().map(|turn| turn.last_turn).max().unwrap_or_default();
    let mut list = Vec::new();
    while list.len() < limit {
        let next = turns.iter_mut().find_map(|turn| Some((turn.records.next()?, turn)));
        let Some((record, turn)) = next else { break };
        list.push((turn.job, record.candidate));
        clock += 1;
        turn.last_turn = clock;
        order(&mut turns);
    }
    list
}

/// Sorts as `turns_of` in `lua/lease.lua` does: the tenant served longest ago, of it the job served longest ago.
fn order(turns: &mut [Turn]) {
    let mut served: BTreeMap<String, u64> = BTreeMap::new();
    for turn in &*turns {
        let last = served.entry(turn.tenant.clone()).or_default();
        *last = turn.last_turn.max(*last);
    }
    turns.sort_by(|a, b| {
        let rank = |turn: &Turn| (served.get(&turn.tenant).copied(), turn.tenant.clone(), turn.last_turn, turn.place);
        rank(a).cmp(&rank(b))
    });
}
