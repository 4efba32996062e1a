//! The loop over the tree: what each element does when it is entered and when it is left.

use super::super::Heading;
use super::super::dom::{Dom, Facts};
use super::super::tag::Tag;
use super::inline::{Inline, Mark, push_code, push_target};
use super::output::Output;
use super::table::{self, Cell, Table};
use super::{MAX_MARKDOWN_BYTES, anchor, code, escape_line_start};
use std::borrow::Cow;
use url::Url;

/// Longest heading text that is listed, in bytes; the Markdown holds all of it.
const MAX_HEADING_BYTES: usize = 1024;

/// What happens at the end of an element.
#[derive(Clone, Copy)]
enum Exit {
    Block,
    Mark,
    Code,
    Heading(u8),
    Definition { is_code: bool },
    List,
    Prefix,
    Table,
    Row,
    Cell,
    Space,
    Quotation,
}

struct Open {
    end: usize,
    exit: Exit,
    at: usize,
}

/// Numbering of an open list; `None` for bullets.
struct List {
    next: Option<u64>,
    is_plain: bool,
    n_items: usize,
}

/// Writes subtrees as Markdown.
pub(super) struct Writer<'d> {
    dom: &'d Dom,
    facts: &'d Facts,
    dropped: &'d [bool],
    base: &'d Url,
    output: Output,
    inline: Inline,
    open: Vec<Open>,
    lists: Vec<List>,
    tables: Vec<Table>,
    headings: Vec<Heading>,
    in_heading: bool,
}

impl<'d> Writer<'d> {
    pub(super) fn new(dom: &'d Dom, facts: &'d Facts, dropped: &'d [bool], base: &'d Url) -> Self {
        Self {
            dom,
            facts,
            dropped,
            base,
            output: Output::default(),
            inline: Inline::default(),
            open: Vec::new(),
            lists: Vec::new(),
            tables: Vec::new(),
            headings: Vec::new(),
            in_heading: false,
        }
    }

    /// Writes one subtree.
    pub(super) fn write(&mut self, root: usize) {
        let (mut at, end) = (root, self.dom.end(root));
        while at < end && !self.output.is_full() {
            self.leave_until(at);
            at = if self.dropped.get(at).copied().unwrap_or(false) { self.dom.end(at) } else { self.enter(at) };
        }
        self.leave_until(usize::MAX);
        self.end_block();
    }

    /// The Markdown, its headings, and whether it was cut.
    pub(super) fn finish(self) -> (String, Vec<Heading>, bool) {
        let (text, is_cut) = self.output.finish();
        let headings = self.headings.into_iter().filter(|heading| heading.offset < text.len()).collect();
        (text, headings, is_cut)
    }

    fn leave_until(&mut self, at: usize) {
        while let Some(open) = self.open.pop_if(|open| open.end <= at) {
            self.leave(&open);
        }
    }

    fn on_exit(&mut self, at: usize, exit: Exit) -> usize {
        self.open.push(Open { end: self.dom.end(at), exit, at });
        at + 1
    }

    /// Takes a node; gives the node to go on with.
    fn enter(&mut self, at: usize) -> usize {
        if let Some(text) = self.dom.text(at) {
            self.inline.push_text(text);
            return at + 1;
        }
        let tag = self.dom.tag(at);
        if let Some(level) = tag.heading_level() {
            return self.enter_heading(at, level);
        }
        match tag {
            Tag::Pre => self.write_listing(at),
            Tag::Ul | Tag::Ol | Tag::Menu => self.enter_list(at, tag),
            Tag::Li => self.enter_item(at),
            Tag::Table => self.enter_table(at),
            Tag::Tr => self.enter_row(at),
            Tag::Td | Tag::Th => self.enter_cell(at),
            Tag::Dt => self.enter_term(at),
            Tag::Blockquote => self.enter_quote(at),
            Tag::Div if self.is_listing(at) => self.write_listing(at),
            Tag::Div | Tag::P
                if self.dom.has_class(at, &["admonition-title", "admonitionTitle", "title-admonition"]) =>
            {
                self.enter_bold_block(at)
            }
            Tag::Div if self.dom.has_class(at, &["math", "arithmatex"]) => {
                self.end_block();
                let next = self.write_raw_text(at);
                self.open.push(Open { end: next, exit: Exit::Block, at });
                next
            }
            Tag::Summary | Tag::Legend => self.enter_bold_block(at),
            Tag::Hr => self.write_rule(at),
            _ if tag.is_block() => {
                self.end_block();
                self.on_exit(at, Exit::Block)
            }
            _ => self.enter_inline(at, tag),
        }
    }

