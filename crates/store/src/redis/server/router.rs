//! Which server a call goes to: the one there is, or on a cluster the master of its slot.

use super::call::{Call, What};
use super::fault;
use super::link::{Failure, Link, info_field};
use super::reply::Reply;
use crate::error::ServerFault;
use crate::{Error, Result};
use redis::{ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, watch};
use tokio::time::timeout;

/// Hash slots of a cluster (Redis Cluster specification, "Key distribution model").
const N_SLOTS: u16 = 16_384;
/// Redirections that one call follows.
const MAX_REDIRECTS: u8 = 5;
/// Wait before a slot that is being moved is asked again.
const TRY_AGAIN_WAIT: Duration = Duration::from_millis(20);

/// How servers are reached.
#[derive(Debug, Clone)]
pub(in crate::redis) struct Options {
    /// Credentials and database are those of the first address, also for other servers of a cluster.
    pub(super) seeds: Vec<ConnectionInfo>,
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
}

impl Options {
    pub(in crate::redis) fn try_new(urls: &[String], connect: Duration, call: Duration) -> Result<Self> {
        let read = |url: &String| {
            url.as_str().into_connection_info().map_err(|error| fault::error("read address of Redis", &error))
        };
        let seeds = urls.iter().map(read).collect::<Result<Vec<_>>>()?;
        if seeds.is_empty() {
            return Err(Error::engine("read address of Redis", "no address is configured"));
        }
        Ok(Self { seeds, connect_timeout: connect, call_timeout: call })
    }

    /// How the server at `host:port` is reached.
    pub(super) fn connection_info(&self, address: &str) -> Result<ConnectionInfo> {
        let bad = || Error::engine("read address of Redis", format!("{address:?} is not host:port"));
        let first = self.seeds.first().ok_or_else(bad)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().map_err(|_| bad())?;
        let addr = match first.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            ConnectionAddr::Unix(path) => ConnectionAddr::Unix(path),
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Ok(first.clone().set_addr(addr))
    }
}

/// The servers as they are known now.
#[derive(Default)]
struct Map {
    links: BTreeMap<String, Arc<Link>>,
    /// Ends of slot ranges and their masters; empty where there is one server.
    slots: BTreeMap<u16, String>,
    first: Option<Arc<Link>>,
}

/// Sends calls to servers.
pub(in crate::redis) struct Router {
    options: Options,
    map: RwLock<Map>,
    changes: watch::Sender<u64>,
}

impl Router {
    /// Finds the servers.
    pub(in crate::redis) async fn connect(options: Options) -> Result<Self> {
        let router = Self { options, map: RwLock::default(), changes: watch::channel(0).0 };
        let wait = router.options.call_timeout + router.options.connect_timeout;
        let refreshed = timeout(wait, router.refresh()).await;
        refreshed.unwrap_or_else(|_| Err(fault::timeout("connect to Redis", wait)))?;
        Ok(router)
    }

    /// How often a server was met that restarted, failed over, or took over slots.
    pub(in crate::redis) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks the server that holds the call's key.
    pub(in crate::redis) async fn ask(&self, call: Call) -> Result<Reply> {
        let wait = self.options.call_timeout;
        let answer = timeout(wait + Duration::from_millis(50), self.follow(&call)).await;
        let value = answer.unwrap_or_else(|_| Err(fault::timeout("wait for Redis", wait)))?;
        Ok(Reply::new(call.name(), value))
    }

    async fn follow(&self, call: &Call) -> Result<Value> {
        let mut link = self.link_of(call).await?;
        let mut is_asking = false;
        let mut n_left = MAX_REDIRECTS;
        loop {
            let failure = match link.ask(call, is_asking, self.options.call_timeout).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let error = match failure {
                Failure::Other(error) => error,
                Failure::Server(error) if n_left > 0 => {
                    n_left -= 1;
                    is_asking = false;
                    match (error.code(), error.redirect_node()) {
                        (Some("MOVED"), Some((address, _))) => {
                            let address = address.to_owned();
                            self.refresh().await?;
                            link = self.link_to(&address).await?;
                            continue;
                        }
                        (Some("ASK"), Some((address, _))) => {
                            is_asking = true;
                            link = self.link_to(address).await?;
                            continue;
                        }
                        (Some("TRYAGAIN"), _) => {
                            tokio::time::sleep(TRY_AGAIN_WAIT).await;
                            continue;
                        }
                        _ => server_error(call, &error),
                    }
                }
                Failure::Server(error) => server_error(call, &error),
            };
            let is_lost = matches!(error, Error::Server { fault: ServerFault::Unreachable, .. });
            if !(is_lost && n_left > 0) {
                return Err(error);
            }
            // The master may be another one by now.
            n_left = if call.is_read { n_left.min(2) - 1 } else { 0 };
            if self.is_cluster().await {
                self.refresh().await?;
            }
            if !call.is_read {
                return Err(error);
            }
            link = self.link_of(call).await?;
        }
    }

    async fn is_cluster(&self) -> bool {
        !self.map.read().await.slots.is_empty()
    }

    async fn link_of(&self, call: &Call) -> Result<Arc<Link>> {
        let map = self.map.read().await;
        if map.slots.is_empty() {
            return map.first.clone().ok_or(Error::Closed);
        }
        let slot = slot_of(call.base.as_bytes());
        let address = map.slots.range(slot..).next().map(|(_, address)| address);
        let link = address.and_then(|address| map.links.get(address)).cloned();
        link.ok_or_else(|| Error::Server {
            context: "find the server of a slot",
            fault: ServerFault::Unavailable,
            message: format!("slot {slot} has no master"),
        })
    }

