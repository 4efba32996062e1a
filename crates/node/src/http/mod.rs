//! The HTTP interface of a control node, and what every node tells a monitor.
//!
//! A request passes [`listener`] (connections, TLS, deadlines), [`shell`] (counted, timed, its key judged by
//! [`auth`]), and one of [`routes`], which reads it with [`fields`], asks the service or the cluster's view, and writes
//! the answer. [`problem`] gives every error one form. No decision about jobs, stores or the crawl is made here, so that
//! other surfaces can stand beside this one.

mod auth;
mod fields;
mod listener;
mod metrics;
mod patience;
mod problem;
mod routes;
mod shell;
mod sse;

pub(crate) use auth::Keys;
pub(crate) use listener::{Bound, Listener, tls_acceptor};
pub(crate) use metrics::HttpMetrics;
pub(crate) use problem::{Body as ProblemBody, Problem};
pub(crate) use routes::{control, monitor};
pub(crate) use sse::Reader as SseReader;

use crate::boot::Service;
use crate::cluster_view::ClusterView;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Streams of events at once, over all clients.
const MAX_STREAMS: usize = 64;

/// What routes answer with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    inner: Arc<Inner>,
}

/// Everything that an [`App`] is made of.
pub(crate) struct Inner {
    /// Jobs, pages, search.
    pub(crate) service: Service,
    /// Nodes, shards, hosts.
    pub(crate) view: Arc<dyn ClusterView>,
    /// Who may ask.
    pub(crate) keys: Keys,
    /// What `/metrics` shows.
    pub(crate) registry: Arc<Registry>,
    /// What the interface itself counts.
    pub(crate) metrics: HttpMetrics,
    /// `true` when the node stops: streams end.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    /// Of its parts.
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    fn service(&self) -> &Service {
        &self.inner.service
    }

    fn view(&self) -> &dyn ClusterView {
        self.inner.view.as_ref()
    }
}

/// Places for streams of events, of the whole process.
static STREAMS: Semaphore = Semaphore::const_new(MAX_STREAMS);
