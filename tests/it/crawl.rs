//! A whole crawl: what is stored, counted, found and exported.

use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::http::{Body, Request};
use argiope_testkit::site::{Content, Generated, SiteHost, unique_word};
use argiope_testkit::{Behaviour, Site};
use std::collections::BTreeSet;
use std::path::Path;

const N_HOSTS: usize = 4;
const N_PAGES: usize = 15;
const SEED: u64 = 11;
/// Oddities of each generated host: 3 redirects, 3 missing and 3 forbidden pages, 1 sitemap.
const N_SKIPPED: u64 = 3 + 3 + 3 + 1;

#[test]
fn crawl_stores_every_page_of_a_site_once() {
    let content = |n| Generated::new(n, N_PAGES, SEED);
    let builder = (0..N_HOSTS)
        .fold(Site::builder(), |builder, n| builder.host(&format!("h{n}.test"), content(n), Behaviour::default()));
    let origin = Origin::start(builder);
    let place = Place::new();

    let ended = place.crawl(&origin.seeds(), &["--delay", "0", "--per-host", "4"]);

    let expected = walk(&(0..N_HOSTS).map(content).collect::<Vec<_>>(), origin.site().hosts());
    assert_eq!(expected.len(), N_HOSTS * N_PAGES);
    ended.check_ledger(0, [expected.len() as u64, 0, N_SKIPPED * N_HOSTS as u64, 0]);
    let reasons = &ended.summary()["reasons"];
    for (reason, count) in [("redirected", 12), ("gone", 12), ("robots_denied", 12), ("sitemap_read", 4)] {
        assert_eq!(reasons[reason], count, "{reason}: {ended:?}");
    }

    let pages = place.export();
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(place.urls("--pages").into_keys().collect::<BTreeSet<_>>(), expected);
    let summary = place.verify();
    assert_eq!((&summary["pages"], &summary["heads"]), (&expected.len().into(), &expected.len().into()));
    let n_chunks: u64 = pages.values().filter_map(|page| page["chunks"].as_u64()).sum();
    assert_eq!(summary["chunks"], n_chunks);

    for (host, page) in [(0, 0), (1, 7), (2, 14), (3, 3)] {
        let (word, url) = (unique_word(host, page), origin.site().hosts()[host].url(&Generated::path(page)));
        assert!(pages[&url]["markdown"].as_str().is_some_and(|text| text.contains(&word)), "{url} lacks {word}");
        assert_eq!(place.search(&word), [url], "{word}");
    }
    let out = place.path("markdown");
    let ended = place.run(&["export", "last", "--format", "markdown", "--out", &out.display().to_string()]);
    assert_eq!(ended.summary()["pages"], expected.len(), "{ended:?}");
    assert_eq!(count_files(&out), expected.len());
}

/// URLs of the pages that can be reached, found without the crawler: over links and redirects, not where robots.txt
/// forbids.
fn walk(contents: &[Generated], hosts: &[SiteHost]) -> BTreeSet<String> {
    let mut seen: BTreeSet<String> = hosts.iter().map(|host| host.url("/")).collect();
    let mut queue: Vec<String> = seen.iter().cloned().collect();
    let mut pages = BTreeSet::new();
    while let Some(url) = queue.pop() {
        let place = hosts.iter().position(|host| url.starts_with(&host.url("/"))).expect("a link to one of the hosts");
        let root = hosts[place].url("");
        let target = url[root.len()..].to_owned();
        if target.starts_with("/private/") {
            continue;
        }
        let authority = root.trim_start_matches("http://").to_owned();
        let request = Request { target, headers: vec![("host".to_owned(), authority)], ..Request::default() };
        let answer = contents[place].answer(&request, hosts);
        let mut links: Vec<String> = Vec::new();
        links.extend(answer.headers.iter().filter(|(name, _)| name == "location").map(|(_, to)| to.clone()));
        if let (200, Body::Full(bytes)) = (answer.status, &answer.body) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let hrefs = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned));
            links.extend(hrefs);
            pages.insert(url);
        }
        for link in links {
            let link = if link.starts_with('/') { format!("{root}{link}") } else { link };
            if seen.insert(link.clone()) {
                queue.push(link);
            }
        }
    }
    pages
}

fn count_files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("an exported directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| if path.is_dir() { count_files(&path) } else { 1 }).sum()
}
