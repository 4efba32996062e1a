//! Plain lists: one absolute URL a line (sitemaps.org, "Text file").

use super::Collector;

/// Lines that hold no absolute URL are passed over: joined to the base, any prose would become URLs.
pub(super) fn read(text: &str, collector: &mut Collector) {
    let mut has_url = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !starts_like_http(line) {
            collector.problem("invalid_url");
            continue;
        }
        if !collector.has_room() {
            return;
        }
        has_url = true;
        collector.add_page(line, None);
    }
    if !has_url {
        collector.problem("not_a_sitemap");
    }
}

fn starts_like_http(line: &str) -> bool {
    let has_scheme = |scheme: &str| line.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    has_scheme("http://") || has_scheme("https://")
}
