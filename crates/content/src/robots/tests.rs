//! Case tables. `check(rules, url, expected)` asks as the product token `ExampleBot`.

use super::*;
use proptest::prelude::*;

fn origin() -> Origin {
    CanonicalUrl::parse("https://example.org/").expect("a valid URL").origin()
}

fn parse(body: impl AsRef<[u8]>) -> RobotsRules {
    RobotsRules::parse(body.as_ref(), &origin(), "ExampleBot")
}

fn url(path: &str) -> CanonicalUrl {
    CanonicalUrl::parse(&format!("https://example.org{path}")).expect("a valid URL")
}

#[track_caller]
fn check(body: &str, path: &str, expected: bool) {
    assert_eq!(parse(body).allows(&url(path)), expected, "{path} under\n{body}");
}

/// One group for everybody.
#[track_caller]
fn check_rules(rules: &str, path: &str, expected: bool) {
    check(&format!("User-agent: *\n{rules}\n"), path, expected);
}

#[test]
fn escapes_are_compared_by_what_they_mean() {
    // RFC 9309 §2.2.2, its five rows, each in every spelling a site may use.
    check_rules("Disallow: /foo/bar?baz=quz", "/foo/bar?baz=quz", false);
    check_rules("Disallow: /foo/bar?baz=http://foo.bar", "/foo/bar?baz=http://foo.bar", false);
    check_rules("Disallow: /foo/bar?baz=http://foo.bar", "/foo/bar?baz=http%3A%2F%2Ffoo.bar", false);
    check_rules("Disallow: /foo/bar?baz=http%3a%2f%2ffoo.bar", "/foo/bar?baz=http://foo.bar", false);
    check_rules("Disallow: /foo/bar/\u{30c4}", "/foo/bar/\u{30c4}", false);
    check_rules("Disallow: /foo/bar/\u{30c4}", "/foo/bar/%E3%83%84", false);
    check_rules("Disallow: /foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", false);
    check_rules("Disallow: /foo/bar/%E3%83%84", "/foo/bar/\u{30c4}", false);
    check_rules("Disallow: /foo/bar/%62%61%7A", "/foo/bar/baz", false);
    check_rules("Disallow: /foo/bar/baz", "/foo/bar/%62%61%7A", false);
    // An escaped slash in a path is another path.
    check_rules("Disallow: /a%2Fb", "/a/b", true);
    check_rules("Disallow: /a%2fb", "/a%2Fb", false);
    check_rules("Disallow: /a b", "/a%20b", false);
    check_rules("Disallow: /a{b}", "/a{b}", false);
    check_rules("Disallow: /100%", "/100%", false);
}

#[test]
fn special_characters_match_as_the_rfc_says() {
    // RFC 9309 §2.2.3.
    check_rules("Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", false);
    check_rules("Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-x.html", true);
    check_rules("Disallow: /path/foo-%24", "/path/foo-$", false);
    check_rules("Disallow: /path/foo-%24", "/path/foo-", true);
    check_rules("Allow: /this/path/exactly$\nDisallow: /", "/this/path/exactly", true);
    check_rules("Allow: /this/path/exactly$\nDisallow: /", "/this/path/exactly/not", false);
    check_rules("Disallow: /this/*/exactly", "/this/path/exactly", false);
    check_rules("Disallow: /this/*/exactly", "/this/very/long/path/exactly?x", false);
    check_rules("Disallow: /this/*/exactly", "/that/path/exactly", true);
    check_rules("Disallow: /a$b", "/a$bc", false);
    check_rules("Disallow: /a$b", "/a", true);
    check_rules("Disallow: /a # only a comment", "/a/b", false);
}

