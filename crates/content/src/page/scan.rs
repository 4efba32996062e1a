//! Start tags of a page without a tree: the tokenizer of the HTML standard (§13.2.5), reduced to what finds tags.
//!
//! Text, comments, end tags and uninteresting attributes are stepped over and never copied. What the standard's tree
//! construction would tell the tokenizer is known here by name alone: which elements hold raw text, and that they do
//! not inside of `svg` and `math`. Linear in the page, whatever it holds; memory is the tag under way.

use memchr::{memchr, memchr2};

/// Longest element name that means anything here (`annotation-xml`).
const MAX_NAME: usize = 16;

/// What a scan finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'h, const N: usize> {
    /// A start tag: its name in lower case, and the raw values of the attributes that were asked for.
    Start(&'static str, [Option<&'h str>; N]),
    /// The raw text of a `title`.
    Title(&'h str),
}

/// Reads a page's tags in order.
pub(super) struct Scan<'h, const N: usize> {
    html: &'h str,
    at: usize,
    /// Elements that are told.
    names: &'static [&'static str],
    /// Attributes that are told, in lower case.
    attributes: [&'static str; N],
    /// Inside of `svg` or `math`.
    is_foreign: bool,
    /// Inside of HTML inside of `svg`.
    is_island: bool,
}

impl<'h, const N: usize> Scan<'h, N> {
    /// A scan that tells the start tags with these names, with these attributes, and titles.
    pub(super) const fn new(html: &'h str, names: &'static [&'static str], attributes: [&'static str; N]) -> Self {
        Self { html, at: 0, names, attributes, is_foreign: false, is_island: false }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.html.as_bytes().get(at).copied()
    }

