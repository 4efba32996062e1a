//! Which faults strike whom, when and for how long: all of it follows from a seed that is printed.

use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(super) const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Node(&'static str),
    Redis,
    Qdrant,
}

/// With what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// kill -9, started again at the end.
    Kill,
    /// SIGSTOP, SIGCONT at the end.
    Freeze,
    /// A node from Redis, Qdrant and the other nodes; a server from all nodes. The way to the origin stays open.
    Cut,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// Since the fault before it began.
    pub(super) after: Duration,
    pub(super) length: Duration,
    pub(super) victim: Victim,
    pub(super) kind: Kind,
}

/// How hard and how long a cluster is hit.
#[derive(Debug)]
pub(super) struct Form {
    /// In all; a crawl that ends earlier is followed by another one on new servers.
    pub(super) n_faults: usize,
    pub(super) n_hosts: usize,
    pub(super) n_pages: usize,
    pub(super) delay: Duration,
    pub(super) visibility_secs: &'static str,
    /// Least and most milliseconds between the beginnings of two faults.
    gap: [u64; 2],
    /// How long nodes are frozen or cut off: longer than a claim holds.
    node: [u64; 2],
    /// How long servers are away.
    server: [u64; 2],
    /// How long whoever was killed is away.
    killed: [u64; 2],
}

const QUICK: Form = Form {
    n_faults: 12,
    n_hosts: 20,
    n_pages: 30,
    delay: Duration::from_secs(1),
    visibility_secs: "20",
    gap: [2_000, 4_000],
    node: [6_000, 8_000],
    server: [1_500, 5_000],
    killed: [500, 3_000],
};
/// With `ARGIOPE_FAULT=full`.
const FULL: Form = Form {
    n_faults: 300,
    n_hosts: 24,
    n_pages: 250,
    delay: Duration::from_secs(1),
    visibility_secs: "60",
    gap: [3_000, 9_000],
    node: [10_000, 30_000],
    server: [2_000, 15_000],
    killed: [500, 8_000],
};

impl Form {
    pub(super) fn wanted() -> Self {
        if std::env::var("ARGIOPE_FAULT").is_ok_and(|form| form == "full") { FULL } else { QUICK }
    }
}

/// A deck of which each kind of fault is drawn once (of nodes, the most dangerous ones, twice) before any is drawn again.
const DECK: [(Kind, Option<Victim>); 12] = [
    (Kind::Kill, None),
    (Kind::Freeze, None),
    (Kind::Cut, None),
    (Kind::Kill, None),
    (Kind::Freeze, None),
    (Kind::Cut, None),
    (Kind::Kill, Some(Victim::Redis)),
    (Kind::Freeze, Some(Victim::Redis)),
    (Kind::Cut, Some(Victim::Redis)),
    (Kind::Kill, Some(Victim::Qdrant)),
    (Kind::Freeze, Some(Victim::Qdrant)),
    (Kind::Cut, Some(Victim::Qdrant)),
];

/// Draws faults.
pub(super) struct Plan {
    pub(super) seed: u64,
    n_drawn: u64,
    deck: Vec<(Kind, Option<Victim>)>,
}

impl Plan {
    /// A new one; `ARGIOPE_FAULT_SEED` plays one again.
    pub(super) fn new() -> Self {
        let given = std::env::var("ARGIOPE_FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("ARGIOPE_FAULT_SEED={seed}");
        Self { seed, n_drawn: 0, deck: Vec::new() }
    }

    /// Below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.n_drawn += 1;
        let bound = bound.max(1) as u64;
        usize::try_from(xxh3_64_with_seed(&self.n_drawn.to_le_bytes(), self.seed) % bound).expect("a small number")
    }

    fn time(&mut self, [least, most]: [u64; 2]) -> Duration {
        Duration::from_millis(least + self.draw(usize::try_from(most - least).expect("a short time")) as u64)
    }

    /// The next fault.
    pub(super) fn next(&mut self, form: &Form) -> Fault {
        if self.deck.is_empty() {
            self.deck = DECK.to_vec();
        }
        let card = self.draw(self.deck.len());
        let (kind, victim) = self.deck.swap_remove(card);
        let victim = victim.unwrap_or(Victim::Node(NODES[self.draw(NODES.len())]));
        let length = match (kind, victim) {
            (Kind::Kill, _) => form.killed,
            (_, Victim::Node(_)) => form.node,
            _ => form.server,
        };
        Fault { after: self.time(form.gap), length: self.time(length), victim, kind }
    }
}
