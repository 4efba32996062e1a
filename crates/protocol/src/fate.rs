//! How a URL's way ends, and why. Closed sets: they are metric labels, counters' keys and part of the wire.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// New content: page record, chunks and outlinks are durable, old chunks are gone.
    Stored,
    /// The page is as it was.
    Unchanged,
    /// No page is needed or allowed here.
    Skipped(SkipReason),
    /// This attempt failed. With `retry_at` and attempts left the URL goes back to the queue; else it is final.
    Failed(FailReason, Option<Timestamp>),
}

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* #[doc = concat!(" (`", $code, "`)")] $variant,)+ }

        impl $name {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code shown to users and used as a metric label.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

reasons! {
    /// Why an admitted URL ended without a page.
    SkipReason {
        /// robots.txt forbids it.
        RobotsDenied = "robots_denied",
        /// The page asks not to be indexed (meta robots or `X-Robots-Tag`); its links may still have been followed.
        NoIndex = "no_index",
        /// It redirects; the target was offered to the frontier.
        Redirected = "redirected",
        /// Its canonical URL is another page of the same host, which was offered to the frontier.
        CanonicalElsewhere = "canonical_elsewhere",
        /// The server answered 404 or 410; a page that was stored before is removed.
        Gone = "gone",
        /// A media type that is not turned into text yet (PDF, images, archives).
        UnsupportedMedia = "unsupported_media",
        /// A sitemap or feed: its entries were offered to the frontier.
        SitemapRead = "sitemap_read",
        /// The page holds no text.
        Empty = "empty",
        /// It looked like a crawler trap when its turn came.
        Trap = "trap",
        /// The job was cancelled before its turn came.
        Cancelled = "cancelled",
    }
}

reasons! {
    /// Why an attempt, and after the last one the URL, failed.
    FailReason {
        /// The egress policy denies the address.
        EgressDenied = "egress_denied",
        /// The name does not resolve.
        Dns = "dns",
        /// No connection (refused, reset, unreachable).
        Connect = "connect",
        /// No connection within the connect timeout.
        ConnectTimeout = "connect_timeout",
        /// TLS handshake or certificate.
        Tls = "tls",
        /// The whole exchange took longer than the total timeout.
        Timeout = "timeout",
        /// The body came slower than the minimum rate.
        TooSlow = "too_slow",
        /// The connection broke in the middle of an answer, or the answer is not HTTP.
        Protocol = "protocol",
        /// Too many or too large header fields.
        HeadersTooLarge = "headers_too_large",
        /// The body exceeds the cap.
        BodyTooLarge = "body_too_large",
        /// The body's decompression exceeds the cap on its ratio.
        DecompressionBomb = "decompression_bomb",
        /// The body does not decode by its Content-Encoding.
        ContentEncoding = "content_encoding",
        /// An HTTP status of 4xx other than 404 and 410.
        HttpClientError = "http_client_error",
        /// 429, or 503 with Retry-After.
        HttpTooManyRequests = "http_too_many_requests",
        /// An HTTP status of 5xx, or none that we know.
        HttpServerError = "http_server_error",
        /// A redirect without a usable target.
        RedirectInvalid = "redirect_invalid",
        /// A redirect to a URL of its own chain.
        RedirectLoop = "redirect_loop",
        /// More redirects than allowed.
        TooManyRedirects = "too_many_redirects",
        /// robots.txt could not be read (5xx or network), so nothing may be fetched.
        RobotsUnreachable = "robots_unreachable",
        /// The page exceeded the parser's bounds on nodes, depth or CPU time.
        ParseBounds = "parse_bounds",
        /// The embedder failed.
        Embed = "embed",
        /// A store failed.
        Store = "store",
        /// The lease ran out, or its holder died, too often.
        LeaseLost = "lease_lost",
        /// A defect of ours; the log has the details.
        Internal = "internal",
    }
}

reasons! {
    /// Why a link was never admitted. Counted per job, with samples.
    RejectReason {
        /// Not an http or https URL that parses.
        InvalidUrl = "invalid_url",
        /// Longer than the limit.
        UrlTooLong = "url_too_long",
        /// Outside the job's scope (host or directory).
        OutOfScope = "out_of_scope",
        /// Matches `--exclude`, or none of `--include`.
        Filtered = "filtered",
        /// Deeper than the limit.
        TooDeep = "too_deep",
        /// The job's page limit is reached.
        OverBudget = "over_budget",
        /// `rel=nofollow`, or a page that says `nofollow`.
        NoFollow = "no_follow",
        /// A media type by its file name that is never turned into text (images, archives, fonts, media).
        MediaExtension = "media_extension",
        /// More links on the page than the limit.
        TooManyLinks = "too_many_links",
        /// Path segments repeat.
        TrapRepeatedSegments = "trap_repeated_segments",
        /// The path is deeper than any real site's.
        TrapPathDepth = "trap_path_depth",
        /// One path prefix or query shape has used up its share.
        TrapShapeBudget = "trap_shape_budget",
        /// A session id in path or query.
        TrapSessionId = "trap_session_id",
        /// A calendar without end.
        TrapCalendar = "trap_calendar",
    }
}

impl FailReason {
    /// Whether another attempt may end differently.
    #[must_use]
    pub const fn is_worth_retrying(self) -> bool {
        match self {
            Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Timeout
            | Self::TooSlow
            | Self::Protocol
            | Self::HttpTooManyRequests
            | Self::HttpServerError
            | Self::RobotsUnreachable
            | Self::Embed
            | Self::Store
            | Self::LeaseLost
            | Self::Internal => true,
            Self::EgressDenied
            | Self::Tls
            | Self::HeadersTooLarge
            | Self::BodyTooLarge
            | Self::DecompressionBomb
            | Self::ContentEncoding
            | Self::HttpClientError
            | Self::RedirectInvalid
            | Self::RedirectLoop
            | Self::TooManyRedirects
            | Self::ParseBounds => false,
        }
    }
}