    fn enter_inline(&mut self, at: usize, tag: Tag) -> usize {
        match tag {
            Tag::Br => {
                if self.inline.push_break() {
                    self.end_block();
                }
                at + 1
            }
            Tag::A => self.enter_link(at),
            Tag::B | Tag::Strong => self.enter_mark(at, Mark::Strong),
            Tag::I | Tag::Em => self.enter_mark(at, Mark::Emphasis),
            Tag::Del | Tag::S | Tag::Strike => self.enter_mark(at, Mark::Strike),
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt | Tag::Var => {
                self.inline.open_code();
                self.on_exit(at, Exit::Code)
            }
            Tag::Q => {
                self.inline.push_raw("\"");
                self.on_exit(at, Exit::Quotation)
            }
            Tag::Sup => {
                self.write_superscript_sign(at);
                at + 1
            }
            Tag::Img => self.write_image(at),
            Tag::Math => self.write_math(at),
            Tag::Script => self.write_math_script(at),
            Tag::Span if self.dom.has_class(at, &["math", "arithmatex"]) => self.write_raw_text(at),
            Tag::Input => self.write_checkbox(at),
            _ if tag.is_silent() || tag == Tag::Button => self.dom.end(at),
            _ => at + 1,
        }
    }

    fn leave(&mut self, open: &Open) {
        match open.exit {
            Exit::Block => self.end_block(),
            Exit::Space => self.inline.push_space(),
            Exit::Mark => self.inline.close(),
            Exit::Code => self.inline.close_code(),
            Exit::Quotation => self.inline.push_raw("\""),
            Exit::Heading(level) => self.leave_heading(open.at, level),
            Exit::Definition { is_code } => {
                if is_code {
                    self.inline.close_code()
                } else {
                    self.inline.close()
                }
                self.end_block();
            }
            Exit::Prefix => {
                self.end_block();
                self.output.close();
                self.output.set_tight(false);
            }
            Exit::List => {
                self.end_block();
                self.lists.pop();
                self.output.set_tight(false);
            }
            Exit::Table => {
                self.flush_table();
                self.tables.pop();
            }
            Exit::Row => self.inline.in_cell = false,
            Exit::Cell => self.leave_cell(open.at),
        }
    }

    /// Inside a cell or a heading everything stays on one line.
    fn is_flat(&self) -> bool {
        self.inline.in_cell || self.in_heading
    }

