//! The metrics registry and its text file.

use super::to_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::path::{Path, PathBuf};

/// A registry whose names begin with `argiope_`, holding what is true of the process itself.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("argiope");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of this program; never moves", build);
    registry.register_collector(Box::new(super::collectors::Process));
    registry
}

/// A file that holds the metrics as Prometheus text, for a collector that reads files.
#[derive(Debug, Clone)]
pub(crate) struct MetricsFile(PathBuf);

impl MetricsFile {
    /// Written at this path.
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Replaces the file in one step, so that no reader sees half of it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(crate) fn write(&self, registry: &Registry) -> std::io::Result<()> {
        let text = to_text(registry).map_err(std::io::Error::other)?;
        let mut beside = self.0.clone().into_os_string();
        beside.push(".new");
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_prometheus_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("argiope.prom");
        MetricsFile::new(&path).write(&registry()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("argiope_build_info{version="), "{text}");
    }
}
