//! Lists of URLs and hosts. Records lie in queues, not in key order: a list reads all of a job's records in the order in
//! which they move and keeps the smallest keys, so its memory is bounded and its time grows with the queue.

use super::record::Record;
use super::server::{Call, Reply};
use super::shard_job::Registered;
use super::{EndedTexts, RedisFrontier, codes};
use crate::frontier::{HostSummary, UrlEntry, UrlFilter, UrlState};
use crate::{Error, Result};
use argiope_protocol::{
    Candidate, CanonicalUrl, Claim, Fate, Host, JobId, PageKey, ShardId, TenantId, UrlKind, UrlSource,
};
use std::collections::BTreeMap;

/// Most rows that one list answers, whatever was asked for: bounds its memory.
pub(super) const MAX_LIST: usize = 10_000;
/// Records that one call reads.
const MAX_READ: u64 = 500;
/// Hosts that one call reads.
const MAX_HOSTS: usize = 100;

/// An entry whose text may be elsewhere.
#[derive(Debug, Clone)]
struct Found {
    candidate: Option<Candidate>,
    attempts: u8,
    state: UrlState,
}

/// The smallest keys after a key.
pub(super) struct Gather {
    filter: UrlFilter,
    after: Option<PageKey>,
    limit: usize,
    found: BTreeMap<PageKey, Found>,
}

impl Gather {
    /// One key, when it is there.
    pub(super) fn only(filter: UrlFilter, page: PageKey) -> Self {
        let before = u128::from_be_bytes(*page.as_bytes()).checked_sub(1);
        let after = before.map(|number| PageKey::from_bytes(number.to_be_bytes()));
        Self { filter, after, limit: 1, found: BTreeMap::new() }
    }

    /// What was found under a key.
    pub(super) fn into_entry(mut self, page: PageKey) -> Option<UrlEntry> {
        let found = self.found.remove(&page)?;
        Some(UrlEntry { candidate: found.candidate?, attempts: found.attempts, state: found.state })
    }

    /// Later finds replace earlier ones: places are read in the order in which URLs move.
    fn add(&mut self, page: PageKey, found: Found) {
        if self.after.is_some_and(|after| page <= after) || !passes(self.filter, &found.state) {
            return;
        }
        self.found.insert(page, found);
        if self.found.len() > self.limit {
            self.found.pop_last();
        }
    }
}

const fn passes(filter: UrlFilter, state: &UrlState) -> bool {
    filter.takes(if let UrlState::Ended(fate) = state { Some(fate) } else { None })
}

/// A place where records lie.
pub(super) struct Place {
    pub(super) key: String,
    length: u64,
    /// Bytes before the record.
    skip: usize,
    kind: char,
}

/// What lies before a record, and the record.
pub(super) struct Kept {
    pub(super) head: Vec<u8>,
    pub(super) record: Record,
}

impl RedisFrontier {
    pub(super) async fn list(
        &self,
        id: JobId,
        filter: UrlFilter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, UrlEntry)>> {
        let job = self.registered(id).await?;
        let limit = limit.min(MAX_LIST);
        let mut gather = Gather { filter, after, limit, found: BTreeMap::new() };
        for shard in job.shards.keys() {
            self.gather(&job, *shard, &mut gather).await?;
        }
        let mut list = Vec::with_capacity(gather.found.len());
        for (page, found) in gather.found {
            let candidate = match found.candidate {
                Some(candidate) => Some(candidate),
                None => self.candidate_of(&job.spec.tenant, &page).await?,
            };
            if let Some(candidate) = candidate {
                list.push((page, UrlEntry { candidate, attempts: found.attempts, state: found.state }));
            }
        }
        Ok(list)
    }

    pub(super) async fn gather(&self, job: &Registered, shard: ShardId, gather: &mut Gather) -> Result<()> {
        let is_only_pages = matches!(gather.filter, UrlFilter::Pages);
        let places = self.places(&job.number, shard).await?;
        let (ends, open): (Vec<Place>, Vec<Place>) = places.into_iter().partition(|place| place.skip == 11);
        if !is_only_pages {
            for place in &open {
                self.visit(shard, place, &mut |kept| add_open(gather, place, &job.number, kept)).await?;
            }
        }
        let is_all_kept = matches!(self.ended_texts, EndedTexts::InRedis);
        if !is_all_kept && !matches!(gather.filter, UrlFilter::Open | UrlFilter::Failed) {
            self.gather_seen(&job.number, shard, gather).await?;
        }
        for place in &ends {
            self.visit(shard, place, &mut |kept| add_ended(gather, kept)).await?;
        }
        Ok(())
    }

