//! Dates of sitemaps (W3C datetime) and feeds (RFC 3339, RFC 2822).

use argiope_protocol::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// Longest text that is tried; the longest real form has 31 characters.
const MAX_DATE_BYTES: usize = 64;

/// `None` when it is no date, or one before 1970. A form without time zone is read as UTC, one without a day or
/// month as the first of them.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    if text.len() > MAX_DATE_BYTES {
        return None;
    }
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| without_zone(text)).or_else(|| rfc_2822(text))?;
    u64::try_from(instant.as_millisecond()).ok().map(Timestamp::from_millis)
}

fn without_zone(text: &str) -> Option<jiff::Timestamp> {
    let date_time = match text.len() {
        4 if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{text}-01-01").parse::<civil::Date>().ok()?.into()
        }
        7 => format!("{text}-01").parse::<civil::Date>().ok()?.into(),
        _ => text.parse::<civil::DateTime>().ok().or_else(|| text.parse::<civil::Date>().ok().map(Into::into))?,
    };
    date_time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn rfc_2822(text: &str) -> Option<jiff::Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(text).ok()
}
