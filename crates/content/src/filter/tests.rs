//! Case tables. `check` asks as a job over everything, `check_scope` as one with anchors.

use super::*;
use argiope_protocol::{Politeness, ProcessMode, Scope, ScopeMode, TenantId, job::Retain};
use proptest::prelude::*;

fn url(text: &str) -> CanonicalUrl {
    CanonicalUrl::parse(text).expect("a valid URL")
}

fn spec(scope: Scope) -> JobSpec {
    JobSpec {
        tenant: TenantId::default(),
        seeds: vec![url("https://example.org/")],
        scope,
        limits: Limits::default(),
        politeness: Politeness::default(),
        process: ProcessMode::default(),
        retain: Retain::default(),
        sitemaps: true,
    }
}

fn filter(mode: ScopeMode, anchors: &[&str]) -> UrlFilter {
    let anchors: Vec<CanonicalUrl> = anchors.iter().map(|text| url(text)).collect();
    UrlFilter::try_new(&spec(Scope { mode, ..Scope::default() }), &anchors).expect("no patterns")
}

fn code(result: Result<(), RejectReason>) -> &'static str {
    result.map_or_else(RejectReason::code, |()| "ok")
}

#[track_caller]
fn check(path: &str, expected: &str) {
    let url = url(&format!("https://example.org{path}"));
    // 2026-11-21.
    let filter = filter(ScopeMode::Any, &[]).at(Timestamp::from_millis(1_795_219_200_000));
    assert_eq!(code(filter.check(&url, 1, UrlSource::Link)), expected, "{path}");
}

#[track_caller]
fn check_scope(mode: ScopeMode, anchor: &str, text: &str, expected: bool) {
    let result = filter(mode, &[anchor]).check(&url(text), 1, UrlSource::Link);
    assert_eq!(code(result), if expected { "ok" } else { "out_of_scope" }, "{anchor} {text}");
}

#[test]
fn scope_is_measured_from_the_anchors() {
    use ScopeMode::{Any, Directory, Domain, Host};
    let anchor = "https://www.example.org/docs/index.html";
    for text in ["https://example.org/docs/", "http://www.example.org/docs/a/b", "https://example.org/docs/?x"] {
        check_scope(Directory, anchor, text, true);
    }
    for text in [
        "https://example.org/doc",
        "https://example.org/Docs/",
        "https://a.example.org/docs/",
        "https://example.org:8443/docs/",
    ] {
        check_scope(Directory, anchor, text, false);
    }
    check_scope(Directory, "https://example.org/docs", "https://example.org/x", true);
    check_scope(Host, anchor, "http://example.org/x", true);
    check_scope(Host, anchor, "https://api.example.org/x", false);
    check_scope(Host, "http://127.0.0.1:8000/", "http://127.0.0.1:8001/", false);
    check_scope(Host, "http://www.org/", "http://org/", false);
    check_scope(Domain, anchor, "https://api.example.org/x", true);
    check_scope(Domain, "https://one.github.io/", "https://two.github.io/", false);
    check_scope(Any, anchor, "https://other.example/", true);
    let two = filter(Directory, &["https://a.example/x/", "https://b.example/"]);
    assert_eq!(code(two.check(&url("https://b.example/y"), 1, UrlSource::Sitemap)), "ok");
    assert_eq!(code(two.check(&url("https://a.example/y"), 1, UrlSource::Redirect)), "out_of_scope");
}

