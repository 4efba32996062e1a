//! Pages made to break a crawler, each under a known path, with what should become of it.
//!
//! The front page links to all of them and is itself harmless. What a page should come to is a closed set of this
//! project's own reason codes; where the order of two checks is a matter of taste, both are allowed.

mod pages;

use crate::http::{Request, Response};
use crate::site::{Content, SiteHost};
use argiope_protocol::{FailReason, RejectReason, SkipReason};

/// What should become of a hostile URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A page is stored.
    Stored,
    /// It ends as skipped.
    Skipped(SkipReason),
    /// It ends as failed.
    Failed(FailReason),
    /// The page is stored, but links like those on it are rejected sooner or later.
    LinksRejected(RejectReason),
}

impl Outcome {
    /// The reason's code; `stored` when there is none.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Skipped(reason) => reason.code(),
            Self::Failed(reason) => reason.code(),
            Self::LinksRejected(reason) => reason.code(),
        }
    }
}

/// One hostile URL.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its path and query.
    pub path: &'static str,
    /// What is hostile about it.
    pub what: &'static str,
    /// What should become of it: one of these.
    pub outcomes: &'static [Outcome],
    /// Whether asking for it takes as long as the crawler's own time limits.
    pub is_slow: bool,
}

use FailReason as Fail;
use Outcome::{Failed, LinksRejected, Skipped, Stored};

const fn case(path: &'static str, what: &'static str, outcomes: &'static [Outcome]) -> Case {
    Case { path, what, outcomes, is_slow: false }
}

const fn slow(path: &'static str, what: &'static str, outcomes: &'static [Outcome]) -> Case {
    Case { path, what, outcomes, is_slow: true }
}

