//! kill -9 of several processes that write the same pages of one directory.

use crate::body_of;
use crate::directory::open;
use crate::shared::check_whole;
use argiope_store::PageStore;
use argiope_store::conformance::pages::{new_page, page_url};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const CHILD: &str = "ARGIOPE_TEST_OBJECTS_CHILD";
const N_PAGES: u64 = 20;
const N_NODES: u64 = 3;
const N_ROUNDS: u64 = 6;

/// Not a test of its own: the process that `whatever_was_answered_survives_kill_9` kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (directory, first) = task.rsplit_once('#').unwrap();
    let first: u64 = first.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(Path::new(directory)).await);
        let tasks = (0..4_u64).map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in (task..).step_by(4) {
                    let (page, seq) = (n % N_PAGES, first + n * N_NODES);
                    store.put(new_page(&page_url(page), seq, &body_of(seq % 7, seq))).await.unwrap();
                    // One write a line: a torn line was not answered.
                    std::io::stdout().write_all(format!("acked {page} {seq}\n").as_bytes()).unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

#[tokio::test]
async fn whatever_was_answered_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    let mut n_acked = 0;
    for round in 1..=N_ROUNDS {
        let nodes: Vec<_> = (0..N_NODES).map(|node| start(directory.path(), round * 1_000_000 + node)).collect();
        for (n, (mut child, reader, first_answer)) in (0_u64..).zip(nodes) {
            first_answer.recv_timeout(Duration::from_secs(60)).expect("the child answers");
            std::thread::sleep(Duration::from_micros((round * 7_919 + n * 104_729) % 90_000));
            child.kill().unwrap();
            child.wait().unwrap();
            for (page, seq) in reader.join().unwrap() {
                let known = newest.entry(page).or_default();
                *known = (*known).max(seq);
                n_acked += 1;
            }
        }
        let store = open(directory.path()).await;
        assert_eq!(store.verify().await.unwrap(), [""; 0], "round {round}");
        for (page, seq) in &newest {
            let found = check_whole(&store, *page).await;
            assert!(found >= *seq, "round {round}: page {page} is at {found}, {seq} was answered");
        }
    }
    assert!(n_acked > 50, "only {n_acked} pages were answered before the kills");
}

type Answers = JoinHandle<Vec<(u64, u64)>>;

fn start(directory: &Path, first: u64) -> (Child, Answers, std::sync::mpsc::Receiver<()>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{}#{first}", directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first_answer, is_writing) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        let mut acked = Vec::new();
        for line in lines.map_while(Result::ok) {
            // The first line has the test harness's words before it.
            let Some((_, said)) = line.split_once("acked ") else { continue };
            if let Some((page, seq)) = said.split_once(' ') {
                acked.push((page.parse().unwrap(), seq.parse().unwrap()));
                let _ = first_answer.try_send(());
            }
        }
        acked
    });
    (child, reader, is_writing)
}
