//! One link to one peer, from the greeting to its end.
//!
//! A session ends once, whoever ends it: its stream is cut, its windows wake their waiters, and every call that has no
//! answer yet is told so at once.

use super::counters::{Counters, count, count_many};
use super::gateway::Delivery;
use super::peers::Peer;
use super::request::Refusal;
use super::serve::MAX_HANDLERS;
use super::window::{MAX_REPLY_BYTES, Replies, Room, Window};
use argiope_protocol::Timestamp;
use argiope_protocol::wire::{Envelope, Kind, WireError};
use bytes::Bytes;
use ractor::{ActorCell, ActorRef};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SetOnce, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Read answers are acknowledged in portions of this size, and with each heartbeat.
const ACKNOWLEDGED_BYTES: u64 = MAX_REPLY_BYTES as u64 / 4;

/// Heartbeats from which a peer's clock is judged.
const BEATS_OF_ROUND: u32 = 3;

/// What a session is made from.
pub(super) struct Terms {
    pub(super) peer: Peer,
    /// Version of the wire that both speak.
    pub(super) version: u16,
    /// Milliseconds that the peer's clock was ahead of ours at the greeting.
    pub(super) clock_ahead: i64,
    /// Stands before every envelope to the peer, which knows the session by it.
    pub(super) token_out: [u8; 16],
    /// Stands before every envelope from the peer.
    pub(super) token_in: [u8; 16],
    /// The address, when this node has dialled.
    pub(super) dialled: Option<String>,
}

/// One link to one peer.
pub(super) struct Session {
    pub(super) terms: Terms,
    /// How the transport names it in its events.
    pub(super) label: String,
    /// Cancelled when it is over.
    pub(super) cut: CancellationToken,
    /// Cancelled when the transport has let go of it.
    pub(super) ended: CancellationToken,
    /// The peer has said that it leaves.
    pub(super) is_left: AtomicBool,
    /// The peer's gateway, once calls can be made.
    pub(super) outbox: SetOnce<ActorRef<Delivery>>,
    /// The transport's actor for it.
    pub(super) actor: SetOnce<ActorCell>,
    pub(super) window: Window,
    pub(super) replies: Replies,
    /// What the peer may have under way here; a peer that sends more breaks the protocol.
    pub(super) incoming: Window,
    pub(super) handlers: Semaphore,
    /// `None` when it is over. Bounded by the window and by the heartbeats of 5 s.
    pending: Mutex<Option<HashMap<u64, Pending>>>,
    next: AtomicU64,
    opened: Instant,
    /// Milliseconds from `opened` to the last envelope.
    heard: AtomicU64,
    rtt_micros: AtomicU64,
    unacknowledged: AtomicU64,
    /// Milliseconds that the peer's clock is ahead of ours.
    clock_ahead: AtomicI64,
    /// The most that the heartbeats of this round have said, and how many they were.
    round: Mutex<(i64, u32)>,
    counters: Arc<Counters>,
}

/// What waits for an answer.
struct Pending {
    answer: oneshot::Sender<Answer>,
    room: Option<Room>,
    sent: Instant,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(Bytes),
    Refusal(Refusal),
    Pong,
}

impl Session {
    pub(super) fn new(terms: Terms, label: String, counters: Arc<Counters>) -> Self {
        Self {
            clock_ahead: AtomicI64::new(terms.clock_ahead),
            round: Mutex::new((i64::MIN, 0)),
            terms,
            label,
            cut: CancellationToken::new(),
            ended: CancellationToken::new(),
            is_left: AtomicBool::new(false),
            outbox: SetOnce::new(),
            actor: SetOnce::new(),
            window: Window::default(),
            replies: Replies::default(),
            incoming: Window::default(),
            handlers: Semaphore::new(MAX_HANDLERS),
            pending: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(1),
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            rtt_micros: AtomicU64::new(0),
            unacknowledged: AtomicU64::new(0),
            counters,
        }
    }

    /// Whether calls can be made.
    pub(super) fn is_ready(&self) -> bool {
        self.outbox.get().is_some() && !self.cut.is_cancelled() && !self.is_left.load(Relaxed)
    }

    /// Ends it. `false` when it had ended already.
    pub(super) fn close(&self) -> bool {
        let Some(pending) = self.pending().take() else { return false };
        self.cut.cancel();
        self.window.close();
        self.incoming.close();
        self.replies.close();
        self.handlers.close();
        if let Some(actor) = self.actor.get() {
            actor.stop(None);
        }
        // Dropping the senders tells the callers.
        drop(pending);
        true
    }