    /// Writes the paragraph that has gathered.
    fn end_block(&mut self) {
        if self.is_flat() {
            self.inline.push_space();
            return;
        }
        if self.inline.is_empty() {
            self.inline.take();
            return;
        }
        let text = self.inline.take();
        if text.is_empty() {
            return;
        }
        let mut block = String::with_capacity(text.len() + 8);
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                block.push_str("  \n");
            }
            escape_line_start(line.trim(), &mut block);
        }
        self.output.block(&block);
    }

    fn enter_heading(&mut self, at: usize, level: u8) -> usize {
        self.end_block();
        if self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        (self.in_heading, self.inline.is_plain) = (true, true);
        self.on_exit(at, Exit::Heading(level))
    }

    fn leave_heading(&mut self, at: usize, level: u8) {
        (self.in_heading, self.inline.is_plain) = (false, false);
        let line = self.inline.take();
        if line.is_empty() {
            return;
        }
        let text =
            self.dom.plain_text(at, MAX_HEADING_BYTES, |index| self.dropped.get(index).copied().unwrap_or(false));
        let anchor = anchor::of_heading(self.dom, self.facts, at);
        let offset = self.output.block(&format!("{} {line}", "#".repeat(usize::from(level))));
        self.headings.push(Heading { level, text, anchor, offset });
    }

    fn enter_mark(&mut self, at: usize, mark: Mark) -> usize {
        if self.inline.holds(&mark) {
            return at + 1;
        }
        self.inline.open(mark);
        self.on_exit(at, Exit::Mark)
    }

    fn enter_link(&mut self, at: usize) -> usize {
        let is_self_link = self.dom.has_class(at, &["permalink", "selflink", "header"]);
        let href = self.dom.attribute(at, "href").filter(|href| !(is_self_link && href.starts_with('#')));
        match href.and_then(|href| self.absolute(href)) {
            Some(target) => self.enter_mark(at, Mark::Link(target.into_owned())),
            None => at + 1,
        }
    }

    /// The absolute form of a link; `None` for scripts, data and what does not parse.
    fn absolute<'h>(&self, href: &'h str) -> Option<Cow<'h, str>> {
        let href = href.trim();
        if href.len() > 8192 {
            return None;
        }
        let url = self.base.join(href).ok()?;
        matches!(url.scheme(), "http" | "https" | "mailto" | "ftp").then(|| Cow::Owned(url.into()))
    }

    fn write_image(&mut self, at: usize) -> usize {
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
                super::escape::push_escaped(&mut image, &alt, true, self.inline.in_cell);
                image.push_str("](");
                push_target(&mut image, &source);
                image.push(')');
                self.inline.push_raw(&image);
            }
        }
        at + 1
    }

    fn write_superscript_sign(&mut self, at: usize) {
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

    fn write_checkbox(&mut self, at: usize) -> usize {
        let is_checkbox = self.dom.attribute(at, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("checkbox"));
        if is_checkbox && self.inline.is_empty() && !self.lists.is_empty() && !self.is_flat() {
            self.inline.push_raw(if self.dom.attribute(at, "checked").is_some() { "[x]" } else { "[ ]" });
            self.inline.push_space();
        }
        at + 1
    }

    /// A formula: its TeX source where it is given, else its text.
    fn write_math(&mut self, at: usize) -> usize {
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

    fn write_math_script(&mut self, at: usize) -> usize {
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
    fn write_raw_text(&mut self, at: usize) -> usize {
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

    fn is_listing(&self, at: usize) -> bool {
        self.dom.has_class(at, &["fragment"])
            && self.facts.at(at).pre == 0
            && self.dom.descendants(at).take(4).any(|index| self.dom.has_class(index, &["line"]))
    }

    fn write_listing(&mut self, at: usize) -> usize {
        self.end_block();
        let text = code::text(self.dom, at);
        if text.is_empty() {
            return self.dom.end(at);
        }
        if self.is_flat() {
            let mut span = String::new();
            push_code(&mut span, &text.split('\n').map(str::trim).collect::<Vec<_>>().join(" "), self.inline.in_cell);
            self.inline.push_raw(&span);
            self.inline.push_space();
        } else {
            self.output.block(&code::fence(&text, &code::language(self.dom, at)));
        }
        self.dom.end(at)
    }

    fn write_rule(&mut self, at: usize) -> usize {
        self.end_block();
        if !self.is_flat() {
            self.output.block("---");
        }
        at + 1
    }

    /// A list; one that holds headings or listings within tables is a list of sections and gets no bullets.
    fn enter_list(&mut self, at: usize, tag: Tag) -> usize {
        self.end_block();
        if self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        let start = self.dom.attribute(at, "start").and_then(|start| start.trim().parse::<u64>().ok()).unwrap_or(1);
        // CommonMark: at most nine digits.
        let next = (tag == Tag::Ol).then_some(start.min(99_999_999));
        self.lists.push(List { next, is_plain: self.facts.at(at).n_headings > 0, n_items: 0 });
        self.on_exit(at, Exit::List)
    }

    fn enter_item(&mut self, at: usize) -> usize {
        self.end_block();
        let depth = self.lists.len();
        let is_begun = self.output.is_begun();
        let Some(list) = self.lists.last_mut().filter(|list| !list.is_plain) else {
            return self.on_exit(at, Exit::Block);
        };
        if self.inline.in_cell || self.in_heading {
            return self.on_exit(at, Exit::Block);
        }
        let first = match &mut list.next {
            Some(number) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            None => "- ".to_owned(),
        };
        let is_tight = list.n_items > 0 || (depth > 1 && is_begun);
        list.n_items += 1;
        self.output.set_tight(is_tight);
        let rest = " ".repeat(first.len());
        self.output.open(first, rest);
        self.on_exit(at, Exit::Prefix)
    }

    /// A term of a definition list; signatures of API documentation become code.
    fn enter_term(&mut self, at: usize) -> usize {
        self.end_block();
        if self.facts.at(at).n_headings > 0 || self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        let is_code = self.dom.has_class(at, &["sig"]);
        if is_code {
            self.inline.open_code()
        } else {
            self.inline.open(Mark::Strong)
        }
        self.on_exit(at, Exit::Definition { is_code })
    }

    fn enter_bold_block(&mut self, at: usize) -> usize {
        self.end_block();
        if self.is_flat() || self.facts.at(at).n_headings > 0 {
            return self.on_exit(at, Exit::Block);
        }
        self.inline.open(Mark::Strong);
        self.on_exit(at, Exit::Definition { is_code: false })
    }

    /// A quotation; one that holds listings, tables, lists or headings is an indentation and gets no signs.
    fn enter_quote(&mut self, at: usize) -> usize {
        self.end_block();
        let count = self.facts.at(at);
        if self.is_flat() || count.pre > 0 || count.n_tables > 0 || count.n_headings > 0 || count.n_lists > 0 {
            return self.on_exit(at, Exit::Block);
        }
        self.output.open("> ".to_owned(), "> ".to_owned());
        self.on_exit(at, Exit::Prefix)
    }

    fn enter_table(&mut self, at: usize) -> usize {
        self.end_block();
        if self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        self.tables.push(Table::new(table::is_layout(self.dom, self.facts, at)));
        self.on_exit(at, Exit::Table)
    }

    fn enter_row(&mut self, at: usize) -> usize {
        self.end_block();
        if self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        let is_block = self.tables.last().is_none_or(|table| table.is_layout) || table::is_block_row(self.facts, at);
        if is_block {
            self.flush_table();
            return self.on_exit(at, Exit::Block);
        }
        let is_head = self.dom.tag(self.dom.parent(at)) == Tag::Thead;
        if let Some(table) = self.tables.last_mut() {
            table.begin_row(is_head);
        }
        self.inline.in_cell = true;
        self.on_exit(at, Exit::Row)
    }

    fn enter_cell(&mut self, at: usize) -> usize {
        if self.is_phrase(self.dom.parent(at)) {
            self.inline.push_space();
            return self.on_exit(at, Exit::Space);
        }
        self.end_block();
        let is_row_open = matches!(self.open.last(), Some(Open { exit: Exit::Row, .. }));
        if is_row_open {
            self.inline.take();
        }
        self.on_exit(at, if is_row_open { Exit::Cell } else { Exit::Block })
    }

    /// A short row of a layout table reads as one line: the signature of a function, a label and its text.
    fn is_phrase(&self, row: usize) -> bool {
        let count = self.facts.at(row);
        let is_layout = self.tables.last().is_some_and(|table| table.is_layout) && !self.is_flat();
        is_layout
            && count.text < 400
            && count.pre == 0
            && count.n_headings == 0
            && count.n_lists == 0
            && count.n_tables == 0
    }

    fn leave_cell(&mut self, at: usize) {
        let mut cell = Cell::of(self.dom, at);
        cell.text = self.inline.take();
        if let Some(table) = self.tables.last_mut() {
            table.push(cell);
        }
    }

    /// Writes the rows read so far.
    fn flush_table(&mut self) {
        self.end_block();
        if let Some(grid) = self.tables.last_mut().and_then(|table| table.take(MAX_MARKDOWN_BYTES)) {
            self.output.block(&grid);
        }
    }
}
