//! The registry as Prometheus text, version 0.0.4: what Prometheus, its node exporter and `promtool` all read.
//!
//! The library writes OpenMetrics, which names a counter's family without the `_total` of its samples. Readers of the
//! older format then find samples without type and help, so the lines about a family are given its samples' name.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Its media type.
pub(crate) const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
///
/// # Errors
/// When a metric cannot be written.
pub(crate) fn to_text(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut open_metrics = String::new();
    encode(&mut open_metrics, registry)?;
    let types: BTreeMap<&str, &str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let Some(about) = line.strip_prefix("# ") else {
            writeln!(text, "{line}")?;
            continue;
        };
        let mut words = about.splitn(3, ' ');
        let (Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            // `# EOF` and units: the older format has neither.
            continue;
        };
        let suffix = match types.get(name) {
            Some(&"counter") => "_total",
            Some(&"info") => "_info",
            _ => "",
        };
        let rest = if (what, rest) == ("TYPE", "info") { "gauge" } else { rest };
        writeln!(text, "# {what} {name}{suffix} {rest}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::info::Info;

    #[test]
    fn families_are_named_as_their_samples() {
        let mut registry = Registry::with_prefix("argiope");
        registry.register("build", "Version", Info::new(vec![("version", "1")]));
        registry.register("urls", "URLs", <Counter>::default());
        registry.register("domains", "Domains", <Gauge>::default());
        let expected = "\
# HELP argiope_build_info Version.
# TYPE argiope_build_info gauge
argiope_build_info{version=\"1\"} 1
# HELP argiope_urls_total URLs.
# TYPE argiope_urls_total counter
argiope_urls_total 0
# HELP argiope_domains Domains.
# TYPE argiope_domains gauge
argiope_domains 0
";
        assert_eq!(to_text(&registry).unwrap(), expected);
    }
}
