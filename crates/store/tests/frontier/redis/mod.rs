//! The frontier in Redis: conformance, model, several shards, and what can happen to servers.

mod addresses;
mod faults;
mod measure;
mod nodes;
mod server;
mod shards;

use crate::{cases, operation, runtime};
use argiope_protocol::Timestamp;
use argiope_store::FrontierStore;
use argiope_store::conformance::frontier::model;
use argiope_store::conformance::frontier::{FrontierFactory, fence, rules};
use argiope_store::redis::{OpenOptions, RedisFrontier};
use async_trait::async_trait;
use proptest::prelude::*;
use server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A store of its own on a server: a prefix that nobody else has.
struct OnServer {
    options: OpenOptions,
}

impl OnServer {
    fn new(url: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { options: OpenOptions { prefix, ..OpenOptions::new(vec![url.to_owned()]) } }
    }

    async fn open_now(&self, now: Timestamp) -> RedisFrontier {
        RedisFrontier::open(&self.options, now).await.unwrap()
    }
}

#[async_trait]
impl FrontierFactory for OnServer {
    async fn open(&self, now: Timestamp) -> Arc<dyn FrontierStore> {
        Arc::new(self.open_now(now).await)
    }

    fn dies_with_its_process(&self) -> bool {
        false
    }
}

macro_rules! conforms {
    ($($rule:ident),+ $(,)?) => {$(
        #[test]
        fn $rule() {
            if server::is_there(stringify!($rule)) {
                let server = Server::start(&[]);
                runtime().block_on(rules::$rule(&OnServer::new(&server.url())));
            }
        }
    )+};
}

conforms!(
    a_claim_is_seen_by_everyone,
    running_jobs_are_listed_with_their_versions,
    a_prolonged_lease_keeps_its_url,
    a_lost_lease_costs_no_attempt,
    an_old_epoch_is_fenced,
    a_gate_holds_back_the_next_lease,
    without_a_delay_the_window_spaces_nothing,
    tenants_and_then_jobs_take_turns,
    the_page_limit_holds_and_rejects_are_counted,
    what_waits_is_told_without_a_claim,
    a_recrawl_knows_the_pages_and_robots,
);

#[test]
fn a_replaced_owner_can_do_nothing() {
    if server::is_there("a_replaced_owner_can_do_nothing") {
        let server = Server::start(&[]);
        runtime().block_on(fence::a_replaced_owner_can_do_nothing(&OnServer::new(&server.url())));
    }
}

/// The same calls on a server whose functions have the fence switched off, as a build with the fault `fence` loads them:
/// all of them are taken, so that the test before this one would fail.
#[test]
fn without_a_fence_a_replaced_owner_can_do_everything() {
    if !server::is_there("without_a_fence_a_replaced_owner_can_do_everything") {
        return;
    }
    let server = Server::start(&[]);
    let factory = OnServer::new(&server.url());
    let findings = runtime().block_on(async {
        drop(factory.open_now(Timestamp::ZERO).await);
        server.load_with("local IS_FENCE_BROKEN = false", "local IS_FENCE_BROKEN = true");
        fence::calls_of_a_replaced_owner(&factory).await
    });
    assert!(findings.fenced.is_empty() && findings.is_changed, "{findings:?}");
    assert_eq!(findings.taken.len(), 14);
}

/// Runs rows of operations against one server.
fn run_model(url: &str, n_cases: u32) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: n_cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    });
    let runtime = runtime();
    let result = runner.run(&prop::collection::vec(operation(), 1..120), |operations| {
        runtime.block_on(model::run(&OnServer::new(url), &operations));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_row_of_operations_answers_as_the_model_does() {
    if server::is_there("any_row_of_operations_answers_as_the_model_does") {
        let server = Server::start(&["--appendfsync", "no"]);
        run_model(&server.url(), cases());
    }
}

/// The rights that docs/REDIS.md asks for are enough.
#[test]
fn a_user_with_the_documented_rights_can_do_all() {
    if !server::is_there("a_user_with_the_documented_rights_can_do_all") {
        return;
    }
    let server = Server::start(&[]);
    let rights = "~t* +@read +@write +@scripting +info +time +cluster|slots +asking +config|get";
    let user: Vec<&str> = ["ACL", "SETUSER", "node", "on", ">secret"].into_iter().chain(rights.split(' ')).collect();
    server.command::<()>(&user);
    let factory = OnServer::new(&format!("redis://node:secret@127.0.0.1:{}", server.port));
    runtime().block_on(async {
        rules::a_recrawl_knows_the_pages_and_robots(&factory).await;
        let warnings = factory.open_now(Timestamp::ZERO).await.start_report().warnings.clone();
        assert!(warnings.iter().all(|warning| warning.contains("clock")), "{warnings:?}");
    });
    assert_eq!(server.command::<Vec<redis::Value>>(&["FUNCTION", "LIST"]).len(), 1);
}

#[test]
fn where_functions_are_refused_scripts_answer_the_same() {
    if !server::is_there("where_functions_are_refused_scripts_answer_the_same") {
        return;
    }
    let server = Server::start(&["--appendfsync", "no"]);
    server.command::<()>(&["ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-function", "-fcall"]);
    run_model(&format!("redis://plain:secret@127.0.0.1:{}", server.port), cases().div_ceil(8));
    assert_eq!(server.command::<Vec<redis::Value>>(&["FUNCTION", "LIST"]), Vec::new());
}
