//! The documentation's pages, in the order of the site's menu.

/// One page of the site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Its file name without `.html`; `index` is the start page.
    pub(crate) name: &'static str,
    /// Its Markdown.
    pub(crate) markdown: &'static str,
}

macro_rules! pages {
    ($($name:literal,)+) => {
        /// All pages.
        pub(crate) const PAGES: &[Page] = &[
            $(Page { name: $name, markdown: include_str!(concat!("../../../../docs/demo/", $name, ".md")) },)+
        ];
    };
}

pages! {
    "index",
    "install",
    "crawl",
    "politeness",
    "robots",
    "search",
    "recrawl",
    "resume",
    "configuration",
    "errors",
    "egress",
    "export",
    "jobs",
    "node",
    "cluster",
    "embedding",
    "architecture",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_title_and_links_only_to_pages_that_exist() {
        for page in PAGES {
            assert!(page.markdown.starts_with("# "), "{}", page.name);
            for target in page.markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let name = target.split('#').next().unwrap().trim_end_matches(".html");
                let is_known = target.starts_with("http") || PAGES.iter().any(|page| page.name == name);
                assert!(is_known, "{} links to {target}", page.name);
            }
        }
    }
}