#[test]
fn examples_of_the_rfc_hold() {
    // RFC 9309 §5.1: two groups and the catch-all.
    let simple = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n\
        User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n\n\
        User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\nUser-Agent: quxbot\n\nEOF\n";
    for (token, path, expected) in [
        ("otherbot", "/image.gif", false),
        ("otherbot", "/image.gif?x", true),
        ("otherbot", "/example/", false),
        ("otherbot", "/publications/", true),
        ("foobot", "/publications/", false),
        ("foobot", "/example/page.html", true),
        ("foobot", "/example/allowed.gif", true),
        ("barbot", "/example/page.html", false),
        ("bazbot", "/example/page.html", false),
        ("bazbot", "/example/allowed.gif", true),
        ("quxbot", "/example/page.html", true),
    ] {
        let rules = RobotsRules::parse(simple.as_bytes(), &origin(), token);
        assert_eq!(rules.allows(&url(path)), expected, "{token} {path}");
    }
    // §5.2: the longest match wins.
    let longest = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
    let rules = RobotsRules::parse(longest.as_bytes(), &origin(), "foobot");
    assert!(!rules.allows(&url("/example/page/disallowed.gif")));
    assert!(rules.allows(&url("/example/page/allowed.gif")));
}

#[test]
fn the_longest_rule_wins_and_allow_wins_ties() {
    // Google's published table of precedence, and its table of path patterns.
    check_rules("Allow: /p\nDisallow: /", "/page", true);
    check_rules("Allow: /folder\nDisallow: /folder", "/folder/page", true);
    check_rules("Allow: /page\nDisallow: /*.htm", "/page.htm", false);
    check_rules("Allow: /page\nDisallow: /*.ph", "/page.php5", true);
    check_rules("Allow: /$\nDisallow: /", "/", true);
    check_rules("Allow: /$\nDisallow: /", "/page.htm", false);
    check_rules("Disallow: /fish", "/fish.html", false);
    check_rules("Disallow: /fish", "/fishheads/yummy.html", false);
    check_rules("Disallow: /fish", "/Fish.asp", true);
    check_rules("Disallow: /fish", "/catfish", true);
    check_rules("Disallow: /fish*", "/fish.php?id=anything", false);
    check_rules("Disallow: /fish/", "/fish", true);
    check_rules("Disallow: /fish/", "/fish/?id=anything", false);
    check_rules("Disallow: /*.php", "/folder/filename.php?parameters", false);
    check_rules("Disallow: /*.php", "/windows.PHP", true);
    check_rules("Disallow: /*.php$", "/filename.php", false);
    check_rules("Disallow: /*.php$", "/filename.php?parameters", true);
    check_rules("Disallow: /*.php$", "/filename.php5", true);
    check_rules("Disallow: /fish*.php", "/fishheads/catfish.php?parameters", false);
    check_rules("Disallow: /fish*.php", "/Fish.PHP", true);
    check_rules("Disallow: fish", "/fish", true);
}

#[test]
fn groups_are_chosen_by_product_token() {
    let denies_us = |agent: &str| !parse(format!("User-agent: {agent}\nDisallow: /\n")).allows(&url("/x"));
    for agent in ["ExampleBot", "examplebot", "EXAMPLEBOT/2.1", "ExampleBot (odd)", "*", "* everyone"] {
        assert!(denies_us(agent), "{agent}");
    }
    for agent in ["Example", "ExampleBotNews", "ExampleBot-Image", "Other", ""] {
        assert!(!denies_us(agent), "{agent}");
    }
    // Our own token may carry a version.
    let versioned = RobotsRules::parse(b"User-agent: ReadBot\nDisallow: /", &origin(), "ReadBot/1.0");
    assert!(!versioned.allows(&url("/x")));
    // Our group is taken instead of the catch-all, and groups of one name are one group.
    check("User-agent: *\nDisallow: /\nUser-agent: ExampleBot\nDisallow: /a", "/b", true);
    check("User-agent: ExampleBot\nDisallow: /a\nUser-agent: x\nUser-agent: examplebot\nDisallow: /b", "/a", false);
    check("User-agent: ExampleBot\nDisallow: /a\nUser-agent: x\nUser-agent: examplebot\nDisallow: /b", "/b", false);
    // Neither an unknown line nor a delay ends a list of user agents (§2.2.4), an empty rule does.
    check("User-agent: ExampleBot\nNoindex: /q\nUser-agent: x\nDisallow: /b", "/b", false);
    check("User-agent: ExampleBot\nSitemap: /s.xml\nUser-agent: x\nDisallow: /b", "/b", false);
    check("User-agent: ExampleBot\nCrawl-delay: 1\nUser-agent: x\nDisallow: /b", "/b", false);
    check("User-agent: ExampleBot\nDisallow:\nUser-agent: *\nDisallow: /", "/b", true);
    check("Disallow: /\n", "/b", true);
    check("Disallow: /\nUser-agent: *\nDisallow: /a", "/b", true);
}