    async fn link_to(&self, address: &str) -> Result<Arc<Link>> {
        let mut map = self.map.write().await;
        if let Some(link) = map.links.get(address) {
            return Ok(link.clone());
        }
        let link = Arc::new(Link::new(address.to_owned(), &self.options, self.changes.clone())?);
        map.links.insert(address.to_owned(), link.clone());
        Ok(link)
    }

    /// All masters.
    pub(super) async fn links(&self) -> Vec<Arc<Link>> {
        let map = self.map.read().await;
        let mut masters: Vec<&String> = map.slots.values().collect();
        masters.sort_unstable();
        masters.dedup();
        let links = masters.into_iter().filter_map(|address| map.links.get(address)).cloned();
        let links: Vec<_> = links.collect();
        if links.is_empty() { map.first.iter().cloned().collect() } else { links }
    }

    /// Deadline of one call.
    pub(super) const fn call_timeout(&self) -> Duration {
        self.options.call_timeout
    }

    /// Reads the map of the cluster from the first server that answers.
    async fn refresh(&self) -> Result<()> {
        let mut failed = Error::Closed;
        for address in self.known_addresses().await {
            let link = self.link_to(&address).await?;
            match self.read_map(&link).await {
                Ok(slots) => return self.replace(link, slots).await,
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn known_addresses(&self) -> Vec<String> {
        let map = self.map.read().await;
        let mut known: Vec<String> = map.slots.values().cloned().collect();
        known.dedup();
        for seed in &self.options.seeds {
            let address = match seed.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
                _ => "unix:0".to_owned(),
            };
            if !known.contains(&address) {
                known.push(address);
            }
        }
        known
    }

    async fn read_map(&self, link: &Link) -> Result<BTreeMap<u16, String>> {
        let wait = self.options.call_timeout;
        let info = link.command(redis::cmd("INFO").arg("cluster"), wait).await?;
        let info = String::from_redis_value(info).unwrap_or_default();
        if info_field(&info, "cluster_enabled") != Some("1") {
            return Ok(BTreeMap::new());
        }
        let answer = link.command(redis::cmd("CLUSTER").arg("SLOTS"), wait).await?;
        let mut slots = BTreeMap::new();
        for range in Reply::new("cluster slots", answer).list()? {
            let (range, address) = read_range(range, &link.address)?;
            slots.insert(*range.end(), address);
        }
        if slots.is_empty() {
            let message = "the cluster has no slots: create it with `redis-cli --cluster create`".to_owned();
            return Err(Error::Server { context: "read slots of Redis", fault: ServerFault::Unavailable, message });
        }
        Ok(slots)
    }

    async fn replace(&self, first: Arc<Link>, slots: BTreeMap<u16, String>) -> Result<()> {
        for address in slots.values() {
            self.link_to(address).await?;
        }
        let mut map = self.map.write().await;
        let is_moved = !map.slots.is_empty() && map.slots != slots;
        map.links.retain(|address, _| slots.is_empty() || slots.values().any(|one| one == address));
        map.slots = slots;
        map.first = Some(first);
        drop(map);
        if is_moved {
            tracing::warn!("redis cluster moved slots, claims of their shards are void");
            self.changes.send_modify(|n_changes| *n_changes += 1);
        }
        Ok(())
    }
}

fn server_error(call: &Call, error: &redis::RedisError) -> Error {
    let context = match call.what {
        What::Function(name) | What::Command(name) => name,
    };
    if error.code() == Some("FENCED") {
        return Error::Fenced(shard_of(&call.base));
    }
    fault::error(context, error)
}

/// The shard of a base key `…{s042}:`.
fn shard_of(base: &str) -> argiope_protocol::ShardId {
    let number = base.split_once("{s").and_then(|(_, rest)| rest.get(..3)).and_then(|digits| digits.parse().ok());
    argiope_protocol::ShardId::new(number.unwrap_or_default())
}

/// A range of slots and the address of its master. An empty host means the one that was asked.
fn read_range(range: Reply, asked: &str) -> Result<(RangeInclusive<u16>, String)> {
    let mut parts = range.list()?.into_iter();
    let odd = || Error::Corrupt { what: "slots of Redis".to_owned(), detail: "a range is short".to_owned() };
    let number = |part: Option<Reply>| -> Result<u16> {
        part.ok_or_else(odd)?.num().map(|number| u16::try_from(number).unwrap_or(u16::MAX).min(N_SLOTS - 1))
    };
    let (from, to) = (number(parts.next())?, number(parts.next())?);
    let mut master = parts.next().ok_or_else(odd)?.list()?.into_iter();
    let host = master.next().ok_or_else(odd)?;
    let host = if host.is_nil() { String::new() } else { host.text()? };
    let port = master.next().ok_or_else(odd)?.num()?;
    let host = if host.is_empty() { asked.rsplit_once(':').map_or(asked, |(host, _)| host) } else { &host };
    Ok((from..=to, format!("{host}:{port}")))
}

/// The slot of a key: CRC16 of what stands in the first braces, else of all of it.
fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % N_SLOTS
}

/// CRC16/XMODEM, as the Redis Cluster specification asks for.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of CRC16/XMODEM; the tag alone decides.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, same) in [("a:{s042}:x", "{s042}"), ("{s042}:y", "s042"), ("{}a", "{}a")] {
            assert_eq!(slot_of(key.as_bytes()), slot_of(same.as_bytes()), "{key}");
        }
    }

    #[test]
    fn a_base_key_names_its_shard() {
        assert_eq!(shard_of("ag:{s042}:").number(), 42);
    }
}