    /// What became of the URLs whose record is gone.
    async fn gather_seen(&self, job: &str, shard: ShardId, gather: &mut Gather) -> Result<()> {
        let base = self.shard(shard);
        let mut failed = Ok(());
        self.visit_seen(&base, job, &mut |key, value| match ended(value) {
            Ok(Some((fate, attempts))) => {
                gather.add(key, Found { candidate: None, attempts, state: UrlState::Ended(fate) });
            }
            Ok(None) => {}
            Err(error) => failed = Err(error),
        })
        .await?;
        failed
    }

    /// Every URL the job ever saw in a shard, with its number.
    pub(super) async fn visit_seen(
        &self,
        base: &str,
        job: &str,
        visit: &mut (dyn FnMut(PageKey, i64) + Send),
    ) -> Result<()> {
        let shard_of = Call::command("HGET", base).arg(format!("{base}j{job}")).arg("d");
        let n_urls = self.router.ask(shard_of).await?;
        let n_urls = if n_urls.is_nil() { 0 } else { n_urls.num()? };
        // As `n_buckets` in lua/seen.lua; hashes that are not there yet are empty.
        for bucket in 0..n_urls.div_ceil(100).max(1) {
            let call = Call::command("HGETALL", base).arg(format!("{base}s{job}:{bucket}"));
            for (key, value) in self.router.ask(call).await?.pairs()? {
                let key = <[u8; 16]>::try_from(key.as_slice()).ok().map(PageKey::from_bytes);
                let value = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                let (Some(key), Some(value)) = (key, value) else {
                    let detail = format!("an entry of {base}s{job}:{bucket} is odd");
                    return Err(Error::Corrupt { what: "seen URLs".to_owned(), detail });
                };
                visit(key, value);
            }
        }
        Ok(())
    }

    /// The text of a page that only the page store knows.
    pub(super) async fn candidate_of(&self, tenant: &TenantId, page: &PageKey) -> Result<Option<Candidate>> {
        let EndedTexts::InPages(pages) = &self.ended_texts else { return Ok(None) };
        Ok(pages.record(tenant, page).await?.map(|record| Candidate {
            url: record.url,
            kind: UrlKind::Page,
            source: UrlSource::Known,
            depth: record.depth,
            redirect_chain: Vec::new(),
        }))
    }

    /// Where records of a job lie, in the order in which they move.
    pub(super) async fn places(&self, job: &str, shard: ShardId) -> Result<Vec<Place>> {
        let reply = self.router.ask(Call::read("places", &self.shard(shard)).arg(job)).await?;
        let place = |reply: Reply| {
            let [key, length, skip, kind] = reply.parts()?;
            let skip = usize::try_from(skip.num()?).unwrap_or_default();
            let kind = kind.text()?.chars().next().unwrap_or('l');
            Ok(Place { key: key.text()?, length: length.num()?, skip, kind })
        };
        reply.list()?.into_iter().map(place).collect()
    }

    /// Reads a place. Lists are read from their end, since their beginning is what moves.
    pub(super) async fn visit(
        &self,
        shard: ShardId,
        place: &Place,
        visit: &mut (dyn FnMut(Kept) -> Result<()> + Send),
    ) -> Result<()> {
        let base = self.shard(shard);
        let mut n_read = 0;
        while n_read < place.length {
            let reply = match place.kind {
                'h' => self.router.ask(Call::command("HVALS", &base).arg(place.key.as_str())).await?,
                'z' => {
                    let call = Call::command("ZRANGE", &base).arg(place.key.as_str());
                    self.router.ask(call.num(n_read).num(n_read + MAX_READ - 1)).await?
                }
                _ => {
                    let call = Call::command("LRANGE", &base).arg(place.key.as_str());
                    let call = call.arg(format!("-{}", n_read + MAX_READ)).arg(format!("-{}", n_read + 1));
                    self.router.ask(call).await?
                }
            };
            n_read += if place.kind == 'h' { u64::MAX - n_read } else { MAX_READ };
            for kept in reply.list()? {
                let mut head = kept.bytes()?;
                let record = Record::read(&head.split_off(place.skip.min(head.len())))?;
                visit(Kept { head, record })?;
            }
        }
        Ok(())
    }

