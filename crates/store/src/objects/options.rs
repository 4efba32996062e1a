//! What an operator or a test may choose about pages on shared storage.

use crate::embedded::data_dir::DiskReserve;
use argiope_protocol::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tells the time of day: which day a body belongs to hangs on it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where the pages are, and how the storage is treated.
#[derive(Clone)]
pub struct ObjectOptions {
    /// Where they are.
    pub location: Location,
    /// The time. Nodes may differ by less than a day.
    pub clock: Clock,
    /// Longest wait for one answer.
    pub call_timeout: Duration,
    /// Longest wait for a page or a question, with all of its calls and pauses.
    pub operation_timeout: Duration,
    /// Requests at once; in a directory, threads. More wait.
    pub max_requests: usize,
    /// Pages that are written at once: bounds what is in memory for it. More wait.
    pub max_writes: usize,
    /// What stays free on the disk of a directory.
    pub reserve: DiskReserve,
}

/// The kind of storage.
#[derive(Debug, Clone)]
pub enum Location {
    /// A directory that every node sees under some path. It is made when only its last part is missing.
    Directory(PathBuf),
    /// A bucket of an S3-compatible server.
    Bucket(BucketOptions),
}

/// A bucket.
#[derive(Clone)]
pub struct BucketOptions {
    /// Its name. It must exist.
    pub bucket: String,
    /// How the names of all objects begin; may be empty.
    pub prefix: String,
    /// Address of the server; `None`: Amazon's of the region.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: String,
    /// Access key id and secret access key; `None`: those of the machine's role.
    pub keys: Option<(String, String)>,
}

impl ObjectOptions {
    /// The defaults for a place.
    #[must_use]
    pub fn new(location: Location, clock: Clock) -> Self {
        Self {
            location,
            clock,
            call_timeout: Duration::from_secs(20),
            operation_timeout: Duration::from_secs(60),
            max_requests: 32,
            max_writes: 16,
            reserve: DiskReserve::default(),
        }
    }
}

impl std::fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectOptions").field("location", &self.location).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("BucketOptions");
        out.field("bucket", &self.bucket).field("prefix", &self.prefix).field("endpoint", &self.endpoint);
        out.field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_printed() {
        let keys = Some(("id-of-key".to_owned(), "s3cret".to_owned()));
        let bucket =
            BucketOptions { bucket: "b".into(), prefix: String::new(), endpoint: None, region: "r".into(), keys };
        let options = ObjectOptions::new(Location::Bucket(bucket), Arc::new(|| Timestamp::ZERO));
        let text = format!("{options:?}");
        assert!(text.contains("\"b\"") && !text.contains("s3cret") && !text.contains("id-of-key"), "{text}");
    }
}
