//! No byte goes to an address that the policy denies, whichever way its URL came in.
//!
//! The test runs in a network namespace where every address is routed to loopback, so that a defect would be counted
//! by the forbidden listener and could still send nothing to a real network.

use crate::content::{Answers, page, robots};
use crate::namespace::{Side, enter};
use crate::origin::Origin;
use crate::place::Place;
use argiope_testkit::http::{Request, Response};
use argiope_testkit::site::SiteHost;
use argiope_testkit::{Behaviour, Site};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every address is this namespace's own.
const SET_UP: &str = "ip link set lo up; ip route add local 0.0.0.0/0 dev lo; ip -6 route add local ::/0 dev lo";
/// The addresses of the origin's hosts: 127.0.0.2 to 127.0.0.255.
const ALLOWED: [&str; 7] = [
    "127.0.0.2/31",
    "127.0.0.4/30",
    "127.0.0.8/29",
    "127.0.0.16/28",
    "127.0.0.32/27",
    "127.0.0.64/26",
    "127.0.0.128/25",
];

/// Spellings of places that must not be reached.
const FORMS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0X7F.0X0.0X0.0X1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0.0.1.",
    "127.0.0x0.1",
    "127.000.000.001",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::0.0.0.1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.b.localhost.",
    "loc%61lhost",
    "ｌｏｃａｌｈｏｓｔ",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:7f00:0001::1]",
    "[2001:0:0:0:0:0:80ff:fffe]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2600::5efe:7f00:1]",
    "[2600::200:5efe:127.0.0.1]",
    "0.0.0.0",
    "0",
    "0x0",
    "00",
    "0.1.2.3",
    "0.255.255.255",
    "[::]",
    "[0::0]",
    "[::ffff:0.0.0.0]",
    "[64:ff9b::]",
    "[2002::1]",
    "10.0.0.1",
    "10.255.255.255",
    "10.1",
    "167772161",
    "0xa.0.0.1",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "0xac100001",
    "192.168.0.1",
    "192.168.257",
    "3232235777",
    "0300.0250.1.1",
    "[::ffff:10.0.0.1]",
    "[::ffff:c0a8:101]",
    "[::192.168.1.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::192.168.1.1]",
    "[2002:0a00:0001::1]",
    "[2002:c0a8:0101::]",
    "[2001::f5ff:fffe]",
    "[2600::5efe:10.0.0.1]",
    "100.64.0.1",
    "100.127.255.255",
    "[::ffff:100.64.0.1]",
    "169.254.0.1",
    "169.254.255.255",
    "[::ffff:169.254.1.1]",
    "[fe80::1]",
    "[febf::1]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "0xa9.0xfe.0xa9.0xfe",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata",
    "metadata.goog",
    "instance-data.ec2.internal",
    "192.0.0.1",
    "192.31.196.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "[2001:db8::1]",
    "[3fff::1]",
    "198.18.0.1",
    "[2001:2::1]",
    "224.0.0.1",
    "239.255.255.255",
    "[ff02::1]",
    "255.255.255.255",
    "4294967295",
    "240.0.0.1",
    "[4000::1]",
    "[100::1]",
    "[fc00::1]",
    "[fd12:3456:789a::1]",
    "[fec0::1]",
    "192.88.99.1",
    "[2002:808:808::1]",
    "[::8.8.8.8]",
];

/// Counts connections to any address of the namespace at one port.
struct Forbidden {
    port: u16,
    n_connections: Arc<AtomicUsize>,
}

