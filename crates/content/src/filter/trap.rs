//! Shapes of crawler traps that show in one URL.

use argiope_protocol::{CanonicalUrl, RejectReason, Timestamp};
use std::ops::RangeInclusive;

/// Segments of a path. Heritrix stops at 20 by default; the deepest of the documentation trees this was tried on
/// (Python, Rust, PostgreSQL) have 9. Half as much again leaves room for source browsers.
const MAX_SEGMENTS: usize = 30;

/// Times that a segment, or a group of them, follows itself. Links relative to the wrong base do it without end;
/// StormCrawler's default is 3 as well, Heritrix's 2.
const REPETITIONS: usize = 3;

/// Segments of the longest group whose repetition is looked for.
const LONGEST_GROUP: usize = 4;

/// Years around now that pages of a calendar are followed.
const CALENDAR_YEARS: i32 = 2;

/// Query keys and path parameters that hold nothing but a session's id.
const SESSION_KEYS: &[&str] = &["jsessionid", "phpsessid", "cfid", "cftoken", "oscsid", "zenid"];

/// Keys that hold a session's id when their value looks like one.
const PERHAPS_SESSION_KEYS: &[&str] = &["s", "sid", "sess", "sessid", "session", "session_id", "sessionid"];

/// Hexadecimal digits of the shortest session id: 64 bits, the least OWASP's session guide calls safe.
const MIN_SESSION_DIGITS: usize = 16;

pub(super) fn check(url: &CanonicalUrl, this_year: Option<i32>) -> Result<(), RejectReason> {
    let segments: Vec<&str> = url.as_url().path().split('/').skip(1).collect();
    if segments.len() > MAX_SEGMENTS {
        return Err(RejectReason::TrapPathDepth);
    }
    if (1..=LONGEST_GROUP).any(|length| repeats(&segments, length)) {
        return Err(RejectReason::TrapRepeatedSegments);
    }
    if has_session_id(url, &segments) {
        return Err(RejectReason::TrapSessionId);
    }
    let years = match this_year {
        Some(year) => year - CALENDAR_YEARS..=year + CALENDAR_YEARS,
        None => 1970..=2100,
    };
    if is_calendar(url) && year_in(url).is_some_and(|year| !years_hold(&years, year)) {
        return Err(RejectReason::TrapCalendar);
    }
    Ok(())
}

fn years_hold(years: &RangeInclusive<i32>, year: i32) -> bool {
    years.contains(&year)
}

/// The calendar year of an instant.
pub(super) fn year_of(now: Timestamp) -> Option<i32> {
    let millis = i64::try_from(now.as_millis()).ok()?;
    let instant = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(i32::from(instant.to_zoned(jiff::tz::TimeZone::UTC).year()))
}

/// Whether a group of `length` segments follows itself often enough. A single number may: `/11/11/11/` is a day.
fn repeats(segments: &[&str], length: usize) -> bool {
    segments.windows(length * REPETITIONS).any(|window| {
        let (Some(first), mut rest) = (window.get(..length), window.chunks(length).skip(1)) else { return false };
        let is_number = length == 1 && first.iter().all(|text| is_digits(text) && !text.is_empty());
        !is_number && rest.all(|group| group == first)
    })
}

fn has_session_id(url: &CanonicalUrl, segments: &[&str]) -> bool {
    let parameters = segments.iter().flat_map(|segment| segment.split(';').skip(1));
    let query = url.as_url().query().unwrap_or_default().split(['&', ';']);
    let names_one = parameters.chain(query).any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = key.to_ascii_lowercase();
        let is_named = SESSION_KEYS.contains(&key.as_str()) || key.starts_with("aspsessionid");
        (is_named && !value.is_empty()) || (PERHAPS_SESSION_KEYS.contains(&key.as_str()) && is_long_hex(value))
    });
    names_one || segments.iter().any(|segment| is_cookieless_asp(segment))
}

fn is_long_hex(value: &str) -> bool {
    value.len() >= MIN_SESSION_DIGITS && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `/(S(24 characters))/`, which ASP.NET writes into paths of visitors without cookies.
fn is_cookieless_asp(segment: &str) -> bool {
    let inner = segment.strip_prefix("(S(").and_then(|rest| rest.strip_suffix("))"));
    inner.is_some_and(|id| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether a URL says that it is a page of a calendar: by a segment or a query key. A year in a path alone does
/// not: archives have it too, and end.
pub(super) fn is_calendar(url: &CanonicalUrl) -> bool {
    let names = |text: &str| {
        let text = text.to_ascii_lowercase();
        matches!(text.as_str(), "calendar" | "cal" | "events" | "event" | "kalender" | "agenda" | "tribe-bar-date")
            || text.contains("calendar")
    };
    let keys =
        || url.as_url().query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or(pair));
    let has_year_and_month = keys().any(|key| key == "year") && keys().any(|key| key == "month");
    url.as_url().path().split('/').any(names) || keys().any(names) || has_year_and_month
}

/// The year of the first date in path or query: `2031/05`, `2031-05`, `203105`, `year=2031`.
fn year_in(url: &CanonicalUrl) -> Option<i32> {
    let path_and_query = url.path_and_query();
    if let Some(year) =
        url.as_url().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("year=")))
    {
        return if is_digits(year) { year.get(..year.len().min(9))?.parse().ok() } else { None };
    }
    let parts: Vec<&str> = path_and_query.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let pairs = parts.iter().zip(parts.iter().skip(1).chain([&""]));
    pairs.filter(|(part, _)| is_digits(part)).find_map(|(part, next)| match part.len() {
        4 if is_month(next) => part.parse().ok(),
        6 | 8 if is_month(part.get(4..6)?) => part.get(..4)?.parse().ok(),
        _ => None,
    })
}

fn is_month(text: &str) -> bool {
    is_digits(text) && text.len() <= 2 && text.parse().is_ok_and(|month: u8| (1..=12).contains(&month))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
