//! What the link counts. Plain numbers; `telemetry` exports them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Everything since the link started.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($(#[doc = $doc])+ pub(crate) $name: AtomicU64,)+ }

        impl Counters {
            /// All of them with their names.
            pub(crate) fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Relaxed)),)+]
            }

            /// What a counter means: its doc comment.
            pub(crate) fn help(name: &str) -> &'static str {
                match name {
                    $(stringify!($name) => concat!($($doc,)+).trim_ascii().trim_end_matches('.'),)+
                    _ => "",
                }
            }
        }
    };
}

counters! {
    /// Envelopes handed to sessions, heartbeats included.
    envelopes_sent,
    /// Envelopes of known peers that were read, heartbeats included.
    envelopes_received,
    /// Calls of peers that were dropped because their deadline had passed before they were handled.
    calls_expired,
    /// Calls of peers that were handled, whatever the handler answered.
    calls_handled,
    /// Calls of this node that a peer refused.
    calls_refused,
    /// Calls of this node that had no answer within their deadline.
    calls_timed_out,
    /// Calls of this node whose peer was not linked, or whose session ended before the answer.
    calls_cut_off,
    /// Messages that were dropped: of no session, of another version, or malformed.
    messages_dropped,
    /// Bytes written to streams, before encryption.
    sent_bytes,
    /// Bytes read from streams, after decryption.
    received_bytes,
    /// Sessions that calls could use.
    sessions_opened,
    /// Sessions that ended, for whatever reason.
    sessions_closed,
    /// Sessions that were closed because the peer had been silent for 5 s.
    sessions_silent,
    /// Streams that were closed because there were too many handshakes, theirs did not end in time, or they came through
    /// the transport's own listener.
    handshakes_dropped,
    /// Handshakes that ended with a named refusal, by either side.
    handshakes_refused,
    /// Microseconds that callers waited for room in a peer's window.
    window_wait_micros,
}

impl Counters {
    pub(super) fn waited(&self, duration: Duration) {
        self.window_wait_micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// So many more.
pub(super) fn count_many(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Relaxed);
}
