//! Numbers and letters that stand for values in Redis. What is written once is read for ever: add, never renumber.

use crate::{Error, Result};
use argiope_protocol::{FailReason, Fate, JobState, SkipReason, Timestamp};

/// Largest time that a record holds: 48 bits of milliseconds (the year 10889). Stands for [`Timestamp::MAX`] too.
pub(super) const MAX_MILLIS: u64 = (1 << 48) - 1;
/// Characters of a sample that are kept.
pub(super) const MAX_SAMPLE_CHARS: usize = 500;
/// The first wait after a failure is twice this.
pub(super) const BACKOFF_BASE_MS: u64 = 5_000;
/// Longest wait between attempts (DESIGN §5).
pub(super) const BACKOFF_MAX_MS: u64 = 3_600_000;

/// First number of a skipped URL's fate.
const SKIPPED: u8 = 2;
/// First number of a failed URL's fate.
const FAILED: u8 = 100;

/// A time as Redis keeps it.
pub(super) fn millis(time: Timestamp) -> u64 {
    time.as_millis().min(MAX_MILLIS)
}

/// A time that Redis kept.
pub(super) const fn time(millis: u64) -> Timestamp {
    if millis >= MAX_MILLIS { Timestamp::MAX } else { Timestamp::from_millis(millis) }
}

fn index<T: PartialEq>(all: &[T], one: &T) -> u8 {
    u8::try_from(all.iter().position(|other| other == one).unwrap_or_default()).unwrap_or_default()
}

/// The number of a fate: 0 stored, 1 unchanged, from 2 skipped, from 100 failed.
pub(super) fn fate_number(fate: Fate) -> u8 {
    match fate {
        Fate::Stored => 0,
        Fate::Unchanged => 1,
        Fate::Skipped(reason) => SKIPPED + index(SkipReason::ALL, &reason),
        Fate::Failed(reason, _) => FAILED + index(FailReason::ALL, &reason),
    }
}

/// The time that goes with a failed fate: 0, or the time of the next attempt plus one.
pub(super) fn retry_number(fate: Fate) -> u64 {
    match fate {
        Fate::Failed(_, Some(retry_at)) => millis(retry_at).min(MAX_MILLIS - 1) + 1,
        _ => 0,
    }
}

/// The fate of a number and its time.
pub(super) fn fate(number: u8, retry: u64) -> Result<Fate> {
    let unknown =
        || Error::Corrupt { what: "a URL's fate".to_owned(), detail: format!("number {number} is not known") };
    let retry_at = retry.checked_sub(1).map(time);
    Ok(match number {
        0 => Fate::Stored,
        1 => Fate::Unchanged,
        FAILED.. => {
            let reason = FailReason::ALL.get(usize::from(number - FAILED)).ok_or_else(unknown)?;
            Fate::Failed(*reason, retry_at)
        }
        _ => Fate::Skipped(*SkipReason::ALL.get(usize::from(number - SKIPPED)).ok_or_else(unknown)?),
    })
}

/// The fate of what is still queued when its job is cancelled.
pub(super) fn cancelled() -> u8 {
    fate_number(Fate::Skipped(SkipReason::Cancelled))
}

/// The fate of a URL whose last lease ran out.
pub(super) fn lease_lost() -> u8 {
    fate_number(Fate::Failed(FailReason::LeaseLost, None))
}

/// The letter of a job's state.
pub(super) const fn state_letter(state: JobState) -> &'static str {
    match state {
        JobState::Running => "R",
        JobState::Paused => "P",
        JobState::Finished => "F",
        JobState::Cancelled => "C",
    }
}

/// The state of a letter.
pub(super) fn state(letter: &[u8]) -> Result<JobState> {
    match letter {
        b"R" => Ok(JobState::Running),
        b"P" => Ok(JobState::Paused),
        b"F" => Ok(JobState::Finished),
        b"C" => Ok(JobState::Cancelled),
        _ => Err(Error::Corrupt { what: "a job's state".to_owned(), detail: format!("{letter:?} is not known") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_has_its_number() {
        let skipped = SkipReason::ALL.iter().map(|reason| Fate::Skipped(*reason));
        let at = Some(Timestamp::from_millis(7));
        let failed = FailReason::ALL.iter().flat_map(|reason| [Fate::Failed(*reason, None), Fate::Failed(*reason, at)]);
        for one in [Fate::Stored, Fate::Unchanged].into_iter().chain(skipped).chain(failed) {
            assert_eq!(fate(fate_number(one), retry_number(one)).unwrap(), one);
        }
        assert!(fate(99, 0).is_err() && fate(255, 0).is_err());
    }

    #[test]
    fn numbers_on_disk_stay_as_they_are() {
        let known = [(cancelled(), 11), (lease_lost(), 122), (fate_number(Fate::Skipped(SkipReason::RobotsDenied)), 2)];
        assert!(known.iter().all(|(found, written)| found == written), "{known:?}");
    }
}
