//! A network of the test's own: each node in a network namespace, joined to the servers and the origin by a bridge, and
//! cut from them by rules that drop packets without a word.
//!
//! Everything lies inside the namespaces that `crate::namespace::enter` made: no packet leaves them, and they go with
//! their processes.

use crate::namespace::{Side, enter};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub(super) const REDIS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(super) const QDRANT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// The first of the nodes' addresses less one.
const NODES: u8 = 10;
/// Where the origin's hosts are.
pub(super) const ORIGIN: [u8; 2] = [10, 78];
pub(super) const ORIGIN_CIDR: &str = "10.78.0.0/16";

/// The bridge, and the addresses of whatever runs in the test's main namespace.
const SET_UP: &str = "ip link set lo up
ip link add hub type bridge
ip address add 10.77.0.1/24 dev hub
ip address add 10.77.0.2/24 dev hub
ip address add 10.77.0.3/24 dev hub
ip link set hub up
ip route add local 10.78.0.0/16 dev lo
nft list ruleset >/dev/null";

/// What a node's namespace has before it is cut: nothing is dropped.
const RULES: &str = "table inet cut {
set gone { type ipv4_addr; }
chain out { type filter hook output priority 0; ip daddr @gone drop; }
chain in { type filter hook input priority 0; ip saddr @gone drop; }
}";

/// Longest wait for a namespace.
const PATIENCE: Duration = Duration::from_secs(10);

/// The network.
#[derive(Default)]
pub(crate) struct Net {
    nodes: BTreeMap<&'static str, Namespace>,
}

/// A namespace, which lives as long as the process in it.
struct Namespace {
    name: String,
    address: Ipv4Addr,
    keeper: Child,
}

impl Net {
    /// Runs the test (its full name) in namespaces of its own; `None` outside of them, where nothing is left to do.
    #[track_caller]
    pub(super) fn enter(test: &str) -> Option<Self> {
        (enter(test, &["-r", "-n"], SET_UP) == Side::Inside).then(Self::default)
    }

    /// A node's namespace: its address there, and the words that start a process in it.
    #[track_caller]
    pub(super) fn join(&mut self, name: &'static str) -> (Ipv4Addr, Vec<String>) {
        if !self.nodes.contains_key(name) {
            let number = u8::try_from(self.nodes.len() + 1).expect("few nodes");
            self.nodes.insert(name, Namespace::start(name, Ipv4Addr::new(10, 77, 0, NODES + number)));
        }
        (self.namespace(name).address, self.launcher(name))
    }

    fn namespace(&self, name: &str) -> &Namespace {
        self.nodes.get(name).expect("the node has a namespace")
    }

    /// The words that start a process where a node is; it ends with the test.
    pub(super) fn launcher(&self, name: &str) -> Vec<String> {
        let net = format!("--net={}", self.namespace(name).path());
        ["setpriv", "--pdeathsig", "KILL", "nsenter", &net].map(str::to_owned).to_vec()
    }

    /// Does something where a node is.
    pub(super) fn within<T: Send>(&self, name: &str, act: impl FnOnce() -> T + Send) -> T {
        let net = File::open(self.namespace(name).path()).expect("the node's namespace");
        // In a thread of its own, which is left there.
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network)).expect("the way there");
                act()
            });
            thread.join().expect("no panic")
        })
    }

    /// From now on drops all packets between a node and these addresses, in both directions, and no others.
    #[track_caller]
    pub(super) fn cut(&self, name: &str, from: &BTreeSet<Ipv4Addr>) {
        let list: Vec<String> = from.iter().map(Ipv4Addr::to_string).collect();
        let add = if from.is_empty() {
            String::new()
        } else {
            format!("; add element inet cut gone {{ {} }}", list.join(", "))
        };
        self.namespace(name).run(&format!("nft 'flush set inet cut gone{add}'"));
    }

    /// The addresses of other nodes.
    pub(super) fn others(&self, name: &str) -> BTreeSet<Ipv4Addr> {
        self.nodes.iter().filter(|(other, _)| **other != name).map(|(_, namespace)| namespace.address).collect()
    }
}

impl Namespace {
    #[track_caller]
    fn start(name: &str, address: Ipv4Addr) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]);
        let namespace = Self { name: name.to_owned(), address, keeper: command.spawn().expect("unshare starts") };
        let (own, deadline) =
            (std::fs::read_link("/proc/self/ns/net").expect("a namespace"), Instant::now() + PATIENCE);
        while std::fs::read_link(namespace.path()).is_ok_and(|other| other == own) {
            assert!(Instant::now() < deadline, "{name} gets no namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = namespace.keeper.id();
        sh(&format!("ip link add {name} type veth peer name eth0 netns {pid}\nip link set {name} master hub up"));
        namespace.run(&format!(
            "ip link set lo up\nip address add {address}/24 dev eth0\nip link set eth0 up
             ip route add {ORIGIN_CIDR} via 10.77.0.1\nnft '{RULES}'"
        ));
        namespace
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    /// Runs commands in it.
    #[track_caller]
    fn run(&self, script: &str) {
        let mut command = Command::new("nsenter");
        let status = command.arg(format!("--net={}", self.path())).args(["sh", "-ec", script]).status();
        assert!(status.is_ok_and(|status| status.success()), "{script}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // At once: the kernel takes its time with what a namespace leaves, and the next network has the same names.
        let _ = Command::new("ip").args(["link", "delete", &self.name]).status();
        // The kernel ends it too when the test is killed.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

#[track_caller]
fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status();
    assert!(status.is_ok_and(|status| status.success()), "{script}");
}