#[test]
fn patterns_choose_and_all_mistakes_are_told() {
    let scope = |include: &[&str], exclude: &[&str]| Scope {
        mode: ScopeMode::Any,
        include: include.iter().map(ToString::to_string).collect(),
        exclude: exclude.iter().map(ToString::to_string).collect(),
    };
    let filter = UrlFilter::try_new(&spec(scope(&["/docs/", "\\.txt$"], &["/old/"])), &[]).expect("valid");
    for (path, source, expected) in [
        ("/docs/a", UrlSource::Link, "ok"),
        ("/a.txt", UrlSource::Link, "ok"),
        ("/a", UrlSource::Link, "filtered"),
        ("/docs/old/a", UrlSource::Link, "filtered"),
        ("/a", UrlSource::Seed, "ok"),
        ("/old/a", UrlSource::Seed, "filtered"),
    ] {
        assert_eq!(code(filter.check(&url(&format!("https://example.org{path}")), 0, source)), expected, "{path}");
    }
    let mistakes =
        UrlFilter::try_new(&spec(scope(&["(", "ok"], &["[", "\\w{9999}"])), &[]).expect_err("three mistakes");
    let patterns: Vec<&str> = mistakes.iter().map(|mistake| mistake.pattern.as_str()).collect();
    assert_eq!(patterns, ["(", "[", "\\w{9999}"]);
    let many = vec!["a"; 101];
    assert_eq!(UrlFilter::try_new(&spec(scope(&many, &[])), &[]).expect_err("too many").len(), 1);
}

#[test]
fn limits_hold() {
    let filter = filter(ScopeMode::Any, &[]);
    let of_length = |length: usize| url(&format!("https://example.org/{}", "a".repeat(length - 20)));
    assert_eq!(code(filter.check(&of_length(2_083), 1, UrlSource::Link)), "ok");
    assert_eq!(code(filter.check(&of_length(2_084), 1, UrlSource::Seed)), "url_too_long");
    assert_eq!(code(filter.check(&url("https://example.org/"), 10, UrlSource::Link)), "ok");
    assert_eq!(code(filter.check(&url("https://example.org/"), 11, UrlSource::Link)), "too_deep");
}

#[test]
fn media_are_known_by_their_names() {
    for path in ["/a.png", "/a.JPG", "/a.tar.gz", "/x/a.mp4?x=1", "/a.woff2", "/a.css", "/a.min.js", "/a.exe", "/a.whl"]
    {
        check(path, "media_extension");
    }
    for path in ["/a.pdf", "/a.docx", "/a.odt", "/a.html", "/a", "/a.txt", "/a.xml", "/?f=a.png", "/a.png/", "/v1.2"] {
        check(path, "ok");
    }
    for path in ["/wiki/Node.js", "/w/File:Map.png", "/about/example.com", "/src/a.ts", "/.png.html"] {
        check(path, "ok");
    }
    let seed = filter(ScopeMode::Any, &[]).check(&url("https://example.org/a.png"), 0, UrlSource::Seed);
    assert_eq!(code(seed), "ok");
}

#[test]
fn traps_are_known_by_their_shape() {
    check(&"/a/b".repeat(2), "ok");
    check(&format!("/{}", (0..30).map(|n| format!("d{n}")).collect::<Vec<_>>().join("/")), "ok");
    check(&format!("/{}", (0..31).map(|n| format!("d{n}")).collect::<Vec<_>>().join("/")), "trap_path_depth");
    check("/x/a/a/a/y", "trap_repeated_segments");
    check("/x/a/a/y", "ok");
    check("/en/latest/en/latest/en/latest/", "trap_repeated_segments");
    check("/a/b/c/d/a/b/c/d/a/b/c/d", "trap_repeated_segments");
    check("/x////y", "trap_repeated_segments");
    check("/2011/11/11/11/", "ok");
    check("/a;jsessionid=1", "trap_session_id");
    check("/a?x=1&PHPSESSID=q", "trap_session_id");
    check("/a?sid=0123456789abcdef0123456789abcdef", "trap_session_id");
    check("/(S(lit3py55t21z5v55vlm25s55))/a", "trap_session_id");
    check("/a?sid=42", "ok");
    check("/a?session=keynote", "ok");
    check("/calendar/2031/05/", "trap_calendar");
    check("/calendar/2027/05/", "ok");
    check("/calendar/2001-05", "trap_calendar");
    check("/events/?tribe-bar-date=2040-01-01", "trap_calendar");
    check("/cal?year=9999&month=1", "trap_calendar");
    check("/blog/2001/05/", "ok");
    check("/calendar/", "ok");
    check("/library/calendar.html", "ok");
}

