//! Numbers that are read when they are asked for: what the egress client counted, and the process's memory.

use argiope_egress::EgressCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// What the egress client counted.
#[derive(Debug)]
pub(crate) struct Egress(pub(crate) Arc<EgressCounters>);

impl Collector for Egress {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, count) in self.0.snapshot() {
            let counter = ConstCounter::new(count);
            let name = format!("egress_{name}");
            counter.encode(encoder.encode_descriptor(&name, help(&name), None, counter.metric_type())?)?;
        }
        let help = "URLs, look-ups and connections that the egress policy denied, by the rule that denied them";
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut denied = encoder.encode_descriptor("egress_denied", help, None, kind)?;
        for (rule, count) in self.0.denials() {
            ConstCounter::new(count).encode(denied.encode_family(&[("reason", rule.code())])?)?;
        }
        Ok(())
    }
}

fn help(name: &str) -> &'static str {
    match name {
        "egress_requests" => "Requests whose head was handed to a connection, robots.txt and remote embedders included",
        "egress_responses" => "Answers read to their end, or to the cap where that is no error",
        "egress_connections_opened" => "Connections made, TLS included",
        "egress_connections_reused" => "Requests on a connection that had served one before",
        "egress_dns_lookups" => "Names looked up in the DNS",
        "egress_dns_cache_hits" => "Names answered from the cache",
        "egress_wire_bytes" => "Body bytes as they came from the network",
        "egress_decoded_bytes" => "Body bytes after decoding, those of answers that failed included",
        "egress_windows_reopened" => {
            "Start windows that had passed before the head was written, so that a new start was asked for"
        }
        "egress_windows_missed" => "Start windows for which no new start was given",
        "egress_per_ip_busy" => "Times all connections to an address were in use",
        _ => "See EgressCounters",
    }
}

/// The process itself.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Where the system does not say, there is no sample rather than a wrong one.
        let Some(bytes) = resident_bytes() else { return Ok(()) };
        let gauge = ConstGauge::new(bytes);
        let help = "Resident memory, mapped files of the index included";
        gauge.encode(encoder.encode_descriptor("resident_memory_bytes", help, None, gauge.metric_type())?)
    }
}

/// The second number of `/proc/self/statm`, in pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let n_pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(n_pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    #[test]
    fn counters_and_denials_are_exported_with_their_help() {
        let mut registry = Registry::with_prefix("argiope");
        let config = argiope_egress::EgressConfig::default();
        let client = argiope_egress::GuardedClient::try_new(config).unwrap();
        assert!(client.check_url(&"http://127.0.0.1/".parse().unwrap()).is_err());
        registry.register_collector(Box::new(Egress(Arc::clone(client.counters()))));
        registry.register_collector(Box::new(Process));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "argiope_egress_denied_total{reason=\"loopback\"} 1",
            "argiope_egress_denied_total{reason=\"private\"} 0",
            "argiope_egress_requests_total 0",
            "# TYPE argiope_egress_denied counter",
            "# TYPE argiope_resident_memory_bytes gauge",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("See EgressCounters"), "{text}");
        assert_eq!(text.matches("# TYPE argiope_egress_denied ").count(), 1, "{text}");
    }
}
