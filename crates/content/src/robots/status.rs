//! What the status of a robots.txt answer means.

/// What an answer to `GET /robots.txt` says before its body is read (RFC 9309 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMeaning {
    /// 2xx: the body holds the rules.
    Rules,
    /// 4xx without 429: there are no rules, everything may be fetched.
    AllowAll,
    /// 5xx, 429 and what is no final status: the rules are unreachable; nothing may be fetched, ask again later.
    DisallowAll,
    /// 3xx: follow at least five hops, each through its own host's gate; beyond them there are no rules (§2.3.1.2).
    Redirect,
}

/// The meaning of a robots.txt answer's status.
///
/// 401 and 403 are "unavailable" like any 4xx: the RFC leaves no room for the old habit of reading them as a ban.
/// 429 asks to come back later, so it is read like 5xx. A network error counts like 5xx too.
#[must_use]
pub const fn status_meaning(status: u16) -> StatusMeaning {
    match status {
        200..=299 => StatusMeaning::Rules,
        300..=399 => StatusMeaning::Redirect,
        429 => StatusMeaning::DisallowAll,
        400..=499 => StatusMeaning::AllowAll,
        _ => StatusMeaning::DisallowAll,
    }
}
