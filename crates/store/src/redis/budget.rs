//! The page limit of a job, divided among shards. How that stays exact is told in the [module above](super).

use super::server::Call;
use super::shard_job::Registered;
use super::{AT_ONCE, RedisFrontier};
use crate::{Error, Result};
use argiope_protocol::{JobId, ShardId};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a page limit that was found used up is believed to be: other shards are asked again after that.
pub(super) const EXHAUSTED_FOR: Duration = Duration::from_millis(500);
/// Times that a part is lowered again because it was raised meanwhile.
const MAX_ROUNDS: u32 = 8;
/// Wait before the second round; later ones wait longer.
const ROUND_WAIT: Duration = Duration::from_millis(2);
/// Jobs remembered as used up.
const MAX_EXHAUSTED: usize = 1_000;

/// A shard's part of the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Pages that the shard may hold.
    pub(super) pages: u64,
    /// Its number; 0 when none was given.
    pub(super) number: u64,
}

impl RedisFrontier {
    /// Asks for room for `target` pages in all.
    pub(super) async fn raise(&self, job: &str, shard: ShardId, target: u64) -> Result<Part> {
        let call = Call::new("raise", &self.registry()).arg(job).num(shard.number()).num(target);
        let [pages, number] = self.router.ask(call).await?.parts()?;
        Ok(Part { pages: pages.num()?, number: number.num()? })
    }

    /// Asks again after the other shards gave back what they do not use.
    pub(super) async fn raise_after_return(&self, id: JobId, shard: ShardId, target: u64, had: Part) -> Result<Part> {
        // One at a time: those that wait find what the first one got back.
        let _turn = self.returning.lock().await;
        if self.is_exhausted(id) {
            return Ok(had);
        }
        let job = self.registered(id).await?;
        let is_over = job.granted > job.max_pages;
        let others = job.shards.iter().filter(|(other, (part, _))| **other != shard && *part > 0);
        let others: Vec<ShardId> = others.map(|(other, _)| *other).collect();
        if others.is_empty() && !is_over {
            return Ok(had);
        }
        self.reconcile(&job, |other| is_over || other != shard).await?;
        let part = self.raise(&job.number, shard, target).await?;
        if part.pages < target && !others.is_empty() {
            self.note_exhausted(id);
        }
        Ok(part)
    }

    /// Takes back what shards do not use. When more is given out than the limit allows (it was lowered, or failed
    /// URLs are tried again), their parts are void until they ask again.
    pub(super) async fn reconcile(&self, job: &Registered, is_asked: impl Fn(ShardId) -> bool) -> Result<()> {
        self.lower_all(job, &is_asked, false).await?;
        let after = self.registered(job.id).await?;
        if after.granted > after.max_pages {
            self.lower_all(&after, &|_| true, true).await?;
        }
        Ok(())
    }

    async fn lower_all(&self, job: &Registered, is_asked: &impl Fn(ShardId) -> bool, is_void: bool) -> Result<()> {
        let shards = job.shards.iter().filter(|(shard, _)| is_asked(**shard)).map(|(shard, part)| (*shard, part.1));
        let lowered = shards.map(|(shard, number)| self.lower(job, shard, number, is_void));
        stream::iter(lowered.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// The shard first, the registry second: in between the registry thinks that more is used than is.
    async fn lower(&self, job: &Registered, shard: ShardId, mut number: u64, is_void: bool) -> Result<()> {
        for round in 0..MAX_ROUNDS {
            tokio::time::sleep(ROUND_WAIT * round).await;
            let call = Call::new("lower", &self.shard(shard)).arg(job.number.as_str()).num(number).num(is_void);
            let [word, value] = self.router.ask(call).await?.parts()?;
            let (is_lowered, value) = (word.text()? == "ok", value.num()?);
            if is_lowered {
                let call = Call::new("lowered", &self.registry()).arg(job.number.as_str()).num(shard.number());
                if self.router.ask(call.num(number).num(value)).await?.num()? == 1 {
                    return Ok(());
                }
            }
            let seen = if is_lowered { number + 1 } else { value };
            let call = Call::new("renumber", &self.registry()).arg(job.number.as_str()).num(shard.number());
            number = self.router.ask(call.num(seen)).await?.num()?;
        }
        // Other nodes are at it too, and what one of them takes back is there for all.
        if is_void { Err(Error::engine("take back page limit", "the shard's part kept changing")) } else { Ok(()) }
    }

    fn is_exhausted(&self, id: JobId) -> bool {
        let exhausted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        exhausted.get(&id).is_some_and(|since| since.elapsed() < EXHAUSTED_FOR)
    }

    fn note_exhausted(&self, id: JobId) {
        let mut exhausted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        exhausted.retain(|_, since| since.elapsed() < EXHAUSTED_FOR);
        if exhausted.len() < MAX_EXHAUSTED {
            exhausted.insert(id, Instant::now());
        }
    }

    /// Other limits hold from now on.
    pub(super) fn forget_exhausted(&self, id: JobId) {
        self.exhausted.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
