//! The list of nodes in Redis: a record for each node, which expires by itself.

use super::RedisFrontier;
use super::server::Call;
use crate::membership::{Announced, Membership};
use crate::{Error, Result};
use argiope_protocol::sabotage::Fault;
use argiope_protocol::{NodeName, NodeRecord};
use async_trait::async_trait;
use std::time::Duration;

impl RedisFrontier {
    /// The base of the keys of nodes.
    fn node_keys(&self) -> String {
        format!("{}:{{nodes}}:", self.prefix)
    }
}

#[async_trait]
impl Membership for RedisFrontier {
    async fn announce(&self, cluster: &str, record: &NodeRecord, ttl: Duration) -> Result<Announced> {
        let text = text_of(record).map_err(|error| Error::engine("encode node", error))?;
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let call = Call::new("announce", &self.node_keys()).arg(cluster).arg(record.name.as_str());
        let [word, more] = self.router.ask(call.arg(record.boot.to_string()).arg(text).num(ttl)).await?.parts()?;
        let more = more.text()?;
        Ok(match word.text()?.as_str() {
            "ok" => Announced::Listed { is_drain_asked: more == "1" },
            "taken" => Announced::NameTaken,
            _ => Announced::OtherCluster { id: more },
        })
    }

    async fn withdraw(&self, record: &NodeRecord) -> Result<()> {
        let call = Call::new("withdraw", &self.node_keys()).arg(record.name.as_str()).arg(record.boot.to_string());
        self.router.ask(call).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>> {
        let mut records = Vec::new();
        for text in self.router.ask(Call::new("nodes", &self.node_keys())).await?.list()? {
            match serde_json::from_slice::<NodeRecord>(&text.bytes()?) {
                Ok(record) => records.push(record),
                // A later version may tell of itself in words that are not known here.
                Err(error) => tracing::warn!(%error, "a node's record is not understood, the node is left out"),
            }
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    async fn ask_to_drain(&self, name: &NodeName) -> Result<bool> {
        let call = Call::new("ask_to_drain", &self.node_keys()).arg(name.as_str());
        Ok(self.router.ask(call).await?.num()? == 1)
    }
}

/// What lies in Redis: fields and roles that a reader does not know are left out by it.
fn text_of(record: &NodeRecord) -> serde_json::Result<Vec<u8>> {
    if !Fault::Next.is_armed() {
        return serde_json::to_vec(record);
    }
    let mut later = serde_json::to_value(record)?;
    later["lanes"] = 4.into();
    if let Some(roles) = later["roles"].as_array_mut() {
        roles.push("archive".into());
    }
    serde_json::to_vec(&later)
}