#[test]
fn budgets_stop_shapes_without_end_and_nothing_else() {
    let admitted = |urls: &mut dyn Iterator<Item = String>| {
        let mut budgets = ShapeBudgets::new();
        let mut last = "ok";
        let n_admitted = urls.filter(|text| {
            let result = budgets.admit(&url(&format!("https://example.org{text}")));
            last = if result.is_ok() { last } else { code(result) };
            result.is_ok()
        });
        (n_admitted.count(), last)
    };
    // The Bloom filter takes a few new URLs for old ones; they are admitted and not counted.
    let about = |n: usize, (count, last): (usize, &'static str)| {
        assert!((n..=n + n / 50).contains(&count), "{count} of about {n}");
        last
    };
    let sorting = &mut (0..3_000).map(|n| format!("/list?a={n}&b=2&c=3"));
    assert_eq!(about(500, admitted(sorting)), "trap_shape_budget");
    let paging = &mut (0..5_000).map(|n| format!("/item/{n}?view=1&page={n}"));
    assert_eq!(about(2_000, admitted(paging)), "trap_shape_budget");
    let days = &mut (0..5_000).map(|n| format!("/calendar/{}/{}/{n}", 2020 + n / 365, n % 12));
    assert_eq!(about(1_500, admitted(days)), "trap_calendar");
    let files = &mut (0..60_000).map(|n| format!("/files/{n}"));
    assert_eq!(about(50_000, admitted(files)), "trap_shape_budget");
    let same = &mut (0..200_000).map(|n| format!("/list?a={}&b=2&c=3", n % 400));
    assert_eq!(admitted(same), (200_000, "ok"));
}

#[test]
fn growing_shapes_are_remembered_among_many() {
    let mut budgets = ShapeBudgets::new();
    let mut n_admitted = 0;
    for n in 0..150_000_u32 {
        let word: String = n.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
        let _ = budgets.admit(&url(&format!("https://example.org/{word}/x")));
        if n % 100 == 0 {
            n_admitted += u32::from(budgets.admit(&url(&format!("https://example.org/l?a={n}&b&c"))).is_ok());
        }
    }
    assert!((500..520).contains(&n_admitted), "{n_admitted}");
}

/// URLs shaped like those of real documentation trees: none may be refused.
#[test]
fn documentation_trees_pass() {
    let mut urls: Vec<String> = Vec::new();
    for version in ["3", "3.12", "dev"] {
        urls.extend((0..400).map(|n| format!("https://docs.example.org/{version}/library/module{n}.html")));
        urls.push(format!("https://docs.example.org/{version}/library/calendar.html"));
        urls.push(format!("https://docs.example.org/{version}/library/sched.html?highlight=event"));
        urls.push(format!("https://docs.example.org/{version}/whatsnew/2.0.html"));
    }
    urls.extend((0..20_000).map(|n| format!("https://std.example.org/core/arch/x86_64/fn._mm{n}_add_ps.html")));
    urls.extend((0..800).map(|n| format!("https://std.example.org/std/collections/hash_map/struct.S{n}.html")));
    urls.push("https://std.example.org/src/core/str/mod.rs.html".to_owned());
    urls.push("https://std.example.org/std/option/option/enum.Option.html".to_owned());
    urls.extend((0..1_200).map(|n| format!("https://db.example.org/docs/15/sql-{n}.html")));
    urls.push("https://db.example.org/docs/15/functions-datetime.html".to_owned());
    let seeds = ["https://docs.example.org/3/", "https://std.example.org/std/", "https://db.example.org/docs/15/"];
    let filter = filter(ScopeMode::Host, &seeds).at(Timestamp::from_millis(1_795_219_200_000));
    let mut budgets = ShapeBudgets::new();
    for text in &urls {
        let url = url(text);
        assert_eq!(code(filter.check(&url, 3, UrlSource::Link)), "ok", "{text}");
        assert_eq!(code(budgets.admit(&url)), "ok", "{text}");
    }
}

proptest! {
    #[test]
    fn any_url_is_judged(path in "[ -~é]{0,80}") {
        if let Ok(url) = CanonicalUrl::parse(&format!("https://example.org/{path}")) {
            let _ = filter(ScopeMode::Directory, &["https://example.org/a/"]).check(&url, 1, UrlSource::Link);
            prop_assert!(ShapeBudgets::new().admit(&url).is_ok());
        }
    }
}
