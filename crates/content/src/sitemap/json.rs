//! JSON feeds (jsonfeed.org, versions 1 and 1.1).

use super::Collector;
use serde::Deserialize;

#[derive(Deserialize)]
struct Feed {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    url: Option<String>,
    external_url: Option<String>,
    date_modified: Option<String>,
    date_published: Option<String>,
}

/// All or nothing: JSON that ends early has no items.
pub(super) fn read(text: &str, collector: &mut Collector) {
    let Ok(feed) = serde_json::from_str::<Feed>(text.trim_start()) else { return collector.problem("json_syntax") };
    for item in feed.items {
        if !collector.has_room() {
            return;
        }
        if let Some(url) = item.url.or(item.external_url) {
            collector.add_page(&url, item.date_modified.or(item.date_published).as_deref());
        }
    }
}
