//! What everyone has used so far: counters that only grow, so that two looks tell what happened between them.

use crate::nodes::Cluster;
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Kernel clock ticks a second in `/proc`: 100 on every Linux architecture of today (`USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(10);

/// One look.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// Pages that were stored.
    pub(crate) stored: f64,
    /// URLs that ended, stored or not.
    pub(crate) ended: f64,
    /// CPU seconds of the nodes, of Redis, of Qdrant, of the origin.
    pub(crate) nodes: f64,
    pub(crate) redis: f64,
    pub(crate) qdrant: f64,
    pub(crate) origin: f64,
    /// CPU seconds that the machine's processors were busy, whoever used them, and that they had.
    pub(crate) busy: f64,
    pub(crate) had: f64,
    /// Calls of one node that another one handled.
    pub(crate) calls: f64,
    /// Bytes that the nodes wrote to their links.
    pub(crate) link_bytes: f64,
    /// Commands that Redis ran, those inside of functions left out.
    pub(crate) commands: f64,
}

impl Sample {
    pub(crate) fn take(cluster: &Cluster, origin: u32) -> anyhow::Result<Self> {
        let sum = |name: &str| cluster.nodes.iter().map(|node| get(&node.metrics, name)).sum::<anyhow::Result<f64>>();
        let pids = cluster.nodes.iter().map(|node| node.process.pid());
        let info = exchange(cluster.redis.url().trim_start_matches("redis://"), "INFO all\r\nQUIT\r\n")?;
        let redis = |name: &str| field(&info, name).with_context(|| format!("{name} of Redis"));
        let (busy, had) = machine()?;
        Ok(Self {
            at: Instant::now(),
            stored: sum("argiope_urls_total{fate=\"stored\"")?,
            ended: sum("argiope_urls_total")?,
            nodes: pids.map(cpu_secs).sum::<anyhow::Result<f64>>()?,
            redis: redis("used_cpu_user:")? + redis("used_cpu_sys:")?,
            qdrant: cpu_secs(cluster.qdrant.pid())?,
            origin: cpu_secs(origin)?,
            busy,
            had,
            calls: sum("argiope_link_calls_handled_total")?,
            link_bytes: sum("argiope_link_sent_bytes_total")?,
            commands: redis("total_commands_processed:")?,
        })
    }
}

/// The sum of a node's metrics whose lines begin so.
pub(crate) fn get(base: &str, name: &str) -> anyhow::Result<f64> {
    let address = base.trim_start_matches("http://");
    let text = exchange(address, &format!("GET /metrics HTTP/1.0\r\nhost: {address}\r\n\r\n"))?;
    let values = text
        .lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Ok(values.sum())
}

/// Sends a request and reads until the other side closes.
#[expect(clippy::disallowed_methods, reason = "a bench asks what it has started, on loopback")]
fn exchange(address: &str, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn field(info: &str, name: &str) -> Option<f64> {
    info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// User and system time of a process (proc(5), fields 14 and 15; the name before them may hold spaces).
fn cpu_secs(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11);
    match (
        fields.next().and_then(|text| text.parse::<f64>().ok()),
        fields.next().and_then(|text| text.parse::<f64>().ok()),
    ) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SEC),
        _ => bail!("times of process {pid}"),
    }
}

/// Seconds that all processors were busy, and that they had (proc(5), `/proc/stat`).
fn machine() -> anyhow::Result<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|text| text.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    // Idle, and idle while something is read.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok(((all - idle) / TICKS_PER_SEC, all / TICKS_PER_SEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_found() {
        assert_eq!(field("# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\n", "used_cpu_user:"), Some(2.25));
        assert_eq!(field("", "used_cpu_user:"), None);
    }
}
