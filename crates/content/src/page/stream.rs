//! Links, base, canonical, meta robots and title without a tree, for jobs that ask for nothing more.

use super::head::Collector;
use super::tag::Tag;
use super::{PageInput, ParsedPage, Problem};
use lol_html::html_content::{Element, TextChunk};
use lol_html::{HtmlRewriter, MemorySettings, Settings, element, text};
use std::cell::RefCell;

/// Memory of the streaming parser: one token and its stack of open elements.
const MAX_MEMORY_BYTES: usize = 8 * 1024 * 1024;
/// The attributes that the collector asks for.
const ATTRIBUTES: [&str; 8] = ["href", "rel", "src", "lang", "name", "property", "content", "type"];
/// Longest title that is collected.
const MAX_TITLE_BYTES: usize = 4096;

/// Fills the page from the text.
pub(super) fn fill(page: &mut ParsedPage, input: &PageInput<'_>, html: &str) {
    let collector = RefCell::new(Collector::new(input));
    let title = RefCell::new(String::new());
    let take = |element: &mut Element<'_, '_>| {
        // Only what the collector may ask for: links carry many attributes more.
        let attributes = ATTRIBUTES.map(|name| element.get_attribute(name).map(decode_entities));
        collector.borrow_mut().element(Tag::of(&element.tag_name()), |name| {
            ATTRIBUTES.iter().position(|known| *known == name).and_then(|at| attributes[at].as_deref())
        });
        Ok(())
    };
    let settings = Settings::new()
        .append_element_content_handler(element!("a, area, frame, html, base, link, meta", take))
        .append_element_content_handler(text!("title", |chunk: &mut TextChunk<'_>| {
            let mut title = title.borrow_mut();
            if title.len() < MAX_TITLE_BYTES {
                title.push_str(chunk.as_str());
            }
            Ok(())
        }))
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY_BYTES))
        .with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let fed = html.as_bytes().chunks(16 * 1024).try_for_each(|piece| rewriter.write(piece));
    if fed.and_then(|()| rewriter.end()).is_err() {
        page.problems.push(Problem::StreamMemory);
    }
    let mut collector = collector.into_inner();
    collector.title(&decode_entities(title.into_inner()));
    collector.finish(page);
}

/// Names of U+00A0 to U+00FF, in order (HTML 4.01 §24.2).
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy",
    "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm",
    "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig",
    "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve",
    "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN",
    "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc",
    "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml",
    "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// Undoes character references as they occur in URLs and titles: numeric ones and the common names.
fn decode_entities(text: String) -> String {
    if !text.contains('&') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('&') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let decoded = rest
            .find(';')
            .filter(|&end| end <= 10)
            .and_then(|end| Some((reference(rest.get(1..end)?)?, rest.get(end + 1..)?)));
        match decoded {
            Some((c, tail)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "mdash" => '—',
        "ndash" => '–',
        "hellip" => '…',
        "bull" => '•',
        "rsquo" => '’',
        "lsquo" => '‘',
        "rdquo" => '”',
        "ldquo" => '“',
        "trade" => '™',
        _ => {
            let index = LATIN_1.iter().position(|known| *known == name)?;
            char::from(u8::try_from(index + 0xA0).ok()?)
        }
    })
}
