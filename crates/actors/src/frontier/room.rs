//! Whether the store has room for new URLs, so that its being full is told once and not with every link that waits.

use argiope_protocol::{ErrorCode, ShardId};
use argiope_store::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of several servers one may be full. The shard that was refused says when it has room again; where that is asked no
/// more, since it has another owner or no more links, another shard's word counts after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// New URLs are refused from now on.
    Full,
    /// They are taken again.
    Room,
}

/// The shard that was refused first, and when.
#[derive(Default)]
pub(super) struct Room(Mutex<Option<(ShardId, Instant)>>);

impl Room {
    /// New URLs of a shard were taken, or refused with this error.
    pub(super) fn admitted(&self, shard: ShardId, error: Option<&Error>, now: Instant) -> Option<News> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (*refused, error) {
            (None, Some(error)) if error.code() == ErrorCode::StoreFull => {
                *refused = Some((shard, now));
                Some(News::Full)
            }
            (Some((first, since)), None) if first == shard || now.duration_since(since) >= PATIENCE => {
                *refused = None;
                Some(News::Room)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_store::ServerFault;

    #[test]
    fn a_full_store_is_told_once_until_it_has_room() {
        let (room, now) = (Room::default(), Instant::now());
        let error = |fault| Error::Server { context: "admit", fault, message: String::new() };
        let (full, away) = (error(ServerFault::OutOfMemory), error(ServerFault::Unreachable));
        let [one, other] = [1, 2].map(ShardId::new);
        assert_eq!(room.admitted(one, None, now), None);
        assert_eq!(room.admitted(one, Some(&away), now), None);
        assert_eq!(room.admitted(one, Some(&full), now), Some(News::Full));
        assert_eq!(room.admitted(other, Some(&full), now), None);
        assert_eq!(room.admitted(other, None, now), None, "of another server perhaps");
        assert_eq!(room.admitted(one, Some(&away), now), None);
        assert_eq!(room.admitted(one, None, now), Some(News::Room));
        assert_eq!(room.admitted(one, None, now), None);
        assert_eq!(room.admitted(one, Some(&full), now), Some(News::Full));
        assert_eq!(room.admitted(other, None, now + PATIENCE), Some(News::Room));
    }
}
