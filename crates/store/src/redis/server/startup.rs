//! What a server must be set to, checked once when the store is opened.

use super::link::Link;
use super::router::Router;
use crate::redis::Durability;
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use redis::{FromRedisValue, Value};
use std::collections::HashMap;
use std::time::Duration;

/// Clocks that differ by more than this let one node take a claim that another still holds: a quarter of a usual
/// claim's life.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(2);
const CONFIGURED: &str = "append* maxmemory* save";

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartReport {
    /// What is set in a way that can lose or refuse work, each with the next step.
    pub warnings: Vec<String>,
    /// Servers that hold slots.
    pub n_servers: usize,
}

impl Router {
    /// Looks at the settings of every server.
    ///
    /// # Errors
    /// `NotDurable` when `durability` is strict and a server does not sync each write.
    pub(in crate::redis) async fn check(&self, durability: Durability, now: Timestamp) -> Result<StartReport> {
        let links = self.links().await;
        let mut report = StartReport { n_servers: links.len(), ..StartReport::default() };
        for link in links {
            let found = check_server(&link, durability, now, self.call_timeout()).await?;
            report.warnings.extend(found.into_iter().map(|warning| format!("Redis {}: {warning}", link.address)));
        }
        Ok(report)
    }
}

async fn check_server(link: &Link, durability: Durability, now: Timestamp, wait: Duration) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(CONFIGURED.split(' ').collect::<Vec<_>>());
    match link.command(&command, wait).await {
        Ok(value) => judge(&settings(value), durability, &link.address, &mut warnings)?,
        Err(error) if durability == Durability::Strict => return Err(error),
        Err(error) => warnings.push(format!(
            "its settings cannot be read ({error}); make sure of `appendonly yes` and `maxmemory-policy noeviction`"
        )),
    }
    let time = link.command(&redis::cmd("TIME"), wait).await?;
    let time = <(u64, u64)>::from_redis_value(time).unwrap_or_default();
    let server = Timestamp::from_millis(time.0 * 1_000 + time.1 / 1_000);
    let skew = server.since(now).max(now.since(server));
    if skew > MAX_CLOCK_SKEW {
        warnings.push(format!(
            "its clock and this node's differ by {} ms; claims need clocks within {} ms: run NTP on both",
            skew.as_millis(),
            MAX_CLOCK_SKEW.as_millis()
        ));
    }
    Ok(warnings)
}

fn settings(value: Value) -> HashMap<String, String> {
    HashMap::from_redis_value(value).unwrap_or_default()
}

fn judge(
    settings: &HashMap<String, String>,
    durability: Durability,
    address: &str,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let get = |name: &str| settings.get(name).map(String::as_str);
    let syncs = (get("appendonly"), get("appendfsync"));
    if durability == Durability::Strict && syncs != (Some("yes"), Some("always")) {
        return Err(Error::NotDurable {
            detail: format!(
                "durability = \"strict\" needs `appendonly yes` and `appendfsync always`, Redis {address} has {} and {}",
                syncs.0.unwrap_or("nothing"),
                syncs.1.unwrap_or("nothing")
            ),
        });
    }
    match syncs {
        (Some("yes"), Some("always" | "everysec")) => {}
        (Some("yes"), _) => warnings.push(
            "appendfsync is `no`: a power cut loses minutes; set it with `CONFIG SET appendfsync everysec` and in \
             redis.conf"
                .to_owned(),
        ),
        _ => warnings.push(
            "appendonly is off: a restart loses the frontier; set it with `CONFIG SET appendonly yes` and in redis.conf"
                .to_owned(),
        ),
    }
    if get("maxmemory-policy").is_some_and(|policy| policy != "noeviction") {
        warnings.push(format!(
            "maxmemory-policy is `{}`: Redis may throw parts of the frontier away; set it with `CONFIG SET \
             maxmemory-policy noeviction` and in redis.conf",
            get("maxmemory-policy").unwrap_or_default()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)], durability: Durability) -> Result<usize> {
        let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut warnings = Vec::new();
        judge(&settings, durability, "a", &mut warnings).map(|()| warnings.len())
    }

    #[test]
    fn each_risky_setting_is_named() {
        let good = [("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")];
        let bad = [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")];
        let strict = [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];
        assert_eq!(check(&good, Durability::Normal).unwrap(), 0);
        assert_eq!(check(&bad, Durability::Normal).unwrap(), 2);
        assert_eq!(check(&strict, Durability::Strict).unwrap(), 0);
        assert!(matches!(check(&good, Durability::Strict), Err(Error::NotDurable { .. })));
    }
}