    fn rest(&self, at: usize) -> &'h [u8] {
        self.html.as_bytes().get(at..).unwrap_or_default()
    }

    fn text(&self, from: usize, to: usize) -> &'h str {
        self.html.get(from..to).unwrap_or_default()
    }

    /// Behind the next `byte`, or the page's end.
    fn behind(&self, byte: u8, from: usize) -> usize {
        memchr(byte, self.rest(from)).map_or(self.html.len(), |found| from + found + 1)
    }

    fn skip_space(&self, from: usize) -> usize {
        from + self.rest(from).iter().take_while(|byte| is_space(**byte)).count()
    }

    /// Behind `<!…`.
    fn behind_declaration(&self, at: usize) -> usize {
        let body = at + 4;
        if !self.rest(at).starts_with(b"<!--") {
            return self.behind(b'>', at + 2);
        }
        // An abrupt end, else `-->` or `--!>`.
        if self.rest(body).starts_with(b">") {
            return body + 1;
        }
        if self.rest(body).starts_with(b"->") {
            return body + 2;
        }
        let mut at = body;
        while let Some(dash) = memchr(b'-', self.rest(at)) {
            at += dash;
            if self.rest(at).starts_with(b"-->") {
                return at + 3;
            }
            if self.rest(at).starts_with(b"--!>") {
                return at + 4;
            }
            at += 1;
        }
        self.html.len()
    }

    /// Where the name that begins at `from` ends.
    fn name_end(&self, from: usize) -> usize {
        let is_in_name = |byte: &&u8| !is_space(**byte) && **byte != b'/' && **byte != b'>';
        from + self.rest(from).iter().take_while(is_in_name).count()
    }

    /// Walks the attributes of a tag; answers what is behind it and whether it closes itself. `None` when the page ends
    /// first: such a tag is none.
    fn attributes(&self, from: usize, mut take: impl FnMut(&'h str, &'h str)) -> Option<(usize, bool)> {
        let mut at = from;
        loop {
            at = self.skip_space(at);
            match self.byte(at)? {
                b'>' => return Some((at + 1, false)),
                b'/' if self.byte(at + 1)? == b'>' => return Some((at + 2, true)),
                b'/' => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            // The first character may be a `=`.
            let is_in_name = |byte: &&u8| !is_space(**byte) && !matches!(**byte, b'/' | b'>' | b'=');
            let name_end = at + 1 + self.rest(at + 1).iter().take_while(is_in_name).count();
            let name = self.text(at, name_end);
            at = self.skip_space(name_end);
            if self.byte(at)? != b'=' {
                take(name, "");
                continue;
            }
            at = self.skip_space(at + 1);
            match self.byte(at)? {
                quote @ (b'"' | b'\'') => {
                    let end = at + 1 + memchr(quote, self.rest(at + 1))?;
                    take(name, self.text(at + 1, end));
                    at = end + 1;
                }
                b'>' => {
                    take(name, "");
                    return Some((at + 1, false));
                }
                _ => {
                    let is_in_value = |byte: &&u8| !is_space(**byte) && **byte != b'>';
                    let end = at + self.rest(at).iter().take_while(is_in_value).count();
                    self.byte(end)?;
                    take(name, self.text(at, end));
                    at = end;
                }
            }
        }
    }

    /// Steps over an end tag, or what looks like one.
    fn end_tag(&mut self, at: usize) {
        self.at = match self.byte(at + 2) {
            Some(byte) if byte.is_ascii_alphabetic() => {
                let end = self.name_end(at + 2);
                match lower(self.text(at + 2, end), &mut [0; MAX_NAME]) {
                    "svg" | "math" => (self.is_foreign, self.is_island) = (false, false),
                    "foreignobject" | "desc" if self.is_island => (self.is_foreign, self.is_island) = (true, false),
                    _ => {}
                }
                self.attributes(end, |_, _| {}).map_or(self.html.len(), |(behind, _)| behind)
            }
            Some(b'>') => at + 3,
            _ => self.behind(b'>', at + 2),
        };
    }

    /// Reads a start tag and, where it begins raw text, steps over that.
    fn start_tag(&mut self, at: usize) -> Option<Found<'h, N>> {
        let end = self.name_end(at + 1);
        let mut buffer = [0; MAX_NAME];
        let name = lower(self.text(at + 1, end), &mut buffer);
        let told = self.names.iter().find(|known| **known == name);
        let (mut values, wanted) = ([None; N], self.attributes);
        let parsed = self.attributes(end, |attribute, value| {
            if told.is_some()
                && let Some(place) = wanted.iter().position(|known| attribute.eq_ignore_ascii_case(known))
                && let Some(slot @ None) = values.get_mut(place)
            {
                *slot = Some(value);
            }
        });
        let Some((behind, is_closed)) = parsed else {
            self.at = self.html.len();
            return None;
        };
        self.at = behind;
        let is_title = self.enter(name, is_closed);
        if let Some(title) = is_title {
            return Some(Found::Title(title));
        }
        told.map(|name| Found::Start(name, values))
    }

    /// What an element's start means for what follows it. Answers a title's text.
    fn enter(&mut self, name: &str, is_closed: bool) -> Option<&'h str> {
        if self.is_foreign {
            match name {
                "foreignobject" | "desc" if !is_closed => (self.is_foreign, self.is_island) = (false, true),
                name if BREAKOUTS.contains(&name) => self.is_foreign = false,
                _ => {}
            }
            return None;
        }
        let from = self.at;
        match name {
            "svg" | "math" => self.is_foreign = !is_closed,
            "title" => {
                self.at = self.raw_text_end(from, "title");
                return Some(self.text(from, self.at));
            }
            "textarea" | "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                self.at = self.raw_text_end(from, name);
            }
            "script" => self.at = self.script_end(from),
            "plaintext" => self.at = self.html.len(),
            _ => {}
        }
        None
    }

    /// Where the end tag `</name` begins that ends raw text.
    fn raw_text_end(&self, from: usize, name: &str) -> usize {
        let mut at = from;
        while let Some(found) = memchr(b'<', self.rest(at)) {
            at += found;
            if self.is_tag(at, "</", name) {
                return at;
            }
            at += 1;
        }
        self.html.len()
    }

    /// Whether `prefix` and `name` stand here, and the name ends behind them.
    fn is_tag(&self, at: usize, prefix: &str, name: &str) -> bool {
        let rest = self.rest(at);
        let is_named = rest.starts_with(prefix.as_bytes())
            && rest
                .get(prefix.len()..prefix.len() + name.len())
                .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
        is_named
            && rest.get(prefix.len() + name.len()).is_some_and(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
    }

    /// A script's end tag; one inside of `<!-- <script>` does not count (§13.2.5.15 and after).
    fn script_end(&self, from: usize) -> usize {
        let (mut at, mut is_escaped, mut is_nested) = (from, false, false);
        while let Some(found) = memchr2(b'<', b'-', self.rest(at)) {
            at += found;
            if self.rest(at).starts_with(b"-->") {
                (is_escaped, is_nested) = (false, false);
            } else if !is_escaped && self.rest(at).starts_with(b"<!--") {
                is_escaped = true;
                // The two dashes may be those of `-->`.
                at += 1;
            } else if is_nested {
                is_nested = !self.is_tag(at, "</", "script");
            } else if self.is_tag(at, "</", "script") {
                return at;
            } else if is_escaped {
                is_nested = self.is_tag(at, "<", "script");
            }
            at += 1;
        }
        self.html.len()
    }
}

impl<'h, const N: usize> Iterator for Scan<'h, N> {
    type Item = Found<'h, N>;

