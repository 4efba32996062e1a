//! The hostile answers themselves.

use super::CASES;
use crate::http::{Body, Request, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const MIB: usize = 1024 * 1024;
const TEXT: &str = "<p>The quick brown fox jumps over the lazy dog while the spider waits in its web.</p>";

/// Made once: it costs a second.
static BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; MIB];
    for _ in 0..200 {
        encoder.write_all(&zeros).expect("writing to memory cannot fail");
    }
    encoder.finish().expect("writing to memory cannot fail").into()
});

pub(super) fn front(without_slow: bool) -> Response {
    let mut page = format!("<!doctype html><title>Hostile pages</title><h1>Hostile pages</h1>{TEXT}<ul>");
    for case in CASES.iter().filter(|case| !(case.is_slow && without_slow)) {
        let _ = writeln!(page, "<li><a href=\"{}\">{}</a>", case.path, case.what.replace('<', "&lt;"));
    }
    Response::html(page)
}

pub(super) fn answer(request: &Request) -> Response {
    let path = request.path();
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match first {
        "loop" | "chain" | "redirect" => redirects(first, rest),
        "calendar" | "shop" | "spiral" | "session" => traps(first, request),
        "status" => rest.parse().map_or_else(|_| Response::status(404), Response::status),
        _ => parser(first).or_else(|| wire(first)).or_else(|| media(first)).unwrap_or_else(|| Response::status(404)),
    }
}

fn page(inner: &str) -> Response {
    Response::html(format!("<!doctype html><title>Hostile</title><body>{TEXT}{inner}"))
}

/// Against the parser.
fn parser(name: &str) -> Option<Response> {
    Some(match name {
        "deep" => page(&"<div>".repeat(100_000)),
        "deep-tables" => page(&"<table><tr><td>".repeat(20_000)),
        "tags" => page(&"<b>".repeat(9 * MIB / 3 + MIB / 6)),
        "formatting" => page(&format!("{}{}", "<b><i><u><a>".repeat(500), "<p>x".repeat(2_000))),
        "attributes" => page(&format!("<p {}>", numbered(100_000, |n| format!("a{n}=1 ")))),
        "one-attribute" => page(&format!("<p title=\"{}\">", "x".repeat(5 * MIB))),
        "brackets" => page(&"<".repeat(MIB)),
        "unclosed" => page("<p>before<!-- <script> while (true) { '</p>'"),
        "entities" => page(&"&amp;&#x41;&bogus;".repeat(MIB / 18)),
        "one-word" => page(&format!("<p>{}", "x".repeat(2 * MIB))),
        "many-links" => page(&numbered(20_000, |n| format!("<a href=/many/{n}>l</a>"))),
        "odd-links" => page(
            "<base href='javascript:void(0)'><a href='http://[::'>a</a><a href='mailto:x@test'>b</a>\
             <a href='  '>c</a><a href='http://'>d</a><a href='//'>e</a><a href='data:text/html,x'>f</a>",
        ),
        "long-link" => page(&format!("<a href=\"/{}\">long</a>", "x".repeat(5_000))),
        "noindex" => page("<meta name=robots content='noindex, follow'>"),
        "noindex-header" => page("").with("x-robots-tag", "noindex"),
        _ => return None,
    })
}

