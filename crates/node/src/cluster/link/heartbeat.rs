//! Whether a peer is still there. A ping a second, and whatever else comes from it counts as a sign of life.

use super::counters::count;
use super::session::Session;
use super::shared::Shared;
use argiope_protocol::wire::Kind;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Between two pings.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Silence after which calls had better go elsewhere.
pub(super) const SUSPECT: Duration = Duration::from_secs(3);
/// Silence after which the session is over.
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// A pause of this node itself, such as a stopped process, after which it must not blame its peers for the silence.
const ABSENT: Duration = Duration::from_secs(2);

/// Watches a session until it ends.
pub(super) async fn watch(shared: Arc<Shared>, session: Arc<Session>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut woke = Instant::now();
    loop {
        let is_beat = tokio::select! {
            () = session.cut.cancelled() => return,
            _ = beats.tick() => true,
            () = tokio::time::sleep_until(session.heard_at() + SILENT) => false,
        };
        if woke.elapsed() > ABSENT {
            session.hear();
        }
        woke = Instant::now();
        if session.heard_at().elapsed() >= SILENT {
            count(&shared.counters.sessions_silent);
            shared.close(&session, "the peer has been silent for 5 s");
            return;
        }
        if is_beat {
            session.acknowledge();
            // Nobody waits for the pong: it is heard, and its time is kept.
            drop(session.ping(Kind::Ping, shared.now()));
            #[cfg(feature = "sabotage")]
            super::later::speak(&shared, &session);
        }
    }
}
