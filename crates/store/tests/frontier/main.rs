//! The embedded frontier: conformance, model, and what can happen to its file.

#![allow(clippy::unwrap_used, reason = "a test ends where an answer is missing")]

mod faults;
mod kill;
mod redis;

use argiope_protocol::{FailReason, Fate, JobState, SkipReason, Timestamp, UrlSource};
use argiope_store::FrontierStore;
use argiope_store::conformance::frontier::model::{self, Operation};
use argiope_store::conformance::frontier::{FrontierFactory, fence, rules};
use argiope_store::embedded::frontier::{EmbeddedFrontier, OpenOptions};
use async_trait::async_trait;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Embedded(tempfile::TempDir);

impl Embedded {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl FrontierFactory for Embedded {
    async fn open(&self, now: Timestamp) -> Arc<dyn FrontierStore> {
        Arc::new(open(&database(self.0.path()), now))
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("frontier.redb")
}

fn open(path: &Path, now: Timestamp) -> EmbeddedFrontier {
    EmbeddedFrontier::open(path, &OpenOptions { cache_bytes: 8 << 20 }, now).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

macro_rules! conforms {
    ($($rule:ident),+ $(,)?) => {$(
        #[test]
        fn $rule() {
            runtime().block_on(rules::$rule(&Embedded::new()));
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
    a_lease_lost_with_its_process_costs_no_attempt,
    tenants_and_then_jobs_take_turns,
    the_page_limit_holds_and_rejects_are_counted,
    what_waits_is_told_without_a_claim,
    a_recrawl_knows_the_pages_and_robots,
);

#[test]
fn a_replaced_owner_can_do_nothing() {
    runtime().block_on(fence::a_replaced_owner_can_do_nothing(&Embedded::new()));
}

fn source() -> impl Strategy<Value = UrlSource> {
    prop_oneof![Just(UrlSource::Seed), Just(UrlSource::Link), Just(UrlSource::Sitemap), Just(UrlSource::Known)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Stored),
        Just(Fate::Unchanged),
        Just(Fate::Skipped(SkipReason::Gone)),
        Just(Fate::Failed(FailReason::Timeout, None)),
        Just(Fate::Failed(FailReason::Tls, None)),
    ]
}

fn state() -> impl Strategy<Value = JobState> {
    prop_oneof![
        6 => Just(JobState::Running),
        3 => Just(JobState::Paused),
        2 => Just(JobState::Finished),
        1 => Just(JobState::Cancelled),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = any::<u8>;
    let offer = prop::collection::vec((number(), 0..5_u8, source(), 0..3_u16), 0..8);
    prop_oneof![
        4 => (number(), offer).prop_map(|(job, urls)| Operation::Admit(job, urls)),
        8 => (number(), 1..4_u16, prop_oneof![Just(0), 0..2_000_u64], 1..4_u16)
            .prop_map(|(host, max, delay, n)| Operation::Lease(host, max, delay, n)),
        4 => (any::<usize>(), fate()).prop_map(|(token, fate)| Operation::Settle(token, fate)),
        4 => (any::<usize>(), 0..4_000_u64).prop_map(|(token, wait)| Operation::Retry(token, wait)),
        1 => (any::<usize>(), 0..5_000_u64).prop_map(|(token, wait)| Operation::Defer(token, wait)),
        1 => (any::<usize>(), 0..30_000_u64).prop_map(|(token, wait)| Operation::Prolong(token, wait)),
        1 => (number(), prop::collection::vec((number(), 0..5_u8), 0..4)).prop_map(|(job, urls)| Operation::Discard(job, urls)),
        1 => (number(), 0..5_000_u64).prop_map(|(host, wait)| Operation::Block(host, wait)),
        1 => (number(), 0..5_000_u64).prop_map(|(host, wait)| Operation::Push(host, wait)),
        1 => (number(), 0..2_000_u64).prop_map(|(host, delay)| Operation::Start(host, delay)),
        5 => (0..6_000_u64).prop_map(Operation::Advance),
        1 => (number(), state()).prop_map(|(job, state)| Operation::Move(job, state)),
        1 => number().prop_map(Operation::RetryFailed),
        2 => (number(), 0..8_usize).prop_map(|(host, limit)| Operation::Peek(host, limit)),
        1 => Just(Operation::Reclaim),
        1 => Just(Operation::Reopen),
    ]
}

/// Rows of operations; `ARGIOPE_MODEL_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("ARGIOPE_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_row_of_operations_answers_as_the_model_does(operations in prop::collection::vec(operation(), 1..120)) {
        runtime().block_on(model::run(&Embedded::new(), &operations));
    }
}