    fn next(&mut self) -> Option<Found<'h, N>> {
        loop {
            let at = self.at + memchr(b'<', self.rest(self.at))?;
            match self.byte(at + 1)? {
                b'!' => self.at = self.behind_declaration(at),
                b'?' => self.at = self.behind(b'>', at + 2),
                b'/' => self.end_tag(at),
                byte if byte.is_ascii_alphabetic() => {
                    if let Some(found) = self.start_tag(at) {
                        return Some(found);
                    }
                }
                _ => self.at = at + 1,
            }
        }
    }
}

/// Elements that end `svg` and `math` (§13.2.6.5).
const BREAKOUTS: [&str; 44] = [
    "b",
    "big",
    "blockquote",
    "body",
    "br",
    "center",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "i",
    "img",
    "li",
    "listing",
    "menu",
    "meta",
    "nobr",
    "ol",
    "p",
    "pre",
    "ruby",
    "s",
    "small",
    "span",
    "strong",
    "strike",
    "sub",
    "sup",
    "table",
    "tt",
    "u",
    "ul",
    "var",
];

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

/// The name in lower case; empty when it is longer than any that means something.
fn lower<'b>(name: &str, buffer: &'b mut [u8; MAX_NAME]) -> &'b str {
    let Some(place) = buffer.get_mut(..name.len()) else { return "" };
    place.copy_from_slice(name.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(html: &str) -> Vec<String> {
        let shown = |found| match found {
            Found::Start(name, [href, rel]) => {
                format!("{name} {}{}", href.unwrap_or("-"), rel.map(|rel| format!(" {rel}")).unwrap_or_default())
            }
            Found::Title(title) => format!("title {title}"),
        };
        Scan::new(html, &["a", "base"], ["href", "rel"]).map(shown).collect()
    }

    #[track_caller]
    fn check(html: &str, expected: &[&str]) {
        assert_eq!(tags(html), expected, "{html}");
    }

    #[test]
    fn attributes_are_read_as_the_standard_says() {
        check("<a href=x>", &["a x"]);
        check("<A\nHREF = 'a b' rel=\"n\" href=second>", &["a a b n"]);
        check("<a/href=x/>", &["a x/"]);
        check("<a href>", &["a "]);
        check("<a href=>", &["a "]);
        check("<a =href href=x>", &["a x"]);
        check("<a title=a\"b href='x'>", &["a x"]);
        check("<a title='>' href=x><base href=y>", &["a x", "base y"]);
        check("<abbr href=x><a-b href=x><a>", &["a -"]);
    }

    #[test]
    fn what_is_no_tag_is_stepped_over() {
        check("<!-- <a href=1> --><a href=2>", &["a 2"]);
        check("<!--><a href=1>", &["a 1"]);
        check("<!---><a href=1>", &["a 1"]);
        check("<!-- --!><a href=1>", &["a 1"]);
        check("<!doctype html><?xml <a href=1>?><a href=2>", &["a 2"]);
        check("</><a href=1></ <a href=2>", &["a 1"]);
        check("</p title='>'><a href=1>", &["a 1"]);
        check("1 < 2 <a href=1>", &["a 1"]);
        check("<a href='unclosed>", &[]);
        check("<a href=unclosed", &[]);
        check("<!-- open <a href=1>", &[]);
    }

    #[test]
    fn raw_text_holds_no_tags() {
        check("<script>'<a href=1>'</script ><a href=2>", &["a 2"]);
        check("<script><!-- <script> </script> <a href=1> --></script><a href=2>", &["a 2"]);
        check("<script><!-- </script><a href=2>", &["a 2"]);
        check("<script><!--></script><a href=2>", &["a 2"]);
        check("<style><a href=1></style><textarea><a href=2></TEXTAREA><a href=3>", &["a 3"]);
        check("<title>a <b> &amp; </titles></title><a href=1>", &["title a <b> &amp; </titles>", "a 1"]);
        check("<noscript><a href=1></noscript>", &["a 1"]);
        check("<plaintext><a href=1>", &[]);
        check("<style><a href=1>", &[]);
    }

    #[test]
    fn svg_holds_no_raw_text_and_no_title() {
        check("<svg><title>t</title><style><a href=1></style></svg><title>u</title>", &["a 1", "title u"]);
        check("<svg/><style><a href=1></style>", &[]);
        check("<svg><p><style><a href=1></style>", &[]);
        check("<svg><foreignObject><style><a href=1></style></foreignObject><style><a href=2></style>", &["a 2"]);
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_to_its_end(html in "[-<>!/ a='\"?]{0,60}|.{0,60}") {
            let mut scan = Scan::new(&html, &["a"], ["a"]);
            prop_assert!(scan.by_ref().count() <= html.len());
            prop_assert!(scan.at <= html.len());
        }
    }
}
