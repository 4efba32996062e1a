//! The list of nodes.

use super::OnServer;
use super::server::{self, Server};
use crate::runtime;
use argiope_protocol::{NodeName, NodeRecord, NodeState, Role, Timestamp};
use argiope_store::Membership;
use argiope_store::membership::Announced;
use std::time::Duration;

const LISTED: Announced = Announced::Listed { is_drain_asked: false };

fn record(name: &str, boot: u128) -> NodeRecord {
    NodeRecord {
        name: NodeName::try_new(name).unwrap(),
        boot: uuid::Uuid::from_u128(boot),
        link: "127.0.0.1:1".to_owned(),
        http: String::new(),
        roles: Role::ALL.to_vec(),
        version: "0.1.0".to_owned(),
        wire: (1, 1),
        capacity: 8,
        in_flight: 0,
        fingerprint: String::new(),
        state: NodeState::Live,
        started_at: Timestamp::ZERO,
    }
}

#[test]
fn nodes_are_listed_until_they_fall_silent_and_names_are_not_shared() {
    if !server::is_there("nodes_are_listed_until_they_fall_silent_and_names_are_not_shared") {
        return;
    }
    let server = Server::start(&[]);
    runtime().block_on(async {
        let store = OnServer::new(&server.url()).open_now(Timestamp::ZERO).await;
        let (a, again, b) = (record("a", 1), record("a", 2), record("b", 3));
        let long = Duration::from_secs(60);
        assert_eq!(store.announce("one", &b, Duration::from_millis(100)).await.unwrap(), LISTED);
        assert_eq!(store.announce("one", &a, long).await.unwrap(), LISTED);
        assert_eq!(store.announce("one", &a, long).await.unwrap(), LISTED);
        assert_eq!(store.announce("one", &again, long).await.unwrap(), Announced::NameTaken);
        let other = Announced::OtherCluster { id: "one".to_owned() };
        assert_eq!(store.announce("two", &a, long).await.unwrap(), other);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(store.nodes().await.unwrap(), std::slice::from_ref(&a), "b fell silent");
        assert!(!store.ask_to_drain(&b.name).await.unwrap());
        assert!(store.ask_to_drain(&a.name).await.unwrap());
        let asked = Announced::Listed { is_drain_asked: true };
        assert_eq!(store.announce("one", &a, long).await.unwrap(), asked);
        store.withdraw(&again).await.unwrap();
        assert_eq!(store.nodes().await.unwrap().len(), 1, "another run changes nothing");
        store.withdraw(&a).await.unwrap();
        assert_eq!(store.nodes().await.unwrap(), []);
        assert_eq!(store.announce("one", &again, long).await.unwrap(), LISTED, "the new run is not asked to drain");
    });
}