#[test]
fn odd_files_are_read_as_meant() {
    check("\u{feff}User-agent: *\nDisallow: /a", "/a", false);
    check("User-agent: *\rDisallow: /a\rDisallow: /b", "/a", false);
    check("User-agent: *\rDisallow: /a\rDisallow: /b", "/b", false);
    check("User-agent: *\r\n\r\n\r\nDisallow: /a\r\n", "/a", false);
    check("  USER-AGENT :  * \n\tdisallow :/a", "/a", false);
    check("User-agent: *\nDisallow /a", "/a", false);
    check("useragent: *\ndissallow: /a", "/a", false);
    check("User-agent: *\0Disallow: /a", "/a", false);
    check("User-agent: *\nDisallow:", "/a", true);
    check("", "/a", true);
    check("User-agent: *\nDisallow: /", "/robots.txt", true);
    check("User-agent: *\nDisallow: /a", "/a#fragment", false);
    check("User-agent: *\nDisallow: /*a$", "/a#fragment", false);
    assert!(!parse(b"User-agent: *\nDisallow: /\xE9t\xE9").allows(&url("/%E9t%E9")));
}

#[test]
fn an_html_answer_holds_no_rules() {
    for opening in ["<!DOCTYPE html>", "<html>", "\n <HEAD>", "<?xml version='1.0'?>", "\u{feff}<body>"] {
        check(&format!("{opening}\nUser-agent: *\nDisallow: /\n"), "/a", true);
    }
}

#[test]
fn only_whole_lines_of_the_first_500_kib_count() {
    let filler = format!("# {}\n", "x".repeat(997));
    let mut body = "User-agent: *\n".to_owned();
    while body.len() + filler.len() <= MAX_ROBOTS_BYTES {
        body.push_str(&filler);
    }
    let room = MAX_ROBOTS_BYTES - body.len();
    let whole = format!("{body}{}\nDisallow: /late\n", "#".repeat(room - 1));
    assert!(parse(&whole).allows(&url("/late")));
    let inside = format!("{body}Disallow: /in\n{whole}");
    assert!(!parse(&inside).allows(&url("/in")));
    // The limit falls into this rule: its first half would forbid everything.
    let half = format!("{body}{}\nDisallow: /{}\n", "#".repeat(room - 20), "y".repeat(100));
    assert!(parse(&half).allows(&url("/yyy")));
    assert!(parse(vec![b'D'; MAX_ROBOTS_BYTES + 1]).allows(&url("/")));
}

#[test]
fn a_line_is_cut_at_16_kib() {
    let long = format!("User-agent: *\nDisallow: /{}\nDisallow: /b\n", "a".repeat(40_000));
    assert!(parse(&long).allows(&url("/aaa")));
    assert!(!parse(&long).allows(&url("/b")));
}

#[test]
fn a_rule_too_large_to_compile_forbids_more_not_less() {
    let wild = "*a".repeat(800);
    check_rules(&format!("Disallow: /x{wild}$\nDisallow: /b"), &format!("/x{}", "a".repeat(800)), false);
    check_rules(&format!("Disallow: /x{wild}$\nDisallow: /b"), "/b", false);
    check_rules(&format!("Disallow: /\nAllow: /x{wild}$"), &format!("/x{}", "a".repeat(800)), false);
    check_rules(&format!("Disallow: /x{wild}$\nDisallow: /b"), "/c", true);
}

