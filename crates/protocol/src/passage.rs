//! Which text of a passage is indexed. The model and the word index must agree on it, whichever node runs them.

use std::borrow::Cow;

/// What a link's target begins with; behind other brackets stands text.
const SCHEMES: [&str; 4] = ["http://", "https://", "mailto:", "ftp://"];

/// A passage of Markdown as the model and the word index read it: without link targets and without the line breaks of
/// table cells. An address is no text: its words (`http`, the host, `html`) stand in every passage with a link, and
/// those of its path would let a passage be found for what only the page behind the link says.
#[must_use]
pub fn indexed_text(markdown: &str) -> Cow<'_, str> {
    // Most lines hold neither sign, and a search for one byte is far faster than the look at every bracket.
    if !markdown.contains(']') && !markdown.contains('<') {
        return Cow::Borrowed(markdown);
    }
    let Some(first) = next_part(markdown) else { return Cow::Borrowed(markdown) };
    let mut text = String::with_capacity(markdown.len());
    let (mut rest, mut part) = (markdown, Some(first));
    while let Some((start, end, instead)) = part {
        text.push_str(rest.get(..start).unwrap_or_default());
        text.push_str(instead);
        rest = rest.get(end..).unwrap_or_default();
        part = next_part(rest);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Start and end of the next part that is left out, and what takes its place.
fn next_part(text: &str) -> Option<(usize, usize, &'static str)> {
    const BREAK: &str = "<br>";
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        // Bytes, since no other character holds these two.
        let at = from + rest.bytes().position(|byte| matches!(byte, b'(' | b'<'))?;
        let behind = text.get(at..)?;
        if behind.starts_with(BREAK) {
            return Some((at, at + BREAK.len(), " "));
        }
        if let Some(length) = target_length(behind).filter(|_| text.get(..at).is_some_and(|text| text.ends_with(']'))) {
            return Some((at, at + length, ""));
        }
        from = at + 1;
    }
}

/// Bytes of `(target)`, when it is the whole target of a link.
fn target_length(text: &str) -> Option<usize> {
    let target = text.strip_prefix('(')?;
    SCHEMES.iter().find(|scheme| target.starts_with(**scheme))?;
    let end = target.find(|c: char| c == ')' || c.is_whitespace())?;
    target.get(end..)?.starts_with(')').then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(markdown: &str, expected: &str) {
        assert_eq!(indexed_text(markdown), expected);
    }

    #[test]
    fn targets_and_cell_breaks_are_left_out() {
        check("", "");
        check("no link (but brackets) and a < b", "no link (but brackets) and a < b");
        check("[a](http://x.example/y) b [`c`](https://z/)", "[a] b [`c`]");
        check("![alt](http://x/y.png)!", "![alt]!");
        check("| a<br>b | [m](mailto:a@b.example) |", "| a b | [m] |");
    }

    #[test]
    fn what_is_no_whole_target_stays() {
        check("f[0](x) [a](http://cut", "f[0](x) [a](http://cut");
        check("[a](http://x y) (http://z)", "[a](http://x y) (http://z)");
        check("é](é(](", "é](é(](");
    }
}