    /// A number that no other call of this session has.
    pub(super) fn next_correlation(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// The bytes of an envelope, with the token before it.
    pub(super) fn encode(&self, envelope: &Envelope) -> Result<Vec<u8>, WireError> {
        let mut bytes = self.terms.token_out.to_vec();
        envelope.encode_into(self.terms.version, &mut bytes)?;
        Ok(bytes)
    }

    /// Hands bytes to the transport. `false` when it takes none: not yet, or no longer.
    pub(super) fn send(&self, bytes: Vec<u8>) -> bool {
        let is_sent = self.outbox.get().is_some_and(|gateway| gateway.send_message(Delivery(bytes)).is_ok());
        if is_sent {
            count(&self.counters.envelopes_sent);
        }
        is_sent
    }

    /// Sends an envelope of the link itself. These are small, and bounded by what they answer or by the clock.
    pub(super) fn send_bare(&self, kind: Kind, correlation: u64, body: Bytes) -> bool {
        let envelope = Envelope::bare(kind, correlation, body);
        self.encode(&envelope).is_ok_and(|bytes| self.send(bytes))
    }

    /// Remembers that an answer is expected. `None` when the session is over.
    pub(super) fn expect(&self, correlation: u64, room: Option<Room>) -> Option<oneshot::Receiver<Answer>> {
        let (sender, answer) = oneshot::channel();
        let pending = Pending { answer: sender, room, sent: Instant::now() };
        self.pending().as_mut()?.insert(correlation, pending);
        Some(answer)
    }

    /// Gives an answer to whoever waits for it, if anybody still does, and frees its room in the window.
    pub(super) fn answer(&self, correlation: u64, answer: Answer) {
        let Some(pending) = self.pending().as_mut().and_then(|pending| pending.remove(&correlation)) else { return };
        if matches!(answer, Answer::Pong) {
            let micros = u64::try_from(pending.sent.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.rtt_micros.store(micros.max(1), Relaxed);
        }
        // Before the caller can know of the answer and ask for room again.
        drop(pending.room);
        drop(pending.answer.send(answer));
    }

    /// Asks for a sign of life and says what our clock reads.
    pub(super) fn ping(&self, kind: Kind, now: Timestamp) -> Option<oneshot::Receiver<Answer>> {
        let correlation = self.next_correlation();
        let answer = self.expect(correlation, None)?;
        let clock = Bytes::copy_from_slice(&now.as_millis().to_le_bytes());
        self.send_bare(kind, correlation, clock).then_some(answer)
    }

    /// So many bytes of answers were read; the peer is told in portions.
    pub(super) fn read_reply(&self, n_bytes: usize) {
        let before = self.unacknowledged.fetch_add(n_bytes as u64, Relaxed);
        if before + n_bytes as u64 >= ACKNOWLEDGED_BYTES {
            self.acknowledge();
        }
    }

    /// Tells the peer how many bytes of its answers were read since the last time.
    pub(super) fn acknowledge(&self) {
        let n_bytes = self.unacknowledged.swap(0, Relaxed);
        if n_bytes > 0 && !self.send_bare(Kind::Ack, 0, Bytes::copy_from_slice(&n_bytes.to_le_bytes())) {
            self.unacknowledged.fetch_add(n_bytes, Relaxed);
        }
    }

    /// The peer is alive.
    pub(super) fn hear(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(millis, Relaxed);
    }

    /// When the peer was last heard.
    pub(super) fn heard_at(&self) -> Instant {
        self.opened + Duration::from_millis(self.heard.load(Relaxed))
    }

    /// Time of the last heartbeat there and back.
    pub(super) fn rtt(&self) -> Option<Duration> {
        let micros = self.rtt_micros.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// How long ago it was made.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Time left until a moment of the peer's clock, as ours reads `now`. `None` when it has passed.
    pub(super) fn time_left(&self, deadline: Timestamp, now: Timestamp) -> Option<Duration> {
        let theirs = Timestamp::from_millis(now.as_millis().saturating_add_signed(self.clock_ahead.load(Relaxed)));
        (deadline > theirs).then(|| deadline.since(theirs))
    }

    /// A heartbeat says what the peer's clock read when it was sent. On the way it has only become older, so the most
    /// of a few is nearest to the truth. Answers the difference after each round: clocks are set while nodes run.
    pub(super) fn hear_clock(&self, theirs: Timestamp, now: Timestamp) -> Option<i64> {
        let ahead = clock_ahead(theirs, now);
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        *round = (round.0.max(ahead), round.1 + 1);
        if round.1 < BEATS_OF_ROUND {
            return None;
        }
        let (ahead, _) = std::mem::replace(&mut *round, (i64::MIN, 0));
        self.clock_ahead.store(ahead, Relaxed);
        Some(ahead)
    }

    /// A message that is of no use.
    pub(super) fn drop_message(&self) {
        count(&self.counters.messages_dropped);
    }

    /// Bytes that arrived here.
    pub(super) fn count_received(&self) {
        count_many(&self.counters.envelopes_received, 1);
    }

    fn pending(&self) -> MutexGuard<'_, Option<HashMap<u64, Pending>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds that one clock is ahead of another.
pub(super) fn clock_ahead(theirs: Timestamp, ours: Timestamp) -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    millis(theirs.since(ours)).saturating_sub(millis(ours.since(theirs)))
}
