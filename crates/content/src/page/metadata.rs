//! OpenGraph and JSON-LD, bounded: enough to date and name a page.

use serde_json::Value;
use std::collections::BTreeMap;

/// Keys of one page.
const MAX_KEYS: usize = 32;
/// Bytes of one value.
const MAX_VALUE_BYTES: usize = 1024;
/// Bytes of one JSON-LD block that is read at all.
const MAX_JSON_BYTES: usize = 256 * 1024;
/// Objects of JSON-LD blocks that are looked at.
const MAX_OBJECTS: usize = 64;

/// JSON-LD properties that are kept, under `ld:`.
const JSON_LD_KEYS: &[&str] = &["headline", "datePublished", "dateModified", "dateCreated", "inLanguage"];
/// JSON-LD types of articles.
const ARTICLE_TYPES: &[&str] =
    &["NewsArticle", "BlogPosting", "Article", "ReportageNewsArticle", "LiveBlogPosting", "OpinionNewsArticle"];

/// What a page says about itself to others.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    values: BTreeMap<String, String>,
    is_article: bool,
}

impl Metadata {
    /// Takes a `meta` with a lower-case name.
    pub(super) fn meta(&mut self, name: &str, content: &str) {
        if name == "article:published_time" || (name == "og:type" && content.trim().eq_ignore_ascii_case("article")) {
            self.is_article = true;
        }
        let is_kept = name.starts_with("og:")
            || name.starts_with("article:")
            || matches!(name, "author" | "date" | "keywords" | "last-modified");
        if is_kept && name.len() <= 64 {
            self.keep(name, content);
        }
    }

    /// Takes a JSON-LD block. Depth is bounded by the JSON reader.
    pub(super) fn json_ld(&mut self, text: &str) {
        if text.len() > MAX_JSON_BYTES {
            return;
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else { return };
        let mut pending = vec![&value];
        let mut n_objects = 0;
        while let Some(value) = pending.pop() {
            match value {
                Value::Array(items) => pending.extend(items.iter().take(MAX_OBJECTS).rev()),
                Value::Object(object) => {
                    n_objects += 1;
                    if n_objects > MAX_OBJECTS {
                        return;
                    }
                    self.json_object(object);
                    pending.extend(object.get("@graph"));
                }
                _ => {}
            }
        }
    }

    fn json_object(&mut self, object: &serde_json::Map<String, Value>) {
        let types = match object.get("@type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).take(4).collect(),
            _ => vec![],
        };
        self.is_article |= types.iter().any(|name| ARTICLE_TYPES.contains(name));
        if let Some(name) = types.first() {
            self.keep("ld:type", name);
        }
        for key in JSON_LD_KEYS {
            if let Some(text) = object.get(*key).and_then(Value::as_str) {
                self.keep(&format!("ld:{key}"), text);
            }
        }
    }

    /// The page calls itself an article.
    pub(super) const fn is_article(&self) -> bool {
        self.is_article
    }

    /// Its OpenGraph description.
    pub(super) fn description(&self) -> Option<String> {
        self.values.get("og:description").cloned()
    }

    /// All that was kept.
    pub(super) fn into_map(self) -> BTreeMap<String, String> {
        self.values
    }

    fn keep(&mut self, key: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() || self.values.contains_key(key) || self.values.len() >= MAX_KEYS {
            return;
        }
        let end = value.floor_char_boundary(MAX_VALUE_BYTES);
        self.values.insert(key.to_owned(), value.get(..end).unwrap_or_default().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_ld_graphs_are_read_and_bounded() {
        let mut metadata = Metadata::default();
        metadata.json_ld(r#"{"@graph":[{"@type":["BlogPosting"],"headline":" Hello ","datePublished":"2024-01-01"},{"@type":"Person"}]}"#);
        assert!(metadata.is_article());
        assert_eq!(metadata.values.get("ld:headline").map(String::as_str), Some("Hello"));
        assert_eq!(metadata.values.get("ld:type").map(String::as_str), Some("BlogPosting"));
        metadata.json_ld(&"[".repeat(200_000));
        (0..100).for_each(|n| metadata.meta(&format!("og:{n}"), &"é".repeat(2000)));
        assert_eq!(metadata.values.len(), MAX_KEYS);
        assert!(metadata.values.values().all(|value| value.len() <= MAX_VALUE_BYTES));
    }
}
