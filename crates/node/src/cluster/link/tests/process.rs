//! A peer in a process of its own, which can be stopped and killed.

use super::proxy::Proxy;
use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const ROLE: &str = "ARGIOPE_TEST_LINK_PEER";

/// Killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    /// This very test binary, running [`be_a_peer_when_told_to`] as a node.
    fn start() -> (Self, SocketAddr) {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this)
            .args(["--exact", "cluster::link::tests::process::be_a_peer_when_told_to", "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.split_once("listens at ")?.1.parse().ok());
        (Self(child), address.expect("the peer says where it listens"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test by itself: the other process. It ends when its parent does.
#[test]
fn be_a_peer_when_told_to() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let link = runtime.block_on(start(options("node-b")));
    println!("\nlistens at {}", link.local_addr());
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Only where no other test runs in this process, which is how `./check` runs them.
fn check_growth(kib: u64) {
    if std::env::var_os("NEXTEST").is_some() {
        assert!(kib <= 32 * 1024, "{kib} KiB");
    }
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let n_pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    n_pages * rustix::param::page_size() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_down_at_once() {
    let (process, address) = Process::start();
    let a = start(options("node-a")).await;
    a.set_peers(vec![at("node-b", address)]);
    until("the two are linked", || is_connected(&a, "node-b")).await;
    let a_too = a.clone();
    let under_way = tokio::spawn(async move { ask(&a_too, "node-b", "sleep 10000").await });
    until("it is under way", || status(&a, "node-b").unwrap().in_flight.0 == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let since = Instant::now();
    process.signal(Signal::KILL);
    let outcome = under_way.await.unwrap();
    println!("a killed peer's call ended after {:?}", since.elapsed());
    assert!(matches!(outcome, Err(LinkError::Down(_))), "{outcome:?}");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

/// The bound of DESIGN §6: with a stopped peer the transport alone grew by 150 MB in 11 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_peer_costs_at_most_32_mib_and_comes_back() {
    let (process, address) = Process::start();
    let a = start(options("node-a")).await;
    a.set_peers(vec![at("node-b", address)]);
    until("the two are linked", || is_connected(&a, "node-b")).await;
    let body = Bytes::from(vec![1; 300_000]);
    // Buffers that any traffic needs are there before it is measured.
    for _ in 0..20 {
        a.call(&name("node-b"), Request::of(body.clone()), PATIENCE).await.unwrap();
    }
    let before = resident_bytes();
    process.signal(Signal::STOP);
    let since = Instant::now();
    let mut most = before;
    let mut n_calls = 0_u32;
    while since.elapsed() < Duration::from_secs(8) {
        let (a, request) = (a.clone(), Request::of(body.clone()));
        tokio::spawn(async move { a.call(&name("node-b"), request, Duration::from_millis(200)).await });
        n_calls += 1;
        most = most.max(resident_bytes());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let grown = most.saturating_sub(before) / 1024;
    println!("{n_calls} calls to a stopped peer: {grown} KiB more at most");
    check_growth(grown);
    assert_eq!(state(&a, "node-b"), PeerState::Down);

    process.signal(Signal::CONT);
    until("it is linked again", || is_connected(&a, "node-b")).await;
    assert_eq!(ask(&a, "node-b", "x").await.unwrap(), "x");
}

/// The other direction: a peer that asks for much and reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_does_not_read_costs_at_most_32_mib() {
    let (a, b) = (start(options("node-a")).await, start(options("node-b")).await);
    let proxy = Proxy::to(b.local_addr()).await;
    a.set_peers(vec![at("node-b", proxy.address)]);
    linked(&a, "node-a", &b, "node-b").await;
    for _ in 0..5 {
        ask(&a, "node-b", "fill").await.unwrap();
    }
    let before = resident_bytes();
    let calls: Vec<_> = (0..250)
        .map(|_| {
            let a = a.clone();
            tokio::spawn(async move { ask(&a, "node-b", "fill").await.map(|answer| answer.len()) })
        })
        .collect();
    until("some are handled", || counter(&b, "calls_handled") > 10).await;
    proxy.fall_silent();
    let mut most = before;
    while state(&a, "node-b") != PeerState::Down {
        most = most.max(resident_bytes());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let grown = most.saturating_sub(before) / 1024;
    let n_handled = counter(&b, "calls_handled");
    let mut n_answered = 0;
    for call in calls {
        n_answered += usize::from(call.await.unwrap().is_ok());
    }
    println!("{n_handled} of 250 handled, {n_answered} answered: {grown} KiB more at most, both ends together");
    assert!(n_handled < 250, "answers that nobody reads hold up the next calls");
    check_growth(grown);
}
