//! One spelling for what sites write in many: what is done to a robots.txt before it is parsed.
//!
//! Each line that matters is written anew: rules in the form in which URLs are matched, user agents as bare
//! product tokens, delays as plain seconds. All other lines are left out, so they cannot split a group
//! (RFC 9309 §2.2.4).

use super::MAX_ROBOTS_BYTES;

/// Bytes of a line that are read. Longer than any URL that is crawled (2,083 bytes) can need, and a line is never
/// cut inside what could match.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// Delays above a day are written as a day: they are capped far below it anyway, and stay printable.
const LONGEST_DELAY_SECS: f64 = 86_400.0;

/// A robots.txt in our own spelling.
pub(super) struct Prepared {
    /// Groups and their rules. Without delays: a line the RFC does not know may not end a list of user agents.
    pub(super) rules: Vec<u8>,
    /// Groups with delays, where a delay ends a list of user agents, as its author meant.
    pub(super) with_delays: Vec<u8>,
    /// Values of `Sitemap:` lines as written.
    pub(super) sitemaps: Vec<String>,
}

/// `None` when the body is HTML or XML: an error page served with status 200 holds no rules.
pub(super) fn prepare(body: &[u8]) -> Option<Prepared> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if is_markup(body) {
        return None;
    }
    let mut prepared = Prepared { rules: Vec::new(), with_delays: Vec::new(), sitemaps: Vec::new() };
    let mut has_group = false;
    for line in first_whole_lines(body).split(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        let Some((key, value)) = key_and_value(line) else { continue };
        match key {
            Key::UserAgent => {
                has_group = true;
                let line = format!("User-agent: {}\n", product_token(value));
                prepared.rules.extend_from_slice(line.as_bytes());
                prepared.with_delays.extend_from_slice(line.as_bytes());
            }
            // A rule before the first user agent belongs to nobody (RFC 9309 §2.1).
            Key::Allow | Key::Disallow if !has_group => {}
            // An empty rule matches nothing, but it ends the list of user agents; an empty `Allow` does just that.
            Key::Allow | Key::Disallow => {
                let name = if key == Key::Allow || value.is_empty() { "Allow" } else { "Disallow" };
                prepared.rules.extend_from_slice(format!("{name}: {}\n", match_form_of_rule(value)).as_bytes());
                prepared.with_delays.extend_from_slice(b"Allow:\n");
            }
            Key::CrawlDelay => {
                if let Some(secs) = delay_secs(value) {
                    prepared.with_delays.extend_from_slice(format!("Crawl-delay: {secs}\n").as_bytes());
                }
            }
            Key::Sitemap => prepared.sitemaps.push(String::from_utf8_lossy(value).into_owned()),
        }
    }
    Some(prepared)
}

/// The file without rules that do not compile: a refused `Disallow` loses its `$` and so forbids more, a refused
/// `Allow` is dropped and so permits less.
pub(super) fn without_refused_rules(rules: &[u8], compiles: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(rules.len());
    for line in rules.split_inclusive(|byte| *byte == b'\n') {
        if !line.contains(&b'$') || compiles(&[b"User-agent: *\n", line].concat()) {
            kept.extend_from_slice(line);
        } else if line.starts_with(b"Disallow") {
            kept.extend(line.iter().copied().filter(|byte| *byte != b'$'));
        } else {
            kept.extend_from_slice(b"Allow:\n");
        }
    }
    kept
}

/// The name that groups are compared by: everything before the first byte that a token cannot hold, in lower case.
/// RFC 9309 §2.2.1 allows letters, `-` and `_`; digits are kept too, since known crawlers have them in their names.
/// `*` stands for everybody, also with something behind it.
pub(super) fn product_token(text: &[u8]) -> String {
    if text.first() == Some(&b'*') {
        return "*".to_owned();
    }
    let is_token = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.iter().take_while(is_token).map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// Path and query of a URL in the form that rules are compared with. `*` and `$` are ordinary characters of a URL
/// and special ones of a rule, where they are written as escapes (RFC 9309 §2.2.3): so they are escaped here.
pub(super) fn match_form_of_url(path_and_query: &str) -> String {
    match_form(path_and_query.as_bytes(), |byte, _| matches!(byte, b'*' | b'$'))
}

/// `$` ends a pattern only as its last character; anywhere else it stands for itself.
fn match_form_of_rule(rule: &[u8]) -> String {
    let last = rule.len().saturating_sub(1);
    match_form(rule, |byte, at| byte == b'$' && at != last)
}

/// RFC 9309 §2.2.2: escapes of unreserved characters are undone, other escapes get upper-case digits, and what a
/// URL cannot hold unescaped is escaped. Behind the first `?`, where `:`, `/`, `?` and `@` mean themselves whether
/// escaped or not (RFC 3986 §3.4), they are written unescaped.
fn match_form(text: &[u8], must_escape: impl Fn(u8, usize) -> bool) -> String {
    let mut form = String::with_capacity(text.len() + 16);
    let mut is_query = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = if byte == b'%' { text.get(at + 1..at + 3).and_then(hex_value) } else { None };
        match escaped {
            Some(value) if is_unreserved(value) || (is_query && matches!(value, b':' | b'/' | b'?' | b'@')) => {
                form.push(char::from(value));
            }
            Some(value) => push_escape(&mut form, value),
            None if must_escape(byte, at) || !may_stand(byte) => push_escape(&mut form, byte),
            None => form.push(char::from(byte)),
        }
        is_query |= byte == b'?';
        at += if escaped.is_some() { 3 } else { 1 };
    }
    form
}

