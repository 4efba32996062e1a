//! Questions of a person about one shard, host or URL, whoever owns the shard.

use super::lists::{Gather, ended, summary};
use super::server::Call;
use super::{EndedTexts, RedisFrontier};
use crate::Result;
use crate::frontier::{HostSummary, ShardLoad, UrlEntry, UrlFilter, UrlState};
use argiope_protocol::{Candidate, CanonicalUrl, Host, JobId, PageKey, ShardId, UrlKind, UrlSource};

impl RedisFrontier {
    pub(super) async fn shard_load(&self, shard: ShardId) -> Result<ShardLoad> {
        let [hosts, queued, leased] = self.router.ask(Call::read("load", &self.shard(shard))).await?.parts()?;
        Ok(ShardLoad { n_hosts: hosts.num()?, n_queued: queued.num()?, n_leased: leased.num()? })
    }

    pub(super) async fn one_host(&self, host: &Host) -> Result<Option<HostSummary>> {
        let base = self.shard(ShardId::of_host(host));
        let mut parts = self.router.ask(Call::read("host", &base).arg(host.as_str())).await?.list()?.into_iter();
        match parts.next() {
            Some(name) => summary(name, &mut parts),
            None => Ok(None),
        }
    }

    /// What is open, or a dead letter, is looked for among the job's records in the URL's shard.
    pub(super) async fn standing(&self, id: JobId, url: &CanonicalUrl) -> Result<Option<UrlEntry>> {
        let job = self.registered(id).await?;
        let (page, shard) = (PageKey::of(url), ShardId::of_host(&url.host()));
        let call = Call::read("seen", &self.shard(shard)).arg(job.number.as_str()).arg(page.as_bytes());
        let seen = self.router.ask(call).await?;
        if seen.is_nil() {
            return Ok(None);
        }
        // As a number with a sign, which replies otherwise never hold.
        let number = seen.text()?.parse().unwrap_or(-1);
        let fate = ended(number)?;
        if let Some((fate, attempts)) = fate
            && !matches!(self.ended_texts, EndedTexts::InRedis)
        {
            let known = self.candidate_of(&job.spec.tenant, &page).await?;
            let candidate = known.unwrap_or_else(|| Candidate {
                url: url.clone(),
                kind: UrlKind::Page,
                source: UrlSource::Known,
                depth: 0,
                redirect_chain: Vec::new(),
            });
            return Ok(Some(UrlEntry { candidate, attempts, state: UrlState::Ended(fate) }));
        }
        let mut gather = Gather::only(UrlFilter::All, page);
        self.gather(&job, shard, &mut gather).await?;
        Ok(gather.into_entry(page))
    }
}
