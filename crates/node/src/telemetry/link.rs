//! Numbers of the link to other nodes, read when they are asked for.

use crate::cluster::link::{Counters, Link, PeerState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The one counter that is kept in another unit than it is exported in.
const WINDOW_WAIT: &str = "window_wait_micros";

/// What a node's link counted, and how its peers are. Nothing before the link is there, which comes after the registry.
#[derive(Clone, Default)]
pub(crate) struct LinkMetrics(Arc<OnceLock<Link>>);

impl LinkMetrics {
    /// The link is there.
    pub(crate) fn observe(&self, link: &Link) {
        self.0.get_or_init(|| link.clone());
    }
}

impl fmt::Debug for LinkMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkMetrics")
    }
}

impl Collector for LinkMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(link) = self.0.get() else { return Ok(()) };
        for (name, count) in link.counters().snapshot() {
            if name == WINDOW_WAIT {
                let counter = ConstCounter::new(Duration::from_micros(count).as_secs_f64());
                let help = "Time that callers waited for room in a peer's window of unanswered calls";
                let kind = counter.metric_type();
                counter.encode(encoder.encode_descriptor("link_window_wait_seconds", help, None, kind)?)?;
                continue;
            }
            let (counter, name, help) = (ConstCounter::new(count), format!("link_{name}"), Counters::help(name));
            counter.encode(encoder.encode_descriptor(&name, help, None, counter.metric_type())?)?;
        }
        let statuses = link.peers();
        let kind = ConstGauge::new(0_u64).metric_type();
        let help = "Other nodes that are listed or linked, by how the link to them is";
        let mut peers = encoder.encode_descriptor("link_peers", help, None, kind)?;
        for state in PeerState::ALL {
            let n_peers = statuses.iter().filter(|status| status.state == *state).count() as u64;
            ConstGauge::new(n_peers).encode(peers.encode_family(&[("state", state.code())])?)?;
        }
        let bytes: u64 = statuses.iter().map(|status| status.in_flight.1).sum();
        let help = "Bytes of calls to all peers that have no answer yet";
        ConstGauge::new(bytes).encode(encoder.encode_descriptor("link_unanswered_bytes", help, None, kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::link::tests::{options, start};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use std::collections::BTreeSet;

    const DOCUMENT: &str = include_str!("../../../../docs/METRICS.md");

    #[tokio::test]
    async fn everything_of_the_link_is_exported_and_documented() {
        let link = start(options("node-a")).await;
        let mut registry = Registry::with_prefix("argiope");
        let metrics = LinkMetrics::default();
        metrics.observe(&link);
        registry.register_collector(Box::new(metrics));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        link.stop().await;

        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let names: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `argiope_link_")?.split('`').next());
        let documented: BTreeSet<String> = rows.map(|name| format!("argiope_link_{name}")).collect();
        assert_eq!(names, documented.iter().map(String::as_str).collect());
        assert!(text.contains("argiope_link_peers{state=\"connected\"} 0"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("# HELP") && line.ends_with(" .")), "a counter has no help");
    }
}