impl Forbidden {
    /// Accepts until the test process ends.
    fn listen() -> Self {
        // Unspecified and IPv6: the system takes IPv4 connections here too.
        let listener = TcpListener::bind("[::]:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let n_connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_connections);
        std::thread::spawn(move || {
            while listener.accept().is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, n_connections }
    }

    fn count(&self) -> usize {
        self.n_connections.load(Ordering::SeqCst)
    }

    fn urls(&self, way: &str) -> Vec<String> {
        let url = |(n, form): (usize, &&str)| format!("http://{form}:{}/{way}/{n}", self.port);
        FORMS.iter().enumerate().map(url).collect()
    }
}

#[test]
fn denied_addresses_get_no_connection() {
    if enter("egress::denied_addresses_get_no_connection", &["-r", "-n"], SET_UP) != Side::Inside {
        return;
    }
    assert!(FORMS.len() >= 120, "{}", FORMS.len());
    let forbidden = Forbidden::listen();
    let (origin, place) = (origin(&forbidden), Place::new());
    let seeds = place.path("seeds");
    let mut lines: Vec<String> = origin.seeds().split_off(1);
    let n_allowed = lines.len();
    lines.extend(forbidden.urls("seed"));
    std::fs::write(&seeds, lines.join("\n")).expect("a file");
    let seeds = seeds.display().to_string();
    let mut words = vec!["--scope", "any", "--delay", "0", "--concurrency", "64", "--seeds", &seeds];
    words.extend(ALLOWED.iter().flat_map(|cidr| ["--allow-cidr", cidr]));

    let ended = place.crawl(&[], &words);

    assert_eq!(forbidden.count(), 0, "a forbidden address was connected to: {ended:?}");
    assert_eq!(ended.status, Some(3), "{ended:?}");
    let front = origin.site().hosts()[1].url("/");
    let stored = place.urls("--pages");
    assert!(stored.contains_key(&front), "{stored:?}");
    let mut n_denied = BTreeMap::new();
    let mut wrong = Vec::new();
    for (url, reason) in place.urls("--failed") {
        if url.contains(&format!(":{}/", forbidden.port)) && reason == "egress_denied" {
            let way = url.split('/').nth(3).unwrap_or_default().to_owned();
            *n_denied.entry(way).or_insert(0_usize) += 1;
        } else {
            wrong.push(format!("{url}: {reason}"));
        }
    }
    let is_elsewhere = |url: &&String| url.contains(&format!(":{}/", forbidden.port));
    let reached: Vec<String> = stored.keys().filter(is_elsewhere).cloned().collect();
    println!("{} forms, hosts {n_allowed}, denied by way: {n_denied:?}, other failures: {wrong:?}", FORMS.len());
    assert!(reached.is_empty(), "{reached:?}");
    for way in ["seed", "link", "redirect"] {
        let n_expected = unique_targets(&forbidden.urls(way));
        assert_eq!(n_denied.get(way), Some(&n_expected), "{way}: {n_denied:?}\n{ended:?}");
    }
    // The listener counts what the policy allows: the test would see a defect.
    let url = format!("http://127.0.0.1:{}/", forbidden.port);
    let allowed = Place::new().with("ARGIOPE_EGRESS_TOTAL_TIMEOUT_SECS", "1");
    drop(allowed.start_crawl(&[url], &["--delay", "0"]).kill_after(std::time::Duration::from_secs(5)));
    assert!(forbidden.count() > 0, "the forbidden listener counts nothing");
}

/// Targets that differ after canonicalisation.
fn unique_targets(urls: &[String]) -> usize {
    let parse = |url: &String| argiope_protocol::CanonicalUrl::parse(url).ok().map(|url| url.as_str().to_owned());
    urls.iter().filter_map(parse).collect::<std::collections::BTreeSet<_>>().len()
}

/// Host 1 leads to every form by links, redirects, its sitemap and canonical links; each host from 2 on has a
/// robots.txt that redirects to one form. Host 0 lies on an address that is not allowed.
fn origin(forbidden: &Forbidden) -> Origin {
    let ways = ["link", "redirect", "sitemap", "listed", "canonical"].map(|way| (way, forbidden.urls(way)));
    let ways = Arc::new(BTreeMap::from(ways));
    let front = Answers(move |request: &Request, hosts: &[SiteHost]| front(request, &hosts[1], &ways));
    let unused = Answers(|_: &Request, _: &[SiteHost]| Response::status(500));
    let builder = Site::builder().host("unused.test", unused, Behaviour::default());
    let builder = builder.host("front.test", front, Behaviour::default());
    let with_robots = |builder: argiope_testkit::SiteBuilder, (n, target): (usize, String)| {
        let content = Answers(move |request: &Request, _: &[SiteHost]| match request.path() {
            "/robots.txt" => Response::redirect(302, &target),
            _ => page(&format!("host {n}"), &[]),
        });
        builder.host(&format!("robots{n}.test"), content, Behaviour::default())
    };
    Origin::start(forbidden.urls("robots").into_iter().enumerate().fold(builder, with_robots))
}

fn front(request: &Request, own: &SiteHost, ways: &BTreeMap<&str, Vec<String>>) -> Response {
    let (way, n) = request.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    let target = |way: &str| n.parse().ok().and_then(|n: usize| ways.get(way)?.get(n)).cloned();
    match (request.path(), way) {
        ("/robots.txt", _) => {
            let lines: String = ways["sitemap"].iter().map(|url| format!("Sitemap: {url}\n")).collect();
            robots(&format!("User-agent: *\nAllow: /\nSitemap: {}\n{lines}", own.url("/sitemap.xml")))
        }
        ("/sitemap.xml", _) => {
            let entries: String = ways["listed"].iter().map(|url| format!("<url><loc>{url}</loc></url>\n")).collect();
            let head = "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">";
            Response::ok("application/xml", format!("{head}{entries}</urlset>"))
        }
        ("/", _) => {
            let own = ["redirect", "canonical"];
            let own = own.iter().flat_map(|way| (0..ways[way].len()).map(move |n| format!("/{way}/{n}")));
            page("front", &own.chain(ways["link"].iter().cloned()).collect::<Vec<_>>())
        }
        (_, "redirect") => target("redirect").map_or_else(|| Response::status(404), |to| Response::redirect(302, &to)),
        (_, "canonical") => target("canonical").map_or_else(
            || Response::status(404),
            |to| Response::html(format!("<title>c{n}</title><link rel=canonical href=\"{to}\"><main><p>The page with number {n} says where it wants to be found.</p></main>")),
        ),
        _ => Response::status(404),
    }
}
