//! Who is linked, who should be, and which of two sessions with the same peer stays.

use super::heartbeat::{BEAT, SUSPECT};
use super::peers::{PeerAddress, PeerState, PeerStatus};
use super::session::Session;
use argiope_protocol::{ErrorCode, NodeName};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Heard within this, a peer is surely alive: it beats every second.
const FRESH: Duration = Duration::from_millis(BEAT.as_millis() as u64 * 3 / 2);
/// Time that a peer which came in unlisted has to appear in the list.
const UNLISTED: Duration = Duration::from_secs(10);
/// Refusals that are remembered. More come only from strangers; then all are forgotten, and logged once more.
const MAX_REFUSALS: usize = 256;

/// Sessions and wishes.
#[derive(Default)]
pub(super) struct Table {
    sessions: BTreeMap<NodeName, Arc<Session>>,
    by_token: HashMap<[u8; 16], Arc<Session>>,
    by_label: HashMap<String, Arc<Session>>,
    /// What was last asked for, each with what stops its dialling.
    pub(super) wanted: BTreeMap<PeerAddress, CancellationToken>,
    /// Names of that list and their boots, where these are known.
    listed: BTreeMap<NodeName, Option<Uuid>>,
    /// By name, or by address where the name is not known.
    refusals: BTreeMap<String, (ErrorCode, String)>,
}

/// What is to be done with a second session to the same peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The new one takes its place.
    Replace,
    /// If the old one answers, there are two nodes of this name.
    Probe,
    /// The old one stays.
    Duplicate,
}

/// What the rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) boot: Uuid,
    /// Whether this node dialled.
    pub(super) is_dialled: bool,
}

/// The rule, which both ends apply to the same two sessions with the same outcome. Of two sessions between the same
/// two runs the one stays that the node with the smaller name dialled; of two that the same node dialled the newer one,
/// since nobody dials while it is linked. Another run of the peer takes over if it is listed or the old one is silent.
pub(super) fn judge(is_smaller: bool, old: Side, silence: Duration, new: Side, listed: Option<Uuid>) -> Verdict {
    if old.boot != new.boot {
        let is_over = silence > FRESH || listed == Some(new.boot);
        return if is_over { Verdict::Replace } else { Verdict::Probe };
    }
    let is_preferred = new.is_dialled == is_smaller;
    if old.is_dialled == new.is_dialled || is_preferred || silence > FRESH {
        Verdict::Replace
    } else {
        Verdict::Duplicate
    }
}

impl Table {
    /// A session that calls can use.
    pub(super) fn ready(&self, name: &NodeName) -> Option<Arc<Session>> {
        self.sessions.get(name).filter(|session| session.is_ready()).cloned()
    }

    /// A session, ready or not yet.
    pub(super) fn session(&self, name: &NodeName) -> Option<Arc<Session>> {
        self.sessions.get(name).filter(|session| !session.cut.is_cancelled()).cloned()
    }

