//! Times as RFC 3339 in UTC, to the millisecond.

use argiope_protocol::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};

/// As text; `-` for a time that no calendar has.
pub(crate) fn text(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn parse(text: &str) -> Option<Timestamp> {
    let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(parse(&text).unwrap_or(Timestamp::MAX))
}

/// Times that may be missing.
pub(crate) mod opt {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.serialize_str(&super::text(*at)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| super::parse(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for millis in [0, 1, 1_764_327_176_123] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(parse(&text(at)), Some(at), "{}", text(at));
        }
        assert_eq!(text(Timestamp::from_millis(1_764_327_176_123)), "2025-11-28T10:52:56.123Z");
        assert_eq!(text(Timestamp::MAX), "-");
    }
}
