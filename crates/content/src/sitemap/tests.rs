//! Case tables. `check(body, pages, problems)` reads the body as `https://example.org/a/sitemap.xml`.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

fn read(body: &[u8], content_type: Option<&str>) -> SitemapContents {
    parse(body, content_type, &CanonicalUrl::parse("https://example.org/a/sitemap.xml").expect("a valid URL"))
}

fn pages(contents: &SitemapContents) -> Vec<&str> {
    contents.pages.iter().map(|entry| entry.url.as_str()).collect()
}

#[track_caller]
fn check(body: &str, expected_pages: &[&str], expected_problems: &[&str]) -> SitemapContents {
    let contents = read(body.as_bytes(), None);
    assert_eq!(pages(&contents), expected_pages, "{body}");
    assert_eq!(contents.problems, expected_problems, "{body}");
    contents
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

const SIMPLE: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
    <url><loc> https://example.org/x </loc><lastmod>2024-05-06</lastmod></url>\
    <url><loc>/y?a=1&amp;b=2</loc></url></urlset>";

#[test]
fn a_sitemap_gives_pages_with_dates() {
    let contents = check(SIMPLE, &["https://example.org/x", "https://example.org/y?a=1&b=2"], &[]);
    let dates: Vec<_> = contents.pages.iter().map(|entry| entry.last_modified.map(Timestamp::as_millis)).collect();
    assert_eq!(dates, [Some(1_714_953_600_000), None]);
}

#[test]
fn an_index_gives_sitemaps() {
    let contents = check(
        "<sitemapindex><sitemap><loc>https://example.org/1.xml.gz</loc><lastmod>x</lastmod></sitemap>\
         <sitemap><loc>2.xml</loc></sitemap><url><loc>/no</loc></url></sitemapindex>",
        &[],
        &[],
    );
    let urls: Vec<&str> = contents.sitemaps.iter().map(CanonicalUrl::as_str).collect();
    assert_eq!(urls, ["https://example.org/1.xml.gz", "https://example.org/a/2.xml"]);
}

#[test]
fn sloppy_xml_is_read_as_meant() {
    let one = &["https://example.org/x"];
    check("\u{feff}\n <urlset xmlns='http://wrong'><url><loc>/x</loc></url></urlset>", one, &[]);
    check("<s:URLSET xmlns:s='q'><s:Url><s:Loc>/x</s:Loc></s:Url></s:URLSET>", one, &[]);
    check("<urlset><url><loc><![CDATA[/x]]></loc></url></urlset>", one, &[]);
    check("<urlset><url><loc>/&#120;</loc></url></urlset>", one, &[]);
    check("<urlset><url><loc>/x?a&b=1&c</loc></url></urlset>", &["https://example.org/x?a&b=1&c"], &[]);
    check("<urlset><url><loc>/x</LOC></url></urlset>", one, &[]);
    check(
        "<urlset><url><image:image><image:loc>/i.png</image:loc></image:image><loc>/x</loc></url></urlset>",
        one,
        &[],
    );
    check("<urlset><url><loc>/x</loc><loc/></url><url/></urlset>", &[], &["invalid_url"]);
    check("<urlset><url><loc>/x</loc><lastmod>soon</lastmod></url></urlset>", one, &["invalid_date"]);
    check("<urlset><url><loc>mailto:a@b</loc></url><url><loc>/x</loc></url></urlset>", one, &["invalid_url"]);
}

#[test]
fn truncated_xml_gives_what_was_read() {
    let one = &["https://example.org/x"];
    check("<urlset><url><loc>/x</loc></url><url><loc>/y", one, &["truncated"]);
    check("<urlset><url><loc>/x</loc></url><url><lo", one, &["truncated"]);
    check("<urlset><url><loc>/x</loc></url><!-- ", one, &["truncated"]);
    check("<urlset><url><loc>/x</loc></url><url><loc a=\"", one, &["truncated"]);
    check("", &[], &["not_a_sitemap"]);
    check("<", &[], &["not_a_sitemap"]);
    check("<!DOCTYPE html><html><body>404</body></html>", &[], &["doctype_ignored", "not_a_sitemap"]);
}

#[test]
fn entities_of_a_dtd_are_never_expanded() {
    let body = "<!DOCTYPE urlset [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'><!ENTITY f SYSTEM 'file:///etc/passwd'>]>\
        <urlset><url><loc>/&b;&f;</loc></url></urlset>";
    check(body, &["https://example.org/&b;&f;"], &["doctype_ignored"]);
}

#[test]
fn bounds_hold() {
    let urls = |n: usize| (0..n).map(|n| format!("<url><loc>/{n}</loc></url>")).collect::<String>();
    let many = read(format!("<urlset>{}</urlset>", urls(MAX_SITEMAP_ENTRIES + 5)).as_bytes(), None);
    assert_eq!((many.pages.len(), many.problems.as_slice()), (MAX_SITEMAP_ENTRIES, ["too_many_entries"].as_slice()));
    check(&format!("<urlset>{}", "<a>".repeat(100_000)), &[], &["xml_too_deep"]);
    let long = format!("<urlset><url><loc>/x{}</loc></url></urlset>", "y".repeat(100_000));
    assert!(read(long.as_bytes(), None).pages.iter().all(|entry| entry.url.as_str().len() < 9_000));
    let large = format!("<urlset><url><loc>/x</loc></url>{}", " ".repeat(MAX_SITEMAP_BYTES));
    check(&large, &["https://example.org/x"], &["too_large", "truncated"]);
}

#[test]
fn gzip_is_undone_under_caps() {
    let both = ["https://example.org/x", "https://example.org/y?a=1&b=2"];
    let packed = gzip(SIMPLE.as_bytes());
    assert_eq!(pages(&read(&packed, Some("application/octet-stream"))), both);
    // Two members, as some generators write them.
    let (head, tail) = SIMPLE.split_at(60);
    assert_eq!(pages(&read(&[gzip(head.as_bytes()), gzip(tail.as_bytes())].concat(), None)), both);
    let cut = read(&packed[..packed.len() - 20], None);
    assert!(cut.problems.contains(&"gzip_broken"), "{cut:?}");
    let bomb = read(&gzip(format!("<urlset><url><loc>/x</loc></url>{}", " ".repeat(20_000_000)).as_bytes()), None);
    assert_eq!(pages(&bomb), ["https://example.org/x"]);
    assert_eq!(bomb.problems, ["gzip_bomb", "truncated"]);
    assert_eq!(read(&gzip(&packed), None).problems.last(), Some(&"not_a_sitemap"));
}

#[test]
fn charsets_are_undone() {
    let utf16: Vec<u8> = format!("\u{feff}{SIMPLE}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&utf16, None).pages.len(), 2);
    let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><urlset><url><loc>/caf\xe9</loc></url></urlset>";
    assert_eq!(pages(&read(latin, None)), ["https://example.org/caf%C3%A9"]);
    let bare = b"<urlset><url><loc>/caf\xe9</loc></url></urlset>";
    assert_eq!(pages(&read(bare, Some("text/xml; charset=\"latin1\""))), ["https://example.org/caf%C3%A9"]);
}

#[test]
fn a_plain_list_gives_absolute_urls() {
    let two = &["https://example.org/x", "http://other.example/"];
    check("https://example.org/x\r\n\r\nHTTP://other.example\n", two, &[]);
    check("see also\nhttps://example.org/x\n/relative\n", &["https://example.org/x"], &["invalid_url"]);
    check("Not found.", &[], &["invalid_url", "not_a_sitemap"]);
}

#[test]
fn feeds_give_pages() {
    let rss = check(
        "<rss version='2.0'><channel><title>t</title><link>https://example.org/</link>\
         <atom:link href='https://example.org/rss' rel='self'/>\
         <item><link>/1</link><guid>https://example.org/g1</guid><pubDate>Mon, 06 May 2024 00:00:00 GMT</pubDate></item>\
         <item><guid>/2</guid><atom:link rel='self' href='/no'/><itunes:duration>99999999999999999999999:00:00</itunes:duration></item>\
         <item><guid isPermaLink='false'>tag:x</guid><link>/3</link><source url='/no'><link>/no</link></source></item>\
         </channel></rss>",
        &["https://example.org/1", "https://example.org/2", "https://example.org/3"],
        &[],
    );
    assert_eq!(rss.pages[0].last_modified.map(Timestamp::as_millis), Some(1_714_953_600_000));
    let atom = check(
        "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='https://example.org/b/'><link href='/home'/>\
         <entry><link rel='enclosure' href='/f.mp3'/><link href='1?a=1&amp;b=2'/>\
         <updated>2024-05-06T02:00:00+02:00</updated><published>2020-01-01T00:00:00Z</published></entry>\
         <entry><link rel='alternate' href='2'></link><content type='xhtml'><div><a><link href='/no'/></a></div></content></entry></feed>",
        &["https://example.org/b/1?a=1&b=2", "https://example.org/b/2"],
        &[],
    );
    assert_eq!(atom.pages[0].last_modified.map(Timestamp::as_millis), Some(1_714_953_600_000));
    check(
        "<rdf:RDF><channel><link>/</link></channel><item rdf:about='x'><link>/1</link><dc:date>2024-05</dc:date></item></rdf:RDF>",
        &["https://example.org/1"],
        &[],
    );
    check(
        r#"{"version":"https://jsonfeed.org/version/1.1","items":[{"url":"/1","date_published":"2024-05-06T00:00:00Z"},{"external_url":"/2"},{"id":"3"}]}"#,
        &["https://example.org/1", "https://example.org/2"],
        &[],
    );
    check("{\"items\":[{\"url\":\"/1\"", &[], &["json_syntax"]);
}

#[test]
fn dates_are_read_in_every_usual_form() {
    for (text, expected) in [
        ("1970", Some(0)),
        ("1970-02", Some(2_678_400_000)),
        ("1970-01-02", Some(86_400_000)),
        ("1970-01-01T00:01Z", Some(60_000)),
        ("1970-01-01T00:00:01.5Z", Some(1_500)),
        ("1970-01-01T01:00:00+01:00", Some(0)),
        ("1970-01-01T00:00:02", Some(2_000)),
        ("1970-01-01 00:00:02", Some(2_000)),
        ("Thu, 01 Jan 1970 00:00:03 +0000", Some(3_000)),
        ("Fri, 01 Jan 1970 00:00:03 GMT", Some(3_000)),
        ("1969-12-31", None),
        ("0000-00-00", None),
        ("99999", None),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(date::read(text).map(Timestamp::as_millis), expected, "{text}");
    }
    assert_eq!(date::read(&"1".repeat(10_000)), None);
}

proptest! {
    #[test]
    fn any_bytes_give_contents(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&body, None);
    }

    #[test]
    fn any_damage_to_a_sitemap_gives_contents(
        at in 0..SIMPLE.len(), length in 0_usize..40, with in "[<>&;/!a-z\\[\\]\"'é-]{0,8}",
    ) {
        let end = (at + length).min(SIMPLE.len());
        let damaged = [&SIMPLE.as_bytes()[..at], with.as_bytes(), &SIMPLE.as_bytes()[end..]].concat();
        prop_assert!(read(&damaged, None).pages.len() <= 3);
        let _ = read(&gzip(&damaged), None);
    }

    #[test]
    fn any_markup_gives_contents(parts in proptest::collection::vec("(<(url|/url|loc|/loc|item|/item|entry|link href='x'/|a|/a)>|[ -~é]{0,9})", 0..60)) {
        for root in ["urlset", "sitemapindex", "rss", "feed", "RDF"] {
            let _ = read(format!("<{root}>{}", parts.concat()).as_bytes(), None);
        }
    }

    #[test]
    fn broken_gzip_gives_contents(at in 0_usize..200, byte in any::<u8>()) {
        let mut packed = gzip(SIMPLE.as_bytes());
        if let Some(place) = packed.get_mut(at) {
            *place = byte;
        }
        let _ = read(&packed, None);
    }
}