fn push_escape(form: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    form.push('%');
    form.push(DIGITS[usize::from(byte >> 4)]);
    form.push(DIGITS[usize::from(byte & 15)]);
}

fn hex_value(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Unreserved, reserved (RFC 3986 §2.2, §2.3), or a `%` that starts no escape.
const fn may_stand(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(')
        || matches!(byte, b')' | b'*' | b'+' | b',' | b';' | b'=' | b'%')
}

/// Seconds of a `Crawl-delay` value. Plain numbers (`10`, `0.5`, `1e9`), and a number with a unit behind it, which
/// some sites write although nobody defined it: `10s`, `500ms`, `2 min`, `1h`. Anything else behind a number is
/// read as seconds.
fn delay_secs(value: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(value).ok()?;
    if let Some(secs) = text.parse::<f64>().ok().filter(|secs| !secs.is_nan()) {
        return (secs >= 0.0).then(|| secs.min(LONGEST_DELAY_SECS));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number = number.parse::<f64>().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = if unit.starts_with("ms") || unit.starts_with("milli") {
        0.001
    } else if unit.starts_with('m') {
        60.0
    } else if unit.starts_with('h') {
        3_600.0
    } else {
        1.0
    };
    Some((number * factor).min(LONGEST_DELAY_SECS))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    UserAgent,
    Allow,
    Disallow,
    CrawlDelay,
    Sitemap,
}

/// Key and trimmed value of a line, comment dropped. A colon ends the key, or white space where it is missing.
/// Misspelt keys are those that Google's parser accepts.
fn key_and_value(line: &[u8]) -> Option<(Key, &[u8])> {
    let line = line.get(..MAX_LINE_BYTES).unwrap_or(line);
    let line = line.split(|byte| *byte == b'#').next()?.trim_ascii();
    let end = line.iter().position(|byte| *byte == b':').or_else(|| line.iter().position(u8::is_ascii_whitespace))?;
    let (key, rest) = line.split_at_checked(end)?;
    let key = match key.trim_ascii().to_ascii_lowercase().as_slice() {
        b"user-agent" | b"user agent" | b"useragent" => Key::UserAgent,
        b"allow" => Key::Allow,
        b"disallow" | b"dissallow" | b"dissalow" | b"disalow" | b"diasllow" | b"disallaw" => Key::Disallow,
        b"crawl-delay" | b"crawl delay" | b"crawldelay" => Key::CrawlDelay,
        b"sitemap" | b"site-map" | b"site map" => Key::Sitemap,
        _ => return None,
    };
    Some((key, rest.get(1..)?.trim_ascii()))
}

/// The first [`MAX_ROBOTS_BYTES`]; a line that reaches beyond them is left out, since half a rule is another rule.
fn first_whole_lines(body: &[u8]) -> &[u8] {
    let Some(head) = body.get(..MAX_ROBOTS_BYTES).filter(|_| body.len() > MAX_ROBOTS_BYTES) else { return body };
    let end = head.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(0);
    head.get(..end).unwrap_or_default()
}

fn is_markup(body: &[u8]) -> bool {
    const OPENINGS: [&[u8]; 10] =
        [b"<!doctype", b"<html", b"<head", b"<body", b"<title", b"<meta", b"<script", b"<div", b"<!--", b"<?xml"];
    let start = body.trim_ascii_start();
    OPENINGS.iter().any(|opening| start.get(..opening.len()).is_some_and(|head| head.eq_ignore_ascii_case(opening)))
}
