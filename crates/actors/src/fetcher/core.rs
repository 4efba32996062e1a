//! What an answer means. Pure.

use crate::frontier::Health;
use argiope_protocol::{CanonicalUrl, FailReason, Lease, Limits, PageKey, SkipReason, Timestamp};
use std::time::Duration;

/// Longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// What to do with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Parse the body.
    Parse,
    /// 304: the page is as it was.
    NotModified,
    /// Offer this URL, whose redirect chain is given.
    Redirect(CanonicalUrl, Vec<PageKey>),
    /// No page here.
    Skip(SkipReason),
    /// This attempt failed.
    Fail(FailReason, Option<Timestamp>),
}

/// The parts of an answer that decide.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) location: Option<&'a str>,
    pub(super) retry_after: Option<Duration>,
}

/// Judges an answer and what it says about its host.
pub(super) fn judge(answer: &Answer<'_>, lease: &Lease, limits: &Limits, now: Timestamp) -> (Verdict, Health) {
    match answer.status {
        200 | 203 => (Verdict::Parse, Health::Fine),
        304 => (Verdict::NotModified, Health::Fine),
        300..=399 => (judge_redirect(answer.location, lease, limits), Health::Fine),
        404 | 410 => (Verdict::Skip(SkipReason::Gone), Health::Fine),
        429 => overloaded(answer.retry_after, now),
        503 if answer.retry_after.is_some() => overloaded(answer.retry_after, now),
        408 | 500..=599 => (Verdict::Fail(FailReason::HttpServerError, None), Health::Trouble),
        // 204, 205, 206 and the rest of 2xx answer a GET without the page.
        200..=299 => (Verdict::Skip(SkipReason::Empty), Health::Fine),
        400..=499 => (Verdict::Fail(FailReason::HttpClientError, None), Health::Fine),
        // RFC 9110 §15: a status outside of 100 to 599 is treated as a 5xx; a final 1xx is no answer.
        600.. => (Verdict::Fail(FailReason::HttpServerError, None), Health::Trouble),
        _ => (Verdict::Fail(FailReason::Protocol, None), Health::Trouble),
    }
}

fn overloaded(retry_after: Option<Duration>, now: Timestamp) -> (Verdict, Health) {
    let retry_at = retry_after.map(|pause| now.after(pause.min(MAX_RETRY_AFTER)));
    (Verdict::Fail(FailReason::HttpTooManyRequests, retry_at), Health::Overloaded(retry_after))
}

fn judge_redirect(location: Option<&str>, lease: &Lease, limits: &Limits) -> Verdict {
    let candidate = &lease.candidate;
    let Some(target) = location.and_then(|location| CanonicalUrl::join(candidate.url.as_url(), location).ok()) else {
        return Verdict::Fail(FailReason::RedirectInvalid, None);
    };
    let mut chain = candidate.redirect_chain.clone();
    chain.push(PageKey::of(&candidate.url));
    if chain.contains(&PageKey::of(&target)) {
        return Verdict::Fail(FailReason::RedirectLoop, None);
    }
    if chain.len() > usize::from(limits.max_redirects) {
        return Verdict::Fail(FailReason::TooManyRedirects, None);
    }
    Verdict::Redirect(target, chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{Candidate, Epoch, JobId, LeaseToken, TenantId};

    fn lease(url: &str, chain: &[&str]) -> Lease {
        let parse = |url: &str| CanonicalUrl::parse(url).expect("valid");
        let mut candidate = Candidate::seed(parse(url));
        candidate.redirect_chain = chain.iter().map(|url| PageKey::of(&parse(url))).collect();
        Lease {
            token: LeaseToken { epoch: Epoch(1), seq: 1 },
            tenant: TenantId::default(),
            job: JobId::from_uuid(uuid::Uuid::nil()),
            host: candidate.url.host(),
            candidate,
            attempt: 1,
            deadline: Timestamp::MAX,
        }
    }

    #[track_caller]
    fn check(status: u16, location: Option<&str>, retry_after: Option<u64>, expected: &str) {
        let answer = Answer { status, location, retry_after: retry_after.map(Duration::from_secs) };
        let lease = lease("http://a.example/x", &["http://a.example/w"]);
        let (verdict, _) = judge(&answer, &lease, &Limits { max_redirects: 2, ..Limits::default() }, Timestamp::ZERO);
        let shown = match verdict {
            Verdict::Parse => "parse".to_owned(),
            Verdict::NotModified => "not modified".to_owned(),
            Verdict::Redirect(target, chain) => format!("{target} after {}", chain.len()),
            Verdict::Skip(reason) => reason.code().to_owned(),
            Verdict::Fail(reason, at) => format!("{reason} {:?}", at.map(Timestamp::as_millis)),
        };
        assert_eq!(shown, expected, "status {status}");
    }

    #[test]
    fn statuses_have_their_meaning() {
        check(200, None, None, "parse");
        check(204, None, None, "empty");
        check(304, None, None, "not modified");
        check(301, Some("/y"), None, "http://a.example/y after 2");
        check(302, Some("//b.example/"), None, "http://b.example/ after 2");
        check(302, Some("/x#frag"), None, "redirect_loop None");
        check(302, Some("/w"), None, "redirect_loop None");
        check(302, None, None, "redirect_invalid None");
        check(302, Some("ftp://b.example/"), None, "redirect_invalid None");
        check(404, None, None, "gone");
        check(410, None, None, "gone");
        check(403, None, None, "http_client_error None");
        check(429, None, Some(7), "http_too_many_requests Some(7000)");
        check(429, None, None, "http_too_many_requests None");
        check(503, None, Some(9), "http_too_many_requests Some(9000)");
        check(503, None, None, "http_server_error None");
        check(999, None, None, "http_server_error None");
    }

    #[test]
    fn long_chains_end() {
        let answer = Answer { status: 301, location: Some("/next"), retry_after: None };
        let lease = lease("http://a.example/c", &["http://a.example/a", "http://a.example/b"]);
        let limits = Limits { max_redirects: 2, ..Limits::default() };
        assert_eq!(
            judge(&answer, &lease, &limits, Timestamp::ZERO).0,
            Verdict::Fail(FailReason::TooManyRedirects, None)
        );
    }
}
