//! Images, formulas and checkboxes.

use super::super::tag::Tag;
use super::MAX_MARKDOWN_BYTES;
use super::escape::push_escaped;
use super::inline::push_target;
use super::walk::Writer;
use std::borrow::Cow;

impl Writer<'_> {
    pub(super) fn write_image(&mut self, at: usize) -> usize {
        let alt = self.dom.attribute(at, "alt").map(str::trim);
        if self.dom.has_class(at, &["math"]) {
            if let Some(source) = alt {
                self.inline.push_raw(&format!("${}$", source.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
            return at + 1;
        }
        let source = self
            .dom
            .attribute(at, "src")
            .filter(|source| !source.starts_with("data:"))
            .and_then(|source| self.absolute(source));
        match (alt, source) {
            (Some(""), _) | (None, None) => {}
            (Some(alt), _) if self.in_heading => self.inline.push_text(alt),
            (Some(alt), None) => self.inline.push_text(alt),
            (alt, Some(source)) => {
                let mut image = String::from("![");
                let alt = alt.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
                push_escaped(&mut image, &alt, true, self.inline.in_cell);
                image.push_str("](");
                push_target(&mut image, &source);
                image.push(')');
                self.inline.push_raw(&image);
            }
        }
        at + 1
    }

    pub(super) fn write_superscript_sign(&mut self, at: usize) {
        let is_exponent = self.inline.last_char().is_some_and(|c| c.is_alphanumeric() || c == ')')
            && self.facts.at(at).n_links == 0
            && self.facts.at(at).text <= 5
            && self
                .dom
                .plain_text(at, 8, |_| false)
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '−' | '+'));
        if is_exponent {
            self.inline.push_raw("^");
        }
    }

    pub(super) fn write_checkbox(&mut self, at: usize) -> usize {
        let is_checkbox = self.dom.attribute(at, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("checkbox"));
        if is_checkbox && self.inline.is_empty() && !self.lists.is_empty() && !self.is_flat() {
            self.inline.push_raw(if self.dom.attribute(at, "checked").is_some() { "[x]" } else { "[ ]" });
            self.inline.push_space();
        }
        at + 1
    }

    /// A formula: its TeX source where it is given, else its text.
    pub(super) fn write_math(&mut self, at: usize) -> usize {
        let source = self.dom.descendants(at).find(|&index| {
            self.dom.tag(index) == Tag::Annotation
                && self.dom.attribute(index, "encoding").is_some_and(|kind| kind.contains("tex"))
        });
        let text = self
            .dom
            .plain_text(source.unwrap_or(at), MAX_MARKDOWN_BYTES, |index| self.dom.tag(index) == Tag::Annotation);
        self.push_formula(&text, source.is_some(), self.dom.attribute(at, "display") == Some("block"));
        self.dom.end(at)
    }

    pub(super) fn write_math_script(&mut self, at: usize) -> usize {
        if let Some(kind) = self.dom.attribute(at, "type").filter(|kind| kind.starts_with("math/tex")) {
            let text: Vec<&str> = self
                .dom
                .descendants(at)
                .filter_map(|index| self.dom.text(index))
                .flat_map(str::split_whitespace)
                .collect();
            self.push_formula(&text.join(" "), true, kind.contains("display"));
        }
        self.dom.end(at)
    }

    fn push_formula(&mut self, text: &str, is_source: bool, is_display: bool) {
        let text = if self.inline.in_cell { Cow::Owned(text.replace('|', "\\|")) } else { Cow::Borrowed(text) };
        match (text.trim(), is_source, is_display) {
            ("", _, _) => {}
            (text, true, true) => self.inline.push_raw(&format!("$${text}$$")),
            (text, true, false) => self.inline.push_raw(&format!("${text}$")),
            (text, false, _) => self.inline.push_text(text),
        }
    }

    /// Text that is TeX already (`\(…\)`): kept without escapes.
    pub(super) fn write_raw_text(&mut self, at: usize) -> usize {
        if self.dom.descendants(at).any(|index| matches!(self.dom.tag(index), Tag::Math | Tag::Script)) {
            return at + 1;
        }
        let text = self.dom.plain_text(at, MAX_MARKDOWN_BYTES, |_| false);
        if self.dom.text(at + 1).is_some_and(|text| text.starts_with(char::is_whitespace)) {
            self.inline.push_space();
        }
        if !text.is_empty() {
            self.inline.push_raw(&text);
        }
        self.dom.end(at)
    }
}
