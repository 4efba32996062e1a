//! A node that runs until it is stopped: stores, engine, the HTTP interface, what monitors ask.
//!
//! [`Node::start`] is the only place where these are put together. A cluster's node differs in its stores
//! ([`Stores::open`]), in what its engine owns ([`Running::start_counting`]), in that it joins the others ([`Member`]), and
//! in its view; the rest is the same.

use super::{Running, Stores, now};
use crate::cluster::Member;
use crate::cluster_view::{ClusterView, SingleNode};
use crate::config::Config;
use crate::errors::Result;
use crate::http::{self, App, Bound, HttpMetrics, Keys, Listener};
use crate::telemetry::{self, LinkMetrics};
use argiope_protocol::cluster::wire_versions;
use argiope_protocol::{NodeRecord, NodeState, Role};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What streams and requests under way may still take when the engine has drained.
const GRACE: Duration = Duration::from_secs(3);

/// A running node.
pub(crate) struct Node {
    running: Running,
    member: Option<Member>,
    control: Option<Listener>,
    monitor: Option<Listener>,
    drain: watch::Receiver<bool>,
    /// Kept, so that waiting for it does not end when nobody else may ask.
    _drain: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
}

/// What ended the wait of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An operator drains it.
    Drain,
    /// A stage failed again and again.
    GaveUp(&'static str),
}

impl Node {
    /// Takes the ports, opens the stores, starts the engine, then answers: what answers can work. Jobs that were running
    /// go on.
    ///
    /// # Errors
    /// When a store, the embedder, a key, a certificate or an address cannot be used.
    pub(crate) async fn start(config: &Config) -> Result<Self> {
        let keys = Keys::read(&config.http.keys)?;
        let tls = match &config.http.tls {
            Some((certificate, key)) => Some(http::tls_acceptor(certificate, key)?),
            None => None,
        };
        // Before the stores: a port that is taken is told at once, and the node's record can name its addresses.
        let is_control = config.roles.contains(&Role::Control);
        let control = bound("http.listen", config.http.listen.as_ref().filter(|_| is_control)).await?;
        let monitor = bound("http.metrics_listen", config.http.metrics_listen.as_ref()).await?;
        let stores = Stores::open(config).await?;
        let mut registry = telemetry::registry();
        let metrics = HttpMetrics::register(&mut registry);
        let link_metrics = LinkMetrics::default();
        if stores.shared.is_some() {
            registry.register_collector(Box::new(link_metrics.clone()));
        }
        let running = Running::start_counting(config, stores, registry, true).await?;
        let record = record(config, control.as_ref());
        let member = match running.stores.shared.clone() {
            Some(shared) => Some(Member::join(config, record.clone(), shared, running.engine()).await?),
            None => None,
        };
        if let Some(member) = &member {
            link_metrics.observe(member.link());
        }
        let (drain, wished) = watch::channel(false);
        let service = running.service.clone();
        let view: Arc<dyn ClusterView> = match &member {
            Some(member) => Arc::new(member.view(service)),
            None => Arc::new(SingleNode::new(record, service, drain.clone())),
        };
        let (stopping, is_stopping) = watch::channel(false);
        let app = App::new(http::Inner {
            service: running.service.clone(),
            view,
            keys,
            registry: Arc::clone(&running.registry),
            metrics,
            stopping: is_stopping,
        });
        let control = control.map(|bound| bound.serve(tls, http::control(app.clone())));
        let monitor = monitor.map(|bound| bound.serve(None, http::monitor(app)));
        Ok(Self { running, member, control, monitor, drain: wished, _drain: drain, stopping })
    }

    /// Where the HTTP interface listens.
    pub(crate) fn control_address(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Listener::address)
    }

    /// Where the link to other nodes listens.
    pub(crate) fn link_address(&self) -> Option<SocketAddr> {
        self.member.as_ref().map(Member::link_address)
    }

    /// Where monitors are answered.
    pub(crate) fn monitor_address(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().map(Listener::address)
    }

    /// Waits until the node should end for a reason of its own.
    pub(crate) fn wish(&self) -> impl Future<Output = Wish> + Send + 'static {
        let (mut drain, given_up) = (self.drain.clone(), self.running.given_up());
        let asked = self.member.as_ref().map(Member::drain_asked);
        let asked = async move {
            match asked {
                Some(asked) => asked.await,
                None => std::future::pending().await,
            }
        };
        async move {
            tokio::select! {
                Ok(_) = drain.wait_for(|is_wished| *is_wished) => Wish::Drain,
                () = asked => Wish::Drain,
                stage = given_up => Wish::GaveUp(stage),
            }
        }
    }

    /// Tells followers and monitors, lets work in flight end, and closes. Monitors are answered until the last, so that
    /// they see the node drain. Answers how many pages were still out.
    pub(crate) async fn stop(self, deadline: Duration) -> u64 {
        let until = Instant::now() + deadline;
        // Nobody listens when nobody follows.
        let _ = self.stopping.send(true);
        // Shards first: others go on with them while what is under way here ends.
        if let Some(member) = &self.member {
            member.hand_over(deadline).await;
        }
        let n_left = self.running.drain(until.saturating_duration_since(Instant::now())).await;
        if let Some(member) = self.member {
            member.leave().await;
        }
        let rest = until.saturating_duration_since(Instant::now()).min(GRACE);
        if let Some(control) = self.control {
            control.stop(rest).await;
        }
        if let Some(monitor) = self.monitor {
            monitor.stop(rest).await;
        }
        n_left
    }
}

async fn bound(key: &str, address: Option<&String>) -> Result<Option<Bound>> {
    match address {
        Some(address) => Bound::at(key, address).await.map(Some),
        None => Ok(None),
    }
}

/// The node as it tells of itself.
fn record(config: &Config, control: Option<&Bound>) -> NodeRecord {
    NodeRecord {
        name: config.name.clone(),
        boot: uuid::Uuid::new_v4(),
        link: String::new(),
        http: control.map(|bound| bound.address().to_string()).unwrap_or_default(),
        roles: config.roles.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        wire: wire_versions(),
        capacity: u32::from(config.crawl.concurrency),
        in_flight: 0,
        fingerprint: String::new(),
        state: NodeState::Live,
        started_at: now(),
    }
}
