//! The encoding that a page declares about itself in its first 1,024 bytes (HTML standard, "prescan a byte
//! stream to determine its encoding"), and the encoding of an XML declaration.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// HTML standard: user agents look at the first 1,024 bytes.
const PRESCAN_BYTES: usize = 1024;

/// The declared encoding, if there is one that is known.
pub(super) fn prescan(body: &[u8]) -> Option<&'static Encoding> {
    let mut rest = body.get(..PRESCAN_BYTES).unwrap_or(body);
    if let Some(label) = rest.strip_prefix(b"<?xml").and_then(xml_label) {
        return known(label);
    }
    while let Some(at) = rest.iter().position(|&byte| byte == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = after(comment, b"-->");
        } else if starts_with_ignore_case(rest, b"meta")
            && rest.get(4).is_some_and(|b| b.is_ascii_whitespace() || *b == b'/')
        {
            let tag_end = rest.iter().position(|&byte| byte == b'>').unwrap_or(rest.len());
            let tag = rest.get(4..tag_end).unwrap_or_default();
            if let Some(encoding) = meta_encoding(tag) {
                return Some(encoding);
            }
        }
    }
    None
}

fn after<'a>(haystack: &'a [u8], needle: &[u8]) -> &'a [u8] {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
        .and_then(|at| haystack.get(at + needle.len()..))
        .unwrap_or_default()
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn xml_label(declaration: &[u8]) -> Option<&[u8]> {
    let end = declaration.iter().position(|&byte| byte == b'>')?;
    let value = after(declaration.get(..end)?, b"encoding");
    let start = value.iter().position(|byte| matches!(byte, b'"' | b'\''))?;
    let quote = value.get(start)?;
    value.get(start + 1..)?.split(|byte| byte == quote).next()
}

fn meta_encoding(tag: &[u8]) -> Option<&'static Encoding> {
    let tag = String::from_utf8_lossy(tag);
    let (mut charset, mut content, mut is_content_type) = (None, None, false);
    for (name, value) in attributes(&tag) {
        match name.to_ascii_lowercase().as_str() {
            "charset" => charset = charset.or(Some(value)),
            "content" => content = content.or(Some(value)),
            "http-equiv" => is_content_type |= value.eq_ignore_ascii_case("content-type"),
            _ => {}
        }
    }
    let in_content = content.filter(|_| is_content_type).and_then(|content| {
        let at = content.to_ascii_lowercase().find("charset")?;
        let value = content.get(at + 7..)?.trim_start().strip_prefix('=')?.trim_start();
        value.trim_start_matches(['"', '\'']).split([';', '"', '\'', ' ']).next()
    });
    known(charset.or(in_content)?.as_bytes())
}

/// Name and value of each attribute in the inside of a tag.
fn attributes(tag: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return found;
        }
        let name_end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace() || c == '/').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(name_end.max(rest.chars().next().map_or(1, char::len_utf8)));
        let tail = tail.trim_start();
        let Some(value) = tail.strip_prefix('=').map(str::trim_start) else {
            found.push((name, ""));
            rest = tail;
            continue;
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, tail) = match quote {
            Some(quote) => value.get(1..).unwrap_or_default().split_once(quote).unwrap_or((value, "")),
            None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        found.push((name, value));
        rest = tail;
    }
}

/// By the standard UTF-16 in a `meta` means UTF-8 (the `meta` could be read), `x-user-defined` windows-1252.
fn known(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label_no_replacement(label)?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        encoding_rs::WINDOWS_1252
    } else {
        encoding
    })
}
