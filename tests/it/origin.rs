//! A site that a test serves from its own process: it outlives every crawler that the test kills.

use argiope_testkit::politeness::{Rules, Violation, check};
use argiope_testkit::{LogEntry, Site, SiteBuilder};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A running site with the threads that serve it.
pub(crate) struct Origin {
    site: Site,
    _runtime: Runtime,
}

impl Origin {
    pub(crate) fn start(builder: SiteBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the site");
        let site = runtime.block_on(builder.start()).expect("a site on loopback");
        Self { site, _runtime: runtime }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The front pages of all hosts.
    pub(crate) fn seeds(&self) -> Vec<String> {
        self.site.hosts().iter().map(|host| host.url("/")).collect()
    }

    /// What was asked for so far.
    pub(crate) fn log(&self) -> Vec<LogEntry> {
        self.site.log().entries()
    }

    /// Judges the log.
    pub(crate) fn violations(&self, delay: Duration, per_host: usize) -> Vec<Violation> {
        check(&self.log(), &Rules { delay, per_host, tolerance: TOLERANCE })
    }
}

/// How much earlier than promised a request may seem to start. The crawler grants starts by its wall clock in whole
/// milliseconds; the origin sees a request when its thread gets the processor, so a late sight of one request makes
/// the next one look early. With a crawler, an origin and other tests on two cores 15 ms are needed; a missing gate
/// shows as gaps of 0 to 5 ms.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(15);
