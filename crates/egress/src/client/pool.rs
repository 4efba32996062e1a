//! Open connections: idle ones by origin, and how many there are to each address.
//!
//! Used and idle connections to one address never exceed `per_ip`: an idle one makes room for a new one. A connection
//! serves one request at a time, HTTP/2 too, so the limit is also one on requests at once.

use super::connect::Connection;
use argiope_protocol::Origin;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longer than the largest crawl delay, so that a slow host's connection is still there for the next page.
const MAX_IDLE_TIME: Duration = Duration::from_secs(45);
/// A host that moves to another address is followed.
const MAX_AGE: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    per_ip: u16,
    max_idle: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    open: HashMap<IpAddr, u16>,
}

struct Idle {
    origin: Origin,
    connection: Connection,
    since: Instant,
}

/// A place among the connections to one address; given back on drop.
pub(super) struct Slot {
    pool: Arc<Shared>,
    address: IpAddr,
}

impl Pool {
    pub(super) fn new(per_ip: u16, max_idle: usize) -> Self {
        Self(Arc::new(Shared { per_ip: per_ip.max(1), max_idle, state: Mutex::default() }))
    }

    /// The idle connection to an origin that was used last.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut state = self.0.state();
        let stale = state.sweep(Instant::now());
        let at = state.idle.iter().rposition(|idle| idle.origin == *origin);
        let found = at.map(|at| state.idle.remove(at).connection);
        drop(state);
        // Dropping a connection gives its slot back, which takes the lock.
        drop(stale);
        found
    }

    /// A place for a new connection, made free by closing an idle one if need be.
    pub(super) fn reserve(&self, address: IpAddr) -> Option<Slot> {
        let mut state = self.0.state();
        let mut closed = state.sweep(Instant::now());
        let n_open = state.open.get(&address).copied().unwrap_or(0);
        let n_swept = closed.iter().filter(|idle| idle.connection.address() == address).count();
        let mut is_free = usize::from(n_open) < usize::from(self.0.per_ip) + n_swept;
        if !is_free && let Some(at) = state.idle.iter().position(|idle| idle.connection.address() == address) {
            closed.push(state.idle.remove(at));
            is_free = true;
        }
        if is_free {
            *state.open.entry(address).or_insert(0) += 1;
        }
        drop(state);
        drop(closed);
        is_free.then(|| Slot { pool: Arc::clone(&self.0), address })
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        if connection.is_closed() || self.0.max_idle == 0 {
            return;
        }
        let mut state = self.0.state();
        let mut closed = state.sweep(Instant::now());
        if state.idle.len() >= self.0.max_idle {
            closed.push(state.idle.remove(0));
        }
        state.idle.push(Idle { origin: origin.clone(), connection, since: Instant::now() });
        drop(state);
        drop(closed);
    }

    #[cfg(test)]
    pub(crate) fn n_open(&self, address: IpAddr) -> u16 {
        self.0.state().open.get(&address).copied().unwrap_or(0)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; were it so, the maps would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out what was closed or has become too old.
    fn sweep(&mut self, now: Instant) -> Vec<Idle> {
        let is_stale = |idle: &mut Idle| {
            idle.connection.is_closed()
                || now.duration_since(idle.since) > MAX_IDLE_TIME
                || now.duration_since(idle.connection.opened_at()) > MAX_AGE
        };
        self.idle.extract_if(.., is_stale).collect()
    }
}

impl Slot {
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if let Some(n_open) = state.open.get_mut(&self.address) {
            *n_open = n_open.saturating_sub(1);
            if *n_open == 0 {
                state.open.remove(&self.address);
            }
        }
    }
}