/// Against the client.
fn wire(name: &str) -> Option<Response> {
    let html = |body: Body| Response::new(200, body).with("content-type", "text/html");
    let coded = |coding: &str, bytes: Bytes| html(Body::Full(bytes)).with("content-encoding", coding);
    Some(match name {
        "gzip-bomb" => coded("gzip", BOMB.clone()),
        "double-gzip" => coded("gzip, gzip", gzip(&gzip(TEXT.as_bytes()))),
        "not-gzip" => coded("gzip", TEXT.into()),
        "unknown-coding" => coded("x-argiope-unknown", TEXT.into()),
        "torn-gzip" => {
            let whole = gzip(numbered(2_000, |n| format!("<p>{n}")).as_bytes());
            coded("gzip", whole.slice(..whole.len() / 2))
        }
        "endless" => html(Body::Endless("<p>and again ".repeat(1_000).into())),
        "large" => html(Body::Full(Bytes::from(vec![b'x'; 50 * MIB]))),
        "huge-length" => html(Body::Truncated { bytes: TEXT.into(), announced: i64::MAX.unsigned_abs() }),
        "header-flood" => html(Body::HeaderFlood),
        "long-header" => page("").with("x-long", &"x".repeat(MIB)),
        "truncated" => html(Body::Truncated { bytes: TEXT.into(), announced: 10_000 }),
        "reset" => html(Body::Reset),
        "garbage" => html(Body::Garbage(Bytes::from_static(b"\x16\x03\x01 this is no HTTP\n\n\0\xff"))),
        "two-lengths" => page("").with("content-length", "10"),
        "silence" => html(Body::Silence),
        "drip" => html(Body::Drip { bytes: TEXT.repeat(100).into(), step: 1, pause: Duration::from_millis(300) }),
        _ => return None,
    })
}

/// Against what says which kind of text it is.
fn media(name: &str) -> Option<Response> {
    const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";
    Some(match name {
        "broken-utf8" => {
            Response::html([b"<title>\xff\xfe caf\xe9</title><p>na\xefve \xf0\x28\x8c\x28 ", TEXT.as_bytes()].concat())
        }
        "unknown-charset" => Response::ok("text/html; charset=klingon-1", TEXT),
        "utf16" => {
            let text = format!("<title>wide</title>{TEXT}");
            Response::ok("text/html", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        }
        "nul" => Response::html(TEXT.replace(' ', " \0")),
        "pdf-as-html" => Response::html(PDF),
        "image-as-html" => Response::html(PNG),
        "pdf" => Response::ok("application/pdf", PDF),
        "no-type" => Response::new(200, Body::Full(format!("<!doctype html><title>t</title>{TEXT}").into())),
        "empty" => Response::html(""),
        _ => return None,
    })
}

fn redirects(kind: &str, rest: &str) -> Response {
    match (kind, rest) {
        ("loop", "a") => Response::redirect(302, "/loop/b"),
        ("loop", "b") => Response::redirect(302, "/loop/a"),
        ("loop", "self") => Response::redirect(301, "/loop/self"),
        ("chain", n) => Response::redirect(302, &format!("/chain/{}", n.parse().unwrap_or(0_u64).wrapping_add(1))),
        ("redirect", "none") => Response::new(302, Body::Full(Bytes::new())),
        ("redirect", "broken") => Response::redirect(302, "http://[broken"),
        ("redirect", "file") => Response::redirect(302, "file:///etc/hostname"),
        _ => Response::status(404),
    }
}

fn traps(kind: &str, request: &Request) -> Response {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    match kind {
        "calendar" => {
            let (year, month) = query.strip_prefix("month=").and_then(|date| date.split_once('-')).unwrap_or_default();
            let months = year.parse().unwrap_or(2026_u32).saturating_mul(12) + month.parse().unwrap_or(1_u32);
            let link = |months: u32| {
                format!("<a href=\"/calendar?month={}-{:02}\">m</a>", (months - 1) / 12, (months - 1) % 12 + 1)
            };
            page(&format!("<p>No events in month {months}.</p>{}{}", link(months.max(13) - 1), link(months + 1)))
        }
        "shop" => {
            let name = |n: u64| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
            let link = |n: u64| format!("<a href=\"/shop?{query}&amp;{}={}\">narrow</a>", name(n * 7), n % 10);
            let seed = xxh3_64(query.as_bytes()) % 1_000;
            page(&(0..20).map(|n| link(seed + n)).collect::<String>())
        }
        "spiral" => page("<a href=\"x/\">deeper</a>"),
        _ => {
            let seed = xxh3_64(request.target.as_bytes());
            page(
                &(0..20_u64)
                    .map(|n| format!("<a href=\"/session?PHPSESSID={:032x}\">in</a>", u128::from(seed ^ n) << 32))
                    .collect::<String>(),
            )
        }
    }
}

fn numbered(n: usize, each: impl Fn(usize) -> String) -> String {
    (0..n).map(each).collect()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail").into()
}
