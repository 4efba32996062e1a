//! Made-up hosts: a tree of text pages, linked up, down and sideways, each with a word that no other page has.

use super::{Content, SiteHost};
use crate::http::{Request, Response};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::RwLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Children of a page in the tree.
const FAN_OUT: usize = 8;
/// Paths of each kind of oddity that the front page links to.
const N_ODDITIES: usize = 3;
/// What `Last-Modified` says of a page that was never edited.
const LAST_MODIFIED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";

const WORDS: &[&str] = &[
    "ability", "adapter", "address", "archive", "balance", "barrier", "battery", "bearing", "bridge", "buffer",
    "cable", "camera", "canvas", "carbon", "channel", "circuit", "column", "compass", "copper", "counter", "crystal",
    "current", "damper", "decade", "device", "digit", "engine", "fabric", "factor", "filter", "flange", "forest",
    "frame", "friction", "garden", "gasket", "glacier", "handle", "harbour", "height", "hinge", "index", "island",
    "journal", "kernel", "ladder", "lantern", "lattice", "ledger", "magnet", "margin", "meadow", "method", "mirror",
    "module", "needle", "network", "notion", "number", "object", "orbit", "packet", "paper", "pattern", "pebble",
    "piston", "pillar", "planet", "pocket", "portal", "powder", "prism", "pulley", "quartz", "radius", "record",
    "reflex", "relay", "ribbon", "river", "rotor", "sample", "saddle", "sensor", "shadow", "shelter", "signal",
    "silver", "socket", "spiral", "spring", "station", "summit", "switch", "symbol", "tablet", "tension", "thread",
    "timber", "token", "torque", "tunnel", "turbine", "valley", "valve", "vector", "vessel", "volume", "window",
];
const VERBS: &[&str] = &["moves", "holds", "changes", "measures", "protects", "follows", "carries", "limits"];

/// A made-up host.
#[derive(Debug)]
pub struct Generated {
    host: usize,
    n_pages: usize,
    seed: u64,
    /// Versions of the pages that were edited.
    edits: RwLock<HashMap<usize, u32>>,
}

/// What a crawl of a whole generated host should come to, as paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Pages with status 200 that robots.txt allows.
    pub pages: Vec<String>,
    /// Paths that redirect to one of the pages.
    pub redirects: Vec<String>,
    /// Paths that robots.txt forbids.
    pub denied: Vec<String>,
    /// Linked paths that answer 404.
    pub missing: Vec<String>,
}

impl Generated {
    /// The `host`th host, with so many pages (at least its front page).
    #[must_use]
    pub fn new(host: usize, n_pages: usize, seed: u64) -> Self {
        Self { host, n_pages: n_pages.max(1), seed, edits: RwLock::default() }
    }

    /// Path of the `n`th page; the front page is the 0th.
    #[must_use]
    pub fn path(n: usize) -> String {
        if n == 0 { "/".to_owned() } else { format!("/docs/part{}/page{n}.html", n % 10) }
    }

    /// Changes one paragraph of a page.
    pub fn edit(&self, n: usize) {
        *self.edits.write().unwrap_or_else(PoisonError::into_inner).entry(n).or_default() += 1;
    }

    /// What there is on a host of so many pages.
    #[must_use]
    pub fn expected(n_pages: usize) -> Expected {
        let odd = |kind: &str| (0..N_ODDITIES).map(|n| format!("/{kind}/{n}.html")).collect();
        Expected {
            pages: (0..n_pages.max(1)).map(Self::path).collect(),
            redirects: odd("old"),
            denied: odd("private"),
            missing: odd("missing"),
        }
    }

