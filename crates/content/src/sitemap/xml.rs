//! The XML formats in one pass: `urlset`, `sitemapindex`, `rss`, `RDF` and `feed`.
//!
//! All of them are lists of flat records: a record element with the location and the date among its children.
//! Names are compared without prefix and in lower case, so that wrong and missing namespaces do no harm; only
//! direct children of a record count, so that the `loc` of an image or the `link` of a source is not a page.

use super::Collector;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Open elements at once. Sitemaps have 5, feeds with inline XHTML some dozens.
const MAX_DEPTH: usize = 256;

/// Bytes of one field; longer ones are cut and then no URL that is crawled.
const MAX_FIELD_BYTES: usize = 8 * 1024;

pub(super) fn read(text: &str, collector: &mut Collector) {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    // `&` in URLs is the commonest mistake in sitemaps, elements closed in the wrong order the next.
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    let mut pass = Pass::new(collector);
    loop {
        let step = match reader.read_event() {
            Ok(Event::Start(element)) => pass.open(&element, false),
            Ok(Event::Empty(element)) => pass.open(&element, true),
            Ok(Event::End(_)) => pass.close(),
            Ok(Event::Text(text)) => pass.text(&text.into_inner()),
            Ok(Event::CData(text)) => pass.text(&text.into_inner()),
            Ok(Event::GeneralRef(reference)) => pass.reference(&reference),
            Ok(Event::DocType(_)) => pass.problem("doctype_ignored"),
            Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => Step::Go,
            Ok(Event::Eof) => return pass.end(),
            Err(quick_xml::Error::Syntax(_)) => return pass.end(),
            Err(_) => pass.stop("xml_syntax"),
        };
        if step == Step::Stop {
            return;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Step {
    Go,
    Stop,
}

/// The root element, which says what records are called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    UrlSet,
    Index,
    Rss,
    Rdf,
    Atom,
}

impl Root {
    fn of(name: &str) -> Option<Self> {
        match name {
            "urlset" => Some(Self::UrlSet),
            "sitemapindex" => Some(Self::Index),
            "rss" => Some(Self::Rss),
            "rdf" => Some(Self::Rdf),
            "feed" => Some(Self::Atom),
            _ => None,
        }
    }

    const fn record(self) -> &'static str {
        match self {
            Self::UrlSet => "url",
            Self::Index => "sitemap",
            Self::Rss | Self::Rdf => "item",
            Self::Atom => "entry",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Location,
    /// The `guid` of an RSS item: its location when there is no `link`.
    Guid,
    Modified,
    Published,
}

#[derive(Default)]
struct Record {
    location: String,
    guid: String,
    modified: String,
    published: String,
}

impl Record {
    fn field(&mut self, field: Field) -> &mut String {
        match field {
            Field::Location => &mut self.location,
            Field::Guid => &mut self.guid,
            Field::Modified => &mut self.modified,
            Field::Published => &mut self.published,
        }
    }
}

struct Pass<'a> {
    collector: &'a mut Collector,
    root: Option<Root>,
    depth: usize,
    /// The open record, and the depth of its children.
    record: Option<(Record, usize)>,
    /// The open field; its depth is that of the record's children.
    field: Option<Field>,
}

impl<'a> Pass<'a> {
    fn new(collector: &'a mut Collector) -> Self {
        Self { collector, root: None, depth: 0, record: None, field: None }
    }

    fn open(&mut self, element: &BytesStart<'_>, is_empty: bool) -> Step {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.stop("xml_too_deep");
        }
        let name = element.local_name().into_inner().to_ascii_lowercase();
        match (self.root, &self.record) {
            (None, _) => {
                self.root = Root::of(&name);
                if self.root.is_none() {
                    return self.stop("not_a_sitemap");
                }
                self.use_base(element);
            }
            (Some(root), None) if name == root.record() => {
                if !self.collector.has_room() {
                    return Step::Stop;
                }
                self.record = Some((Record::default(), self.depth + 1));
            }
            (Some(root), Some((_, depth))) if *depth == self.depth => self.open_field(root, &name, element),
            _ => {}
        }
        if is_empty { self.close() } else { Step::Go }
    }

    /// `xml:base` of an Atom feed (RFC 4287 §2).
    fn use_base(&mut self, element: &BytesStart<'_>) {
        if let Some(base) = attribute(element, "xml:base").and_then(|base| self.collector.base.join(&base).ok()) {
            self.collector.base = base;
        }
    }

    fn open_field(&mut self, root: Root, name: &str, element: &BytesStart<'_>) {
        let is_feed = !matches!(root, Root::UrlSet | Root::Index);
        self.field = match name {
            "loc" if !is_feed => Some(Field::Location),
            "lastmod" if !is_feed => Some(Field::Modified),
            "link" if is_feed => {
                self.take_href(element);
                // The text of a link is a location in RSS only; a second link adds nothing to the first.
                let is_first = self.record.as_ref().is_some_and(|(record, _)| record.location.is_empty());
                (root != Root::Atom && is_first).then_some(Field::Location)
            }
            "guid" if attribute(element, "isPermaLink").as_deref() != Some("false") => Some(Field::Guid),
            "updated" if is_feed => Some(Field::Modified),
            "pubdate" | "published" | "date" if is_feed => Some(Field::Published),
            _ => None,
        };
        // A field given twice counts once, the last time; links were handled above.
        if let (Some(field), Some((record, _))) = (self.field, &mut self.record) {
            record.field(field).clear();
        }
    }

    /// `<link href>` as in Atom, where only the page itself counts (`rel` missing or `alternate`).
    fn take_href(&mut self, element: &BytesStart<'_>) {
        let is_page = attribute(element, "rel").is_none_or(|rel| rel.eq_ignore_ascii_case("alternate"));
        if let (true, Some(href), Some((record, _))) = (is_page, attribute(element, "href"), &mut self.record)
            && record.location.is_empty()
        {
            record.location = href;
        }
    }

    fn close(&mut self) -> Step {
        let record_depth = self.record.as_ref().map(|(_, depth)| *depth);
        if record_depth == Some(self.depth) {
            self.field = None;
        } else if record_depth == Some(self.depth + 1) {
            self.finish_record();
        }
        self.depth = self.depth.saturating_sub(1);
        Step::Go
    }

    fn finish_record(&mut self) {
        let Some((record, _)) = self.record.take() else { return };
        self.field = None;
        let location = if record.location.trim().is_empty() { &record.guid } else { &record.location };
        if self.root == Some(Root::Index) {
            self.collector.add_sitemap(location);
        } else {
            let date = if record.modified.trim().is_empty() { &record.published } else { &record.modified };
            self.collector.add_page(location, Some(date));
        }
    }

    fn text(&mut self, text: &str) -> Step {
        if let (Some(field), Some((record, depth))) = (self.field, &mut self.record)
            && *depth == self.depth
        {
            let value = record.field(field);
            let room = MAX_FIELD_BYTES.saturating_sub(value.len());
            value.push_str(text.get(..room.min(text.len())).unwrap_or_default());
        }
        Step::Go
    }

    /// Character references and the five predefined entities; all others would need a DTD and stay as written.
    fn reference(&mut self, reference: &BytesRef<'_>) -> Step {
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        let name = reference.xml10_content();
        match name.as_ref() {
            "amp" => self.text("&"),
            "lt" => self.text("<"),
            "gt" => self.text(">"),
            "quot" => self.text("\""),
            "apos" => self.text("'"),
            other => self.text(&format!("&{other};")),
        }
    }

    fn problem(&mut self, code: &'static str) -> Step {
        self.collector.problem(code);
        Step::Go
    }

    fn stop(&mut self, code: &'static str) -> Step {
        self.collector.problem(code);
        Step::Stop
    }

    /// The text is over, in the right place or not. A record that was still open is not used: its URL may be cut.
    fn end(self) {
        if self.root.is_none() {
            self.collector.problem("not_a_sitemap");
        } else if self.depth > 0 {
            self.collector.problem("truncated");
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    let value = quick_xml::escape::unescape(&attribute.value).map_or_else(|_| attribute.value.to_string(), Into::into);
    (value.len() <= MAX_FIELD_BYTES).then_some(value)
}
