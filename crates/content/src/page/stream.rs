//! Links, base, canonical, meta robots and title without a tree, for jobs that ask for nothing more.

use super::head::Collector;
use super::scan::{Found, Scan};
use super::tag::Tag;
use super::{PageInput, ParsedPage};
use std::borrow::Cow;

/// The elements that the collector takes.
const ELEMENTS: &[&str] = &["a", "area", "frame", "html", "base", "link", "meta"];
/// The attributes that it asks for.
const ATTRIBUTES: [&str; 8] = ["href", "rel", "src", "lang", "name", "property", "content", "type"];
/// Longest title that is looked at.
const MAX_TITLE_BYTES: usize = 4096;

/// Fills the page from the text.
pub(super) fn fill(page: &mut ParsedPage, input: &PageInput<'_>, html: &str) {
    let mut collector = Collector::new(input);
    for found in Scan::new(html, ELEMENTS, ATTRIBUTES) {
        match found {
            Found::Start(name, raw) => {
                let values = raw.map(|value| value.map(decode_entities));
                collector.element(Tag::of(name), |name| {
                    let place = ATTRIBUTES.iter().position(|known| *known == name)?;
                    values.get(place)?.as_deref()
                });
            }
            Found::Title(title) => {
                let end = title.floor_char_boundary(MAX_TITLE_BYTES);
                collector.title(&decode_entities(title.get(..end).unwrap_or_default()));
            }
        }
    }
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
fn decode_entities(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
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
    Cow::Owned(out)
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
