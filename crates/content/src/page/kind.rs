//! What a body is: HTML, Markdown, plain text or something else.

/// A body that can be read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// HTML or XHTML.
    Html,
    /// Markdown.
    Markdown,
    /// Plain text.
    Plain,
}

/// Sniffing reads this much of the body: the WHATWG "resource header".
const SNIFF_BYTES: usize = 1445;

/// Beginnings that make an untyped body HTML (MIME Sniffing §7.1), lower case, after white space.
const HTML_SIGNATURES: &[&str] = &[
    "<!doctype html",
    "<html",
    "<head",
    "<script",
    "<iframe",
    "<h1",
    "<div",
    "<font",
    "<table",
    "<a",
    "<style",
    "<title",
    "<b",
    "<body",
    "<br",
    "<p",
    "<!--",
    "<?xml",
];

/// Beginnings of files that are called HTML by mistake and are none (MIME Sniffing §6.1, §6.4, §7.1). Bytes that text
/// does not hold are no sign here: a page with a stray NUL is one.
const FOREIGN_SIGNATURES: &[&[u8]] = &[
    b"%PDF-",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"Rar!\x1a\x07",
];

/// Whether the body is HTML.
#[must_use]
pub fn is_html(content_type: Option<&str>, body: &[u8]) -> bool {
    text_kind(content_type, body) == Some(TextKind::Html)
}

/// What the body is, by its type; sniffed where the type is missing or says nothing. `None` for what is no text.
#[must_use]
pub fn text_kind(content_type: Option<&str>, body: &[u8]) -> Option<TextKind> {
    let essence = content_type.and_then(|value| value.split(';').next()).map(|value| value.trim().to_ascii_lowercase());
    match essence.as_deref() {
        Some("text/html" | "application/xhtml+xml") => (!is_foreign(body)).then_some(TextKind::Html),
        Some("text/markdown" | "text/x-markdown") => Some(TextKind::Markdown),
        Some("text/plain") => (!is_binary(body)).then_some(TextKind::Plain),
        None | Some("" | "unknown/unknown" | "application/unknown" | "*/*") => sniff(body),
        Some(_) => None,
    }
}

fn sniff(body: &[u8]) -> Option<TextKind> {
    let head = body.get(..SNIFF_BYTES).unwrap_or(body);
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let start = head.trim_ascii_start();
    let is_html = HTML_SIGNATURES.iter().any(|signature| {
        start.get(..signature.len()).is_some_and(|text| text.eq_ignore_ascii_case(signature.as_bytes()))
            && start.get(signature.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric())
    });
    if is_html {
        return Some(TextKind::Html);
    }
    (!is_binary(body)).then_some(TextKind::Plain)
}

fn is_foreign(body: &[u8]) -> bool {
    FOREIGN_SIGNATURES.iter().any(|signature| body.starts_with(signature))
}

/// MIME Sniffing §5: bytes that no text holds. A UTF-16 mark makes NULs harmless.
fn is_binary(body: &[u8]) -> bool {
    let head = body.get(..SNIFF_BYTES).unwrap_or(body);
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return false;
    }
    head.starts_with(b"%PDF-") || head.iter().any(|byte| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_and_else_the_bytes() {
        let check = |content_type: Option<&str>, body: &[u8], expected| {
            assert_eq!(text_kind(content_type, body), expected, "{content_type:?}")
        };
        check(Some("text/html; charset=utf-8"), b"", Some(TextKind::Html));
        check(Some("Application/XHTML+xml"), b"", Some(TextKind::Html));
        check(Some("text/html"), b"\0<p>", Some(TextKind::Html));
        check(Some("text/html"), b"%PDF-1.7", None);
        check(Some("text/html"), b"\x89PNG\r\n\x1a\n\0", None);
        check(Some("text/markdown"), b"# x", Some(TextKind::Markdown));
        check(Some("text/plain"), b"<html>", Some(TextKind::Plain));
        check(Some("text/plain"), b"\0\x01", None);
        check(Some("application/pdf"), b"<html>", None);
        check(None, b"\xEF\xBB\xBF \n<!DOCTYPE HTML><p>", Some(TextKind::Html));
        check(None, b"<body>", Some(TextKind::Html));
        check(None, b"<bodyguard", Some(TextKind::Plain));
        check(None, b"%PDF-1.7", None);
        check(None, b"", Some(TextKind::Plain));
    }
}