    fn page(&self, n: usize, request: &Request, hosts: &[SiteHost]) -> String {
        let word = unique_word(self.host, n);
        let version = self.edits.read().unwrap_or_else(PoisonError::into_inner).get(&n).copied().unwrap_or(0);
        let title = format!("The {} of {word}", self.word(n, 0));
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\n\
             <nav><a href=\"/\">Home</a></nav>\n<main>\n<h1>{title}</h1>\n"
        );
        for section in 0..3_u64 {
            let _ = writeln!(page, "<h2 id=\"s{section}\">About the {}</h2>", self.word(n, section + 1));
            for paragraph in 0..2_u64 {
                let text = self.sentences(n, section * 10 + paragraph + 100);
                let _ = writeln!(page, "<p>{text}</p>");
            }
        }
        let _ = writeln!(page, "<p>The word {word} stands on this page only. This is version {version} of it.</p>");
        let _ = writeln!(page, "<pre><code class=\"language-sh\">configure --with-{word}\n</code></pre>");
        self.links(n, request, hosts, &mut page);
        page.push_str("</main></body></html>\n");
        page
    }

    fn links(&self, n: usize, request: &Request, hosts: &[SiteHost], page: &mut String) {
        let children = (n * FAN_OUT + 1..=n * FAN_OUT + FAN_OUT).filter(|child| *child < self.n_pages);
        let sideways = (0..3).map(|k| usize::try_from(self.hash(n, 900 + k)).unwrap_or(0) % self.n_pages);
        page.push_str("<ul>\n");
        for target in children.chain(sideways).chain(n.checked_sub(1)) {
            let _ = writeln!(page, "<li><a href=\"{}\">page {target}</a>", Self::path(target));
        }
        if n == 0 {
            for kind in ["old", "private", "missing"] {
                for odd in 0..N_ODDITIES {
                    let _ = writeln!(page, "<li><a href=\"/{kind}/{odd}.html\">{kind} {odd}</a>");
                }
            }
            if let Some(next) = hosts.get((self.host + 1) % hosts.len().max(1)) {
                let _ = writeln!(page, "<li><a href=\"{}\">next host</a>", next.url_like(request, "/"));
            }
        }
        page.push_str("</ul>\n");
    }

    fn sentences(&self, n: usize, salt: u64) -> String {
        let mut text = String::new();
        for k in (0..5).map(|k| salt * 100 + k * 7) {
            let verb = VERBS.get(usize::try_from(self.hash(n, k + 3)).unwrap_or(0) % VERBS.len()).unwrap_or(&"is");
            let [one, two, three, four] = [k, k + 1, k + 2, k + 4].map(|k| self.word(n, k));
            let _ = write!(text, "The {one} {two} {verb} every {three} when the {four} is near. ");
        }
        text
    }

    fn word(&self, n: usize, k: u64) -> &'static str {
        WORDS.get(usize::try_from(self.hash(n, k) >> 1).unwrap_or(0) % WORDS.len()).copied().unwrap_or("thing")
    }

    fn hash(&self, n: usize, k: u64) -> u64 {
        let words = [self.host as u64, n as u64, k].map(u64::to_le_bytes);
        xxh3_64_with_seed(words.as_flattened(), self.seed)
    }

    fn number(&self, path: &str) -> Option<usize> {
        let name = path.rsplit('/').next()?.strip_suffix(".html")?;
        let n = name.strip_prefix("page")?.parse().ok()?;
        (n > 0 && n < self.n_pages && path == Self::path(n)).then_some(n)
    }

    fn sitemap(&self, request: &Request) -> String {
        let mut xml =
            "<?xml version=\"1.0\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n".to_owned();
        for n in 0..self.n_pages.min(50_000) {
            let _ = writeln!(xml, "<url><loc>http://{}{}</loc></url>", request.authority(), Self::path(n));
        }
        xml + "</urlset>\n"
    }
}

impl Content for Generated {
    fn answer(&self, request: &Request, hosts: &[SiteHost]) -> Response {
        match request.path() {
            "/" => Response::html(self.page(0, request, hosts)).conditional(request, Some(LAST_MODIFIED)),
            "/robots.txt" => {
                let sitemap = format!("Sitemap: http://{}/sitemap.xml", request.authority());
                Response::ok("text/plain", format!("User-agent: *\nDisallow: /private/\n{sitemap}\n"))
            }
            "/sitemap.xml" => Response::ok("application/xml", self.sitemap(request)),
            path if path.starts_with("/old/") => Response::redirect(301, &Self::path(self.n_pages / 2)),
            path if path.starts_with("/private/") => Response::html("<p>nobody should read this"),
            // By tag only: an edit must not hide behind an old date. The front page has both.
            path => match self.number(path) {
                Some(n) => Response::html(self.page(n, request, hosts)).conditional(request, None),
                None => Response::status(404),
            },
        }
    }
}

/// The word that stands on the `page`th page of the `host`th generated host and nowhere else: made of syllables, so
/// that tokenizers and stemmers take it for a word.
#[must_use]
pub fn unique_word(host: usize, page: usize) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprtvz";
    const VOWELS: &[u8] = b"aiou";
    let mut number = (host * 1_000_003 + page) as u64;
    let mut word = "xe".to_owned();
    for _ in 0..6 {
        let base = (CONSONANTS.len() * VOWELS.len()) as u64;
        let syllable = usize::try_from(number % base).unwrap_or(0);
        number /= base;
        for letter in [CONSONANTS.get(syllable / VOWELS.len()), VOWELS.get(syllable % VOWELS.len())] {
            word.push(char::from(*letter.unwrap_or(&b'x')));
        }
    }
    word + "k"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_page_has_a_word_of_its_own() {
        let words: HashSet<String> = (0..30).flat_map(|h| (0..500).map(move |p| unique_word(h, p))).collect();
        assert_eq!(words.len(), 15_000);
    }

    #[test]
    fn every_page_is_reached_by_links_from_the_front_page() {
        let host = Generated::new(2, 300, 7);
        let mut found = HashSet::from(["/".to_owned()]);
        let mut queue = vec!["/".to_owned()];
        while let Some(path) = queue.pop() {
            let n = if path == "/" { 0 } else { host.number(&path).unwrap() };
            let page = host.page(n, &Request::default(), &[]);
            for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if (link == "/" || host.number(link).is_some()) && found.insert(link.to_owned()) {
                    queue.push(link.to_owned());
                }
            }
        }
        assert_eq!(found, Generated::expected(300).pages.into_iter().collect());
    }

    #[test]
    fn an_edit_changes_one_page_and_the_seed_all() {
        let host = Generated::new(0, 10, 1);
        let before: Vec<String> = (0..10).map(|n| host.page(n, &Request::default(), &[])).collect();
        host.edit(3);
        let changed: Vec<usize> = (0..10).filter(|n| host.page(*n, &Request::default(), &[]) != before[*n]).collect();
        assert_eq!(changed, [3]);
        assert_ne!(Generated::new(0, 10, 2).page(1, &Request::default(), &[]), before[1]);
    }
}