/// All of them.
pub const CASES: &[Case] = &[
    case("/deep", "100,000 nested elements", &[Failed(Fail::ParseBounds)]),
    case("/deep-tables", "20,000 nested tables", &[Failed(Fail::ParseBounds)]),
    case("/tags", "9.5 MiB of start tags", &[Failed(Fail::ParseBounds)]),
    case(
        "/formatting",
        "unclosed formatting elements that every paragraph reopens",
        &[Stored, Failed(Fail::ParseBounds)],
    ),
    case("/attributes", "an element with 100,000 attributes", &[Stored, Failed(Fail::ParseBounds)]),
    case("/one-attribute", "an attribute of 5 MiB", &[Stored, Skipped(SkipReason::Empty)]),
    // An unoptimised build on a busy machine takes about as long as the parser may.
    case("/brackets", "1 MiB of '<'", &[Stored, Skipped(SkipReason::Empty), Failed(Fail::ParseBounds)]),
    case("/unclosed", "text behind an unclosed script and comment", &[Stored, Skipped(SkipReason::Empty)]),
    case("/entities", "1 MiB of character references", &[Stored]),
    case("/one-word", "a word of 2 MiB", &[Stored]),
    case("/many-links", "20,000 links", &[Stored, LinksRejected(RejectReason::TooManyLinks)]),
    case("/odd-links", "links that are no URLs, a base that is none", &[Stored]),
    case("/long-link", "a link of 5,000 bytes", &[LinksRejected(RejectReason::UrlTooLong)]),
    case("/gzip-bomb", "200 MiB of zeros in 200 KiB", &[Failed(Fail::DecompressionBomb), Failed(Fail::BodyTooLarge)]),
    case("/double-gzip", "a page in gzip in gzip, both named", &[Stored, Failed(Fail::ContentEncoding)]),
    case("/not-gzip", "plain text called gzip", &[Failed(Fail::ContentEncoding)]),
    case(
        "/unknown-coding",
        "plain text under a content coding that nobody knows",
        &[Stored, Failed(Fail::ContentEncoding)],
    ),
    case("/torn-gzip", "half of a gzip stream", &[Failed(Fail::ContentEncoding), Failed(Fail::Protocol)]),
    case("/endless", "chunks without end", &[Failed(Fail::BodyTooLarge)]),
    case("/large", "a body of 50 MiB, announced", &[Failed(Fail::BodyTooLarge)]),
    case("/huge-length", "an announced length of 8 EiB", &[Failed(Fail::BodyTooLarge)]),
    case("/header-flood", "header fields without end", &[Failed(Fail::HeadersTooLarge), Failed(Fail::Protocol)]),
    case("/long-header", "a header field of 1 MiB", &[Failed(Fail::HeadersTooLarge), Failed(Fail::Protocol)]),
    case("/truncated", "a body that ends before its length", &[Failed(Fail::Protocol)]),
    case("/reset", "a reset instead of an answer", &[Failed(Fail::Protocol), Failed(Fail::Connect)]),
    case("/garbage", "an answer that is not HTTP", &[Failed(Fail::Protocol)]),
    case("/two-lengths", "two lengths that differ", &[Failed(Fail::Protocol), Stored]),
    slow("/silence", "no answer at all", &[Failed(Fail::Timeout), Failed(Fail::TooSlow)]),
    slow("/drip", "a byte every 300 ms", &[Failed(Fail::TooSlow), Failed(Fail::Timeout)]),
    case(
        "/loop/a",
        "two pages that redirect to each other",
        &[Skipped(SkipReason::Redirected), Failed(Fail::RedirectLoop)],
    ),
    case("/loop/self", "a page that redirects to itself", &[Failed(Fail::RedirectLoop)]),
    case("/chain/0", "redirects without end; the first", &[Skipped(SkipReason::Redirected)]),
    case(
        "/chain/11",
        "redirects without end; one of them",
        &[Skipped(SkipReason::Redirected), Failed(Fail::TooManyRedirects)],
    ),
    case("/redirect/none", "a redirect without a target", &[Failed(Fail::RedirectInvalid)]),
    case("/redirect/broken", "a redirect to no URL", &[Failed(Fail::RedirectInvalid)]),
    case("/redirect/file", "a redirect to a file URL", &[Failed(Fail::RedirectInvalid), Failed(Fail::EgressDenied)]),
    case(
        "/calendar?month=2026-01",
        "a calendar without end",
        &[
            LinksRejected(RejectReason::TrapCalendar),
            LinksRejected(RejectReason::TrapShapeBudget),
            LinksRejected(RejectReason::TooDeep),
        ],
    ),
    case("/shop?a=1", "every permutation of a query", &[LinksRejected(RejectReason::TrapShapeBudget)]),
    case(
        "/spiral/x/",
        "a relative link that adds a segment",
        &[
            LinksRejected(RejectReason::TrapRepeatedSegments),
            LinksRejected(RejectReason::TrapPathDepth),
            LinksRejected(RejectReason::TooDeep),
        ],
    ),
    case(
        "/session",
        "links with a new session id each",
        &[LinksRejected(RejectReason::TrapSessionId), LinksRejected(RejectReason::TrapShapeBudget)],
    ),
    case("/broken-utf8", "bytes that are not the charset they say", &[Stored]),
    case("/unknown-charset", "a charset that nobody knows", &[Stored]),
    case("/utf16", "UTF-16 without a word of it", &[Stored, Skipped(SkipReason::Empty)]),
    case("/nul", "zero bytes between the words", &[Stored]),
    case("/pdf-as-html", "a PDF called text/html", &[Skipped(SkipReason::UnsupportedMedia)]),
    case("/image-as-html", "a PNG called text/html", &[Skipped(SkipReason::UnsupportedMedia)]),
    case("/pdf", "a PDF", &[Skipped(SkipReason::UnsupportedMedia)]),
    case("/no-type", "HTML without a media type", &[Stored]),
    case("/empty", "a body without a byte", &[Skipped(SkipReason::Empty)]),
    case("/noindex", "a page that asks not to be indexed", &[Skipped(SkipReason::NoIndex)]),
    case("/noindex-header", "the same in a header field", &[Skipped(SkipReason::NoIndex)]),
    case("/status/404", "a page that is not there", &[Skipped(SkipReason::Gone)]),
    case("/status/418", "a status of the client's fault", &[Failed(Fail::HttpClientError)]),
    case("/status/500", "a server that fails", &[Failed(Fail::HttpServerError)]),
    case("/status/999", "a status that nobody knows", &[Failed(Fail::HttpServerError)]),
];

/// The host that serves them.
#[derive(Debug, Default)]
pub struct Hostile {
    /// Leave the slow ones out of the front page.
    pub without_slow: bool,
}

impl Content for Hostile {
    fn answer(&self, request: &Request, _hosts: &[SiteHost]) -> Response {
        match request.path() {
            "/" => pages::front(self.without_slow),
            "/robots.txt" => Response::ok("text/plain", "User-agent: *\nAllow: /\n"),
            _ => pages::answer(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_a_path_of_its_own_an_outcome_and_an_answer() {
        let paths: HashSet<&str> = CASES.iter().map(|case| case.path).collect();
        assert_eq!(paths.len(), CASES.len());
        for case in CASES {
            assert!(!case.outcomes.is_empty() && !case.outcomes.iter().any(|o| o.code().is_empty()), "{}", case.path);
            let request = Request { target: case.path.to_owned(), ..Request::default() };
            let answer = Hostile::default().answer(&request, &[]);
            assert!(answer.status != 404 || case.path == "/status/404", "{} is not served", case.path);
        }
    }
}