    /// All sessions.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.values().cloned().collect()
    }

    pub(super) fn of_token(&self, token: &[u8; 16]) -> Option<Arc<Session>> {
        self.by_token.get(token).cloned()
    }

    pub(super) fn of_label(&self, label: &str) -> Option<Arc<Session>> {
        self.by_label.get(label).cloned()
    }

    /// The boot that is listed for a name.
    pub(super) fn listed_boot(&self, name: &NodeName) -> Option<Uuid> {
        *self.listed.get(name)?
    }

    /// Takes a session in; `false` when there is another one with this peer.
    pub(super) fn put(&mut self, session: &Arc<Session>) -> bool {
        let name = &session.terms.peer.name;
        let is_free = self.session(name).is_none();
        if is_free {
            self.sessions.insert(name.clone(), Arc::clone(session));
            self.by_token.insert(session.terms.token_in, Arc::clone(session));
            self.by_label.insert(session.label.clone(), Arc::clone(session));
        }
        is_free
    }

    /// Calls and envelopes do not find it any more; the transport's events still do.
    pub(super) fn close(&mut self, session: &Arc<Session>) {
        let name = &session.terms.peer.name;
        if self.sessions.get(name).is_some_and(|there| Arc::ptr_eq(there, session)) {
            self.sessions.remove(name);
        }
        self.by_token.remove(&session.terms.token_in);
    }

    /// The transport has let go of it.
    pub(super) fn forget(&mut self, label: &str) {
        self.by_label.remove(label);
    }

    /// Takes the new list; answers the sessions that have no place in it.
    pub(super) fn list(
        &mut self,
        wanted: BTreeMap<PeerAddress, CancellationToken>,
    ) -> Vec<(Arc<Session>, &'static str)> {
        let names = wanted.keys().filter_map(|peer| Some((peer.name.clone()?, peer.boot))).collect();
        let before = std::mem::replace(&mut self.listed, names);
        self.wanted = wanted;
        let judged = self.sessions.values().filter_map(|session| {
            let peer = &session.terms.peer;
            if let Some(listed) = self.listed.get(&peer.name) {
                // A boot that was listed before may be out of date: a new run links before it is listed.
                let is_news = before.get(&peer.name) != Some(listed);
                let is_old = is_news && listed.is_some_and(|boot| boot != peer.boot);
                return is_old.then(|| (Arc::clone(session), "the peer was started anew"));
            }
            let is_seed = |address: &String| self.wanted.keys().any(|peer| peer.address == *address);
            let has_left = before.contains_key(&peer.name) || session.age() > UNLISTED;
            let is_stray = has_left && !session.terms.dialled.as_ref().is_some_and(is_seed);
            is_stray.then(|| (Arc::clone(session), "the peer is not of the cluster any more"))
        });
        judged.collect()
    }

    /// Remembers a refusal; `true` when it says something new.
    pub(super) fn refused(&mut self, who: &str, code: ErrorCode, text: &str) -> bool {
        if self.refusals.len() >= MAX_REFUSALS && !self.refusals.contains_key(who) {
            self.refusals.clear();
        }
        let before = self.refusals.insert(who.to_owned(), (code, text.to_owned()));
        before.is_none_or(|(before, _)| before != code)
    }

    #[cfg(test)]
    pub(super) fn refusal_codes(&self) -> Vec<ErrorCode> {
        self.refusals.values().map(|(code, _)| *code).collect()
    }

    /// A session was made with this peer: what was refused before is over.
    pub(super) fn accepted(&mut self, session: &Session) {
        self.refusals.remove(session.terms.peer.name.as_str());
        if let Some(address) = &session.terms.dialled {
            self.refusals.remove(address);
        }
    }

    /// How things stand with each listed or linked peer.
    pub(super) fn statuses(&self) -> Vec<PeerStatus> {
        let linked = self.sessions.keys();
        let names: BTreeSet<&NodeName> = linked.chain(self.listed.keys()).collect();
        names.into_iter().map(|name| self.status(name)).collect()
    }

    fn status(&self, name: &NodeName) -> PeerStatus {
        let session = self.sessions.get(name).filter(|session| session.is_ready());
        let state = match session.map(|session| session.heard_at().elapsed()) {
            Some(silence) if silence < SUSPECT => PeerState::Connected,
            Some(_) => PeerState::Suspect,
            None => PeerState::Down,
        };
        let address = self.wanted.keys().find(|peer| peer.name.as_ref() == Some(name)).map(|peer| &peer.address);
        let refusal = self.refusals.get(name.as_str()).or_else(|| self.refusals.get(address?));
        PeerStatus {
            name: name.clone(),
            boot: session.map(|session| session.terms.peer.boot).or_else(|| self.listed_boot(name)),
            state,
            rtt: session.and_then(|session| session.rtt()),
            in_flight: session.map(|session| session.window.in_use()).unwrap_or_default(),
            last_refusal: refusal.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATELY: Duration = Duration::from_millis(200);
    const LONG_AGO: Duration = Duration::from_secs(2);

    fn side(boot: u128, is_dialled: bool) -> Side {
        Side { boot: Uuid::from_u128(boot), is_dialled }
    }

    #[test]
    fn both_ends_keep_the_same_one_of_two_sessions() {
        // The smaller node dialled `x`, the larger `y`; each end sees them come in either order.
        let (x_at_smaller, y_at_smaller) = (side(2, true), side(2, false));
        let (x_at_larger, y_at_larger) = (side(1, false), side(1, true));
        assert_eq!(judge(true, x_at_smaller, LATELY, y_at_smaller, None), Verdict::Duplicate);
        assert_eq!(judge(true, y_at_smaller, LATELY, x_at_smaller, None), Verdict::Replace);
        assert_eq!(judge(false, x_at_larger, LATELY, y_at_larger, None), Verdict::Duplicate);
        assert_eq!(judge(false, y_at_larger, LATELY, x_at_larger, None), Verdict::Replace);
    }

    #[test]
    fn a_new_stream_replaces_a_half_open_one() {
        assert_eq!(judge(true, side(2, false), LATELY, side(2, false), None), Verdict::Replace, "dialled anew");
        assert_eq!(judge(true, side(2, true), LONG_AGO, side(2, false), None), Verdict::Replace, "silent");
    }

    #[test]
    fn another_run_replaces_a_silent_or_unlisted_one() {
        let (old, new) = (side(2, true), side(3, false));
        assert_eq!(judge(true, old, LONG_AGO, new, None), Verdict::Replace);
        assert_eq!(judge(true, old, LATELY, new, Some(Uuid::from_u128(3))), Verdict::Replace);
        assert_eq!(judge(true, old, LATELY, new, Some(Uuid::from_u128(2))), Verdict::Probe);
        assert_eq!(judge(true, old, LATELY, new, None), Verdict::Probe);
    }
}
