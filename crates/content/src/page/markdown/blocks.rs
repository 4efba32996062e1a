//! Listings, lists, terms, quotes and tables.

use super::super::tag::Tag;
use super::inline::{Mark, push_code};
use super::table::{self, Cell, Table};
use super::walk::{Exit, List, Open, Writer};
use super::{MAX_MARKDOWN_BYTES, code};

/// Classes of boxes beside the text.
const BOX_CLASSES: &[&str] =
    &["admonition", "attention", "callout", "caution", "danger", "hint", "important", "note", "tip", "warning"];
/// Classes of declarations that are set as text: Doxygen's, Javadoc's.
const SIGNATURE_CLASSES: &[&str] = &["memproto", "member-signature", "type-signature"];

impl Writer<'_> {
    pub(super) fn is_listing(&self, at: usize) -> bool {
        self.dom.has_class(at, &["fragment"])
            && self.facts.at(at).pre == 0
            && self.dom.descendants(at).take(4).any(|index| self.dom.has_class(index, &["line"]))
    }

    pub(super) fn write_listing(&mut self, at: usize) -> usize {
        self.end_block();
        let text = code::text(self.dom, at);
        self.write_code_block(at, &text)
    }

    /// A paragraph that is nothing but code of several lines.
    pub(super) fn is_code_paragraph(&self, at: usize) -> bool {
        let is_blank = |index: usize| self.dom.text(index).is_some_and(|text| text.trim().is_empty());
        let code = if is_blank(at + 1) { at + 2 } else { at + 1 };
        self.dom.tag(code) == Tag::Code
            && self.dom.parent(code) == at
            && !self.is_flat()
            && self.dom.descendants(code).any(|index| self.dom.tag(index) == Tag::Br)
            && (self.dom.end(code)..self.dom.end(at)).all(is_blank)
    }

    pub(super) fn write_code_paragraph(&mut self, at: usize) -> usize {
        self.end_block();
        let text = code::lines(self.dom, at);
        self.write_code_block(at, &text)
    }

    /// Whether a block is a declaration that a reference describes, set as text.
    pub(super) fn is_signature(&self, at: usize) -> bool {
        let is_haddock = || {
            self.dom.has_class(at, &["src"])
                && self.dom.descendants(at).take(4).any(|index| self.dom.has_class(index, &["def"]))
        };
        match self.dom.tag(at) {
            Tag::Div => self.dom.has_class(at, SIGNATURE_CLASSES),
            Tag::P => is_haddock(),
            _ => false,
        }
    }

    /// A declaration: one line of code.
    pub(super) fn write_signature(&mut self, at: usize) -> usize {
        self.end_block();
        let is_dropped = |index: usize| self.dropped.get(index).copied().unwrap_or(false);
        let text = self.dom.plain_text(at, MAX_MARKDOWN_BYTES, is_dropped);
        if !text.is_empty() {
            let mut span = String::new();
            push_code(&mut span, &text, self.inline.in_cell);
            self.inline.push_raw(&span);
            self.end_block();
        }
        self.dom.end(at)
    }

    fn write_code_block(&mut self, at: usize, text: &str) -> usize {
        if text.is_empty() {
            return self.dom.end(at);
        }
        if self.is_flat() {
            let mut span = String::new();
            push_code(&mut span, &text.split('\n').map(str::trim).collect::<Vec<_>>().join(" "), self.inline.in_cell);
            self.inline.push_raw(&span);
            self.inline.push_space();
        } else {
            self.output.block(&code::fence(text, &code::language(self.dom, at)));
        }
        self.dom.end(at)
    }

    pub(super) fn write_rule(&mut self, at: usize) -> usize {
        self.end_block();
        if !self.is_flat() {
            self.output.block("---");
        }
        at + 1
    }

    /// A list; one that holds headings or listings within tables is a list of sections and gets no bullets.
    pub(super) fn enter_list(&mut self, at: usize, tag: Tag) -> usize {
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

    pub(super) fn enter_item(&mut self, at: usize) -> usize {
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
    pub(super) fn enter_term(&mut self, at: usize) -> usize {
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

    pub(super) fn enter_bold_block(&mut self, at: usize) -> usize {
        self.end_block();
        if self.is_flat() || self.facts.at(at).n_headings > 0 {
            return self.on_exit(at, Exit::Block);
        }
        self.inline.open(Mark::Strong);
        self.on_exit(at, Exit::Definition { is_code: false })
    }

    /// Whether a heading is the title of a box (`Note`): what follows the box is not below it.
    pub(super) fn is_box_title(&self, at: usize, level: u8) -> bool {
        let parent = self.dom.parent(at);
        level > 1
            && self.dom.has_class(parent, BOX_CLASSES)
            && self.facts.at(parent).n_headings == 1
            && (parent + 1..at).all(|index| self.dom.text(index).is_some_and(|text| text.trim().is_empty()))
    }

    pub(super) fn enter_box_title(&mut self, at: usize) -> usize {
        self.inline.open(Mark::Strong);
        self.on_exit(at, Exit::Definition { is_code: false })
    }

    /// A quotation; one that holds listings, tables, lists or headings is an indentation and gets no signs.
    pub(super) fn enter_quote(&mut self, at: usize) -> usize {
        self.end_block();
        let count = self.facts.at(at);
        if self.is_flat() || count.pre > 0 || count.n_tables > 0 || count.n_headings > 0 || count.n_lists > 0 {
            return self.on_exit(at, Exit::Block);
        }
        self.output.open("> ".to_owned(), "> ".to_owned());
        self.on_exit(at, Exit::Prefix)
    }

    pub(super) fn enter_table(&mut self, at: usize) -> usize {
        self.end_block();
        if self.is_flat() {
            return self.on_exit(at, Exit::Block);
        }
        self.tables.push(Table::new(table::is_layout(self.dom, self.facts, at)));
        self.on_exit(at, Exit::Table)
    }

    pub(super) fn enter_row(&mut self, at: usize) -> usize {
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

    pub(super) fn enter_cell(&mut self, at: usize) -> usize {
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

    pub(super) fn leave_cell(&mut self, at: usize) {
        let mut cell = Cell::of(self.dom, at);
        cell.text = self.inline.take();
        if let Some(table) = self.tables.last_mut() {
            table.push(cell);
        }
    }

    /// Writes the rows read so far.
    pub(super) fn flush_table(&mut self) {
        self.end_block();
        if let Some(grid) = self.tables.last_mut().and_then(|table| table.take(MAX_MARKDOWN_BYTES)) {
            self.output.block(&grid);
        }
    }
}
