//! The client against real listeners on loopback. Nothing but 127.0.0.0/8 and ::1 is ever opened in these tests.

mod bodies;
mod forbidden;
mod gate;
mod heads;
mod names;
mod post;
mod server;
mod slow;
mod tls;
mod window;

use crate::{Accept, AlwaysOpen, EgressConfig, FetchError, FetchRequest, FetchResponse, GuardedClient, StartWindow};
use argiope_protocol::{CanonicalUrl, Validators};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// Loopback open, two names on it, and deadlines that a loaded machine keeps.
fn config() -> EgressConfig {
    let loopback = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    EgressConfig {
        user_agent: "TestBot/1.0 (+mailto:test@example.org)".to_owned(),
        allow_cidrs: vec!["127.0.0.0/8".parse().expect("a CIDR")],
        static_hosts: ["a.test", "b.test", "tls.test"].map(|name| (name.to_owned(), loopback.clone())).into(),
        connect_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(10),
        ..EgressConfig::default()
    }
}

fn client() -> GuardedClient {
    GuardedClient::try_new(config()).expect("the settings are valid")
}

fn request(url: &str) -> FetchRequest {
    request_in(url, Arc::new(AlwaysOpen))
}

fn request_in(url: &str, window: Arc<dyn StartWindow>) -> FetchRequest {
    FetchRequest {
        url: CanonicalUrl::parse(url).expect("a URL"),
        validators: Validators::default(),
        accept: Accept::Html,
        max_body_bytes: 4 * MIB,
        window,
    }
}

async fn get(client: &GuardedClient, url: &str) -> Result<FetchResponse, FetchError> {
    client.fetch(request(url)).await
}