    pub(super) async fn known(
        &self,
        tenant: &TenantId,
        identity: [u8; 16],
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<Vec<(PageKey, Candidate)>> {
        let limit = limit.min(MAX_LIST);
        let mut known = BTreeMap::new();
        for job in self.records().await? {
            if job.spec.tenant != *tenant || job.spec.identity() != identity {
                continue;
            }
            for (page, entry) in self.list(job.id, UrlFilter::Pages, after, limit).await? {
                let candidate = entry.candidate;
                known.insert(page, Candidate { source: UrlSource::Known, redirect_chain: Vec::new(), ..candidate });
            }
        }
        Ok(known.into_iter().take(limit).collect())
    }

    pub(super) async fn host_list(&self, claim: &Claim) -> Result<Vec<HostSummary>> {
        let base = self.shard(claim.shard);
        // Asked once without hosts, so that an old claim is fenced also when there are none.
        self.router.ask(Call::read("hosts", &base).of(claim)).await?;
        let active = self.router.ask(Call::command("SMEMBERS", &base).arg(format!("{base}a"))).await?;
        let numbers = active.list()?.into_iter().map(Reply::bytes).collect::<Result<Vec<_>>>()?;
        let mut summaries = Vec::with_capacity(numbers.len());
        for some in numbers.chunks(MAX_HOSTS) {
            let call = some.iter().fold(Call::read("hosts", &base).of(claim), |call, number| call.arg(number.clone()));
            let mut parts = self.router.ask(call).await?.list()?.into_iter();
            while let Some(name) = parts.next() {
                summaries.extend(summary(name, &mut parts)?);
            }
        }
        summaries.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(summaries)
    }
}

pub(super) fn summary(name: Reply, parts: &mut impl Iterator<Item = Reply>) -> Result<Option<HostSummary>> {
    let mut next = || parts.next().ok_or_else(|| odd("a host's row is short"));
    let (n_queued, n_leased) = (next()?.num()?, next()?.num()?);
    let (not_before, text) = (next()?.time()?, next()?.text()?);
    let host = host(&name.text()?)?;
    let next = if text.is_empty() { None } else { Some(CanonicalUrl::parse(&text).map_err(|_| odd("a URL"))?) };
    let n_leased = u32::try_from(n_leased).unwrap_or(u32::MAX);
    Ok(Some(HostSummary { host, n_queued, n_leased, not_before, next }))
}

/// A host from its name. IPv6 addresses stand without brackets in names, and with them in URLs.
fn host(name: &str) -> Result<Host> {
    let shown = if name.contains(':') { format!("https://[{name}]/") } else { format!("https://{name}/") };
    CanonicalUrl::parse(&shown).map(|url| url.host()).map_err(|_| odd("a host's name"))
}

fn odd(detail: &str) -> Error {
    Error::Corrupt { what: "frontier in Redis".to_owned(), detail: detail.to_owned() }
}

fn add_open(gather: &mut Gather, place: &Place, job: &str, kept: Kept) -> Result<()> {
    let record = kept.record;
    let state = if place.kind == 'h' {
        let (deadline, of) = lease_head(&kept.head)?;
        if of.to_string() != job {
            return Ok(());
        }
        UrlState::Leased { deadline: codes::time(deadline) }
    } else {
        UrlState::Queued { not_before: record.since }
    };
    gather.add(record.page, Found { candidate: Some(record.candidate), attempts: record.attempts, state });
    Ok(())
}

/// Deadline and job of a lease, from what lies before its record.
pub(super) fn lease_head(head: &[u8]) -> Result<(u64, u64)> {
    let number = |range| {
        let bytes: Option<&[u8]> = head.get(range);
        bytes.map(|bytes| bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    number(0..6).zip(number(6..10)).ok_or_else(|| odd("a lease is short"))
}

fn add_ended(gather: &mut Gather, kept: Kept) -> Result<()> {
    let number = *kept.head.first().ok_or_else(|| odd("an end is short"))?;
    let retry = kept.head.get(1..7).ok_or_else(|| odd("an end is short"))?;
    let retry = retry.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let state = UrlState::Ended(codes::fate(number, retry)?);
    let Record { page, attempts, candidate, .. } = kept.record;
    gather.add(page, Found { candidate: Some(candidate), attempts, state });
    Ok(())
}

/// The fate and attempts in a seen URL's number; `None` while it is open, or a dead letter, whose record tells more.
pub(super) fn ended(value: i64) -> Result<Option<(Fate, u8)>> {
    const FAILED_MARK: i64 = 127;
    if value < 0 || value == FAILED_MARK {
        return Ok(None);
    }
    let number = u8::try_from(value / 10).map_err(|_| odd("a fate"))?;
    let attempts = u8::try_from(value % 10).map_err(|_| odd("attempts"))?;
    Ok(Some((codes::fate(number, 0)?, attempts)))
}
