//! A shard's copy of a job, and the job as the registry has it.

use super::RedisFrontier;
use super::codes;
use super::server::{Call, Reply};
use crate::{Error, Result};
use argiope_protocol::{
    CanonicalUrl, FailReason, JobCounters, JobId, JobSpec, JobState, RejectReason, ShardId, SkipReason, Timestamp,
};
use std::collections::{BTreeMap, HashMap};

/// A job in the registry.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) id: JobId,
    /// Its number, in decimal: part of keys.
    pub(super) number: String,
    pub(super) spec: JobSpec,
    pub(super) created_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) state: JobState,
    /// Grows with each change.
    pub(super) version: u64,
    pub(super) max_attempts: u64,
    pub(super) max_pages: u64,
    /// Pages handed out to shards.
    pub(super) granted: u64,
    /// Shards with a copy: their part of the page limit and its number.
    pub(super) shards: BTreeMap<ShardId, (u64, u64)>,
    pub(super) anchors: Vec<CanonicalUrl>,
}

impl Registered {
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.state, JobState::Finished | JobState::Cancelled)
    }
}

/// A shard's part of a job's ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) version: u64,
    pub(super) counters: JobCounters,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) rejected: BTreeMap<RejectReason, u64>,
    /// Part of the page limit that the shard may use.
    pub(super) grant: u64,
}

fn corrupt(what: &'static str) -> impl FnOnce() -> Error {
    move || Error::Corrupt { what: "job in Redis".to_owned(), detail: format!("{what} is missing or odd") }
}

fn number(fields: &HashMap<String, Vec<u8>>, name: &'static str) -> Result<u64> {
    let text = fields.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(corrupt(name))
}

impl RedisFrontier {
    /// The job in the registry.
    pub(super) async fn registered(&self, id: JobId) -> Result<Registered> {
        let reply = self.router.ask(Call::read("read", &self.registry()).arg(id.as_bytes())).await?;
        if reply.is_nil() {
            return Err(Error::UnknownJob(id));
        }
        let [number_of, fields, shards, anchors] = reply.parts()?;
        let fields = fields.fields()?;
        let text = |name: &'static str| fields.get(name).ok_or_else(corrupt(name));
        let mut parts = BTreeMap::new();
        for (shard, part) in shards.pairs()? {
            let shard = std::str::from_utf8(&shard).ok().and_then(|text| text.parse().ok());
            let part = std::str::from_utf8(&part).ok().and_then(|text| text.split_once(':'));
            let part = part.and_then(|(part, number)| Some((part.parse().ok()?, number.parse().ok()?)));
            parts.insert(ShardId::new(shard.ok_or_else(corrupt("shard"))?), part.ok_or_else(corrupt("part"))?);
        }
        let url = |reply: Reply| CanonicalUrl::parse(&reply.text()?).map_err(|_| corrupt("anchor")());
        let number_of = number_of.text()?;
        self.remember(id, &number_of);
        Ok(Registered {
            id,
            number: number_of,
            spec: serde_json::from_slice(text("spec")?).map_err(|_| corrupt("spec")())?,
            created_at: codes::time(number(&fields, "created")?),
            ended_at: if text("ended")?.is_empty() { None } else { Some(codes::time(number(&fields, "ended")?)) },
            state: codes::state(text("state")?)?,
            version: number(&fields, "version")?,
            max_attempts: number(&fields, "attempts")?,
            max_pages: number(&fields, "pages")?,
            granted: number(&fields, "granted")?,
            shards: parts,
            anchors: anchors.list()?.into_iter().map(url).collect::<Result<_>>()?,
        })
    }

    /// A shard's part of the ledger.
    pub(super) async fn ledger(&self, job: &str, shard: ShardId) -> Result<Ledger> {
        let reply = self.router.ask(Call::read("ledger", &self.shard(shard)).arg(job)).await?;
        let fields = reply.fields()?;
        if fields.is_empty() {
            return Ok(Ledger::default());
        }
        let count = |name| number(&fields, name);
        let counters = JobCounters {
            discovered: count("d")?,
            queued: count("q")?,
            leased: count("l")?,
            stored: count("s")?,
            unchanged: count("u")?,
            skipped: count("k")?,
            failed: count("f")?,
        };
        let mut ledger = Ledger { version: count("version")?, counters, grant: count("grant")?, ..Ledger::default() };
        for (name, value) in &fields {
            let value = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
            if let Some(fate) = name.strip_prefix("r:") {
                let fate = codes::fate(fate.parse().map_err(|_| corrupt("reason")())?, 0)?;
                let code = match fate {
                    argiope_protocol::Fate::Skipped(reason) => SkipReason::code(reason),
                    argiope_protocol::Fate::Failed(reason, _) => FailReason::code(reason),
                    _ => continue,
                };
                ledger.reasons.insert(code.to_owned(), value().ok_or_else(corrupt("reason"))?);
            } else if let Some(code) = name.strip_prefix("x:") {
                let reason = RejectReason::ALL.iter().find(|reason| reason.code() == code);
                if let Some(reason) = reason {
                    ledger.rejected.insert(*reason, value().ok_or_else(corrupt("rejects"))?);
                }
            }
        }
        Ok(ledger)
    }

    /// Brings a shard's copy to the registry's state, or makes it. `false` when a job should finish that has something
    /// open there.
    pub(super) async fn install(
        &self,
        job: &Registered,
        shard: ShardId,
        state: JobState,
        version: u64,
    ) -> Result<bool> {
        self.install_copy(shard, (&job.number, job.id, job.spec.tenant.as_str()), (state, version, job.max_attempts))
            .await
    }

    async fn install_copy(
        &self,
        shard: ShardId,
        (number, id, tenant): (&str, JobId, &str),
        (state, version, attempts): (JobState, u64, u64),
    ) -> Result<bool> {
        let texts = if matches!(self.ended_texts, super::EndedTexts::InRedis) { "all" } else { "some" };
        let call = Call::new("install", &self.shard(shard)).arg(number).arg(id.as_bytes()).arg(tenant);
        let call = call.arg(codes::state_letter(state)).num(version).num(attempts).arg(texts);
        Ok(self.router.ask(call).await?.text()? == "ok")
    }

    /// Gives a shard its copy: the registry learns of it first.
    pub(super) async fn join(&self, id: JobId, shard: ShardId) -> Result<String> {
        let call = Call::new("join", &self.registry()).arg(id.as_bytes()).num(shard.number());
        let reply = self.router.ask(call).await?;
        if reply.is_nil() {
            return Err(Error::UnknownJob(id));
        }
        let [number, tenant, state, version, attempts] = reply.parts()?;
        let number = number.text()?;
        let state = (codes::state(&state.bytes()?)?, version.num()?, attempts.num()?);
        self.install_copy(shard, (&number, id, &tenant.text()?), state).await?;
        self.remember(id, &number);
        Ok(number)
    }

    /// The job's number, without its copy in any shard.
    pub(super) async fn number(&self, id: JobId) -> Result<String> {
        match self.remembered(id) {
            Some(number) => Ok(number),
            None => Ok(self.registered(id).await?.number),
        }
    }
}
