//! What the interface counts of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Which routes, and how the answer's status begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    route: &'static str,
    status: &'static str,
}

/// Which routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// Counters of requests. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabel, Counter>,
    busy: Family<RouteLabel, Counter<f64, AtomicU64>>,
    streams: Gauge,
}

impl HttpMetrics {
    /// Counters known to a registry, whose owner gives it the prefix `argiope`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "http_requests",
            "Requests to the HTTP interface that were answered, by group of routes and class of status",
            metrics.requests.clone(),
        );
        registry.register(
            "http_busy_seconds",
            "Time from a request's head to the head of its answer, summed; what streams take after that is left out",
            metrics.busy.clone(),
        );
        registry.register("http_streams", "Streams of events that are open now", metrics.streams.clone());
        metrics
    }

    /// A request was answered.
    pub(super) fn answered(&self, route: &'static str, status: u16, time: Duration) {
        let status = match status {
            ..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabel { route, status }).inc();
        self.busy.get_or_create(&RouteLabel { route }).inc_by(time.as_secs_f64());
    }

    /// A stream begins; it ends when the answer is dropped.
    pub(super) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream(self.streams.clone())
    }
}

/// Counted while it lives.
pub(super) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The group that a path belongs to: few, whatever is asked for.
pub(super) fn route_of(path: &str) -> &'static str {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("healthz" | "readyz" | "metrics"), None, None) => "monitor",
        (Some("api"), Some("v1"), Some("jobs")) => {
            if path.ends_with("/events") {
                "events"
            } else {
                "jobs"
            }
        }
        (Some("api"), Some("v1"), Some("pages")) => "pages",
        (Some("api"), Some("v1"), Some("search")) => "search",
        (Some("api"), Some("v1"), Some("nodes" | "shards" | "hosts" | "explain" | "status")) => "cluster",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fall_into_few_groups() {
        let check = |path: &str, expected: &str| assert_eq!(route_of(path), expected, "{path}");
        check("/metrics", "monitor");
        check("/api/v1/jobs", "jobs");
        check("/api/v1/jobs/x/urls", "jobs");
        check("/api/v1/jobs/x/events", "events");
        check("/api/v1/shards", "cluster");
        check("/api/v2/shards", "other");
        check("", "other");
        check("/metrics/x", "other");
    }
}