#[test]
fn crawl_delays_are_read_capped_and_reported() {
    let delay = |value: &str| {
        let rules = parse(format!("User-agent: *\nCrawl-delay: {value}\nDisallow: /a\n"));
        (rules.crawl_delay().map(|delay| delay.as_millis()), rules.crawl_delay_capped())
    };
    for (value, expected) in [
        ("10", (Some(10_000), false)),
        ("0.5", (Some(500), false)),
        ("10s", (Some(10_000), false)),
        ("10 seconds", (Some(10_000), false)),
        ("500ms", (Some(500), false)),
        ("2 min", (Some(30_000), true)),
        ("30", (Some(30_000), false)),
        ("31", (Some(30_000), true)),
        ("1e9", (Some(30_000), true)),
        ("inf", (Some(30_000), true)),
        ("1h", (Some(30_000), true)),
        ("0", (None, false)),
        ("-5", (None, false)),
        ("nan", (None, false)),
        ("soon", (None, false)),
        ("", (None, false)),
    ] {
        assert_eq!(delay(value), expected, "{value}");
    }
    let other = parse("User-agent: x\nCrawl-delay: 5\nUser-agent: *\nDisallow: /a");
    assert_eq!(other.crawl_delay(), None);
    let ours = parse("User-agent: *\nCrawl-delay: 5\nUser-agent: ExampleBot\nCrawl-delay: 7\nDisallow: /a");
    assert_eq!(ours.crawl_delay(), Some(Duration::from_secs(7)));
}

#[test]
fn sitemap_lines_are_resolved_against_the_origin() {
    let rules = parse(
        "Sitemap: /sitemap.xml\nUser-agent: x\nSitemap: https://cdn.example.net/s.xml # all\n\
         sitemap:pages.xml\nSitemap: //other.example/s.xml\nSitemap: /sitemap.xml\nSitemap: ftp://example.org/s\n",
    );
    let urls: Vec<&str> = rules.sitemaps().iter().map(CanonicalUrl::as_str).collect();
    let expected = [
        "https://example.org/sitemap.xml",
        "https://cdn.example.net/s.xml",
        "https://example.org/pages.xml",
        "https://other.example/s.xml",
    ];
    assert_eq!(urls, expected);
    let many: String = (0..5_000).map(|n| format!("Sitemap: /{n}.xml\n")).collect();
    assert_eq!(parse(many).sitemaps().len(), MAX_SITEMAPS);
}

#[test]
fn all_or_nothing_without_a_file() {
    assert!(RobotsRules::allow_all().allows(&url("/a")));
    assert!(!RobotsRules::deny_all().allows(&url("/a")));
    assert!(RobotsRules::deny_all().allows(&url("/robots.txt")));
}

#[test]
fn statuses_mean_what_the_rfc_says() {
    use StatusMeaning::{AllowAll, DisallowAll, Redirect, Rules};
    for (status, expected) in [
        (200, Rules),
        (206, Rules),
        (301, Redirect),
        (302, Redirect),
        (307, Redirect),
        (308, Redirect),
        (400, AllowAll),
        (401, AllowAll),
        (403, AllowAll),
        (404, AllowAll),
        (410, AllowAll),
        (451, AllowAll),
        (429, DisallowAll),
        (500, DisallowAll),
        (503, DisallowAll),
        (599, DisallowAll),
        (0, DisallowAll),
        (101, DisallowAll),
        (999, DisallowAll),
    ] {
        assert_eq!(status_meaning(status), expected, "{status}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_rules(body in proptest::collection::vec(any::<u8>(), 0..2_000), path in "/[ -~]{0,60}") {
        let _ = parse(body).allows(&url(&path));
    }

    #[test]
    fn any_lines_give_rules(
        lines in proptest::collection::vec("(?i)(user-agent|allow|disallow|crawl-delay|sitemap)[: ]{0,2}[ -~é]{0,30}", 0..40),
        path in "/[ -~]{0,60}",
    ) {
        let rules = parse(lines.join("\n"));
        let _ = rules.allows(&url(&path));
        prop_assert!(rules.crawl_delay().is_none_or(|delay| delay <= MAX_CRAWL_DELAY));
    }

    #[test]
    fn a_path_is_forbidden_by_a_rule_that_spells_it(path in "/[a-zA-Z0-9 é{}|~!,;=%\u{30c4}/.-]{1,40}") {
        let url = url(&path);
        let rules = parse(format!("User-agent: *\nDisallow: {}", url.path_and_query()));
        prop_assert!(!rules.allows(&url));
    }
}
