//! The loop over the tree: what each element does when it is entered and when it is left.

use super::super::Heading;
use super::super::dom::{Dom, Facts};
use super::super::tag::Tag;
use super::inline::{Inline, Mark};
use super::output::Output;
use super::table::Table;
use super::{anchor, escape_line_start};
use std::borrow::Cow;
use url::Url;

/// Longest heading text that is listed, in bytes; the Markdown holds all of it.
const MAX_HEADING_BYTES: usize = 1024;

/// What happens at the end of an element.
#[derive(Clone, Copy)]
pub(super) enum Exit {
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

pub(super) struct Open {
    pub(super) end: usize,
    pub(super) exit: Exit,
    pub(super) at: usize,
}

/// Numbering of an open list; `None` for bullets.
pub(super) struct List {
    pub(super) next: Option<u64>,
    pub(super) is_plain: bool,
    pub(super) n_items: usize,
}

/// Writes subtrees as Markdown.
pub(super) struct Writer<'d> {
    pub(super) dom: &'d Dom,
    pub(super) facts: &'d Facts,
    pub(super) dropped: &'d [bool],
    pub(super) base: &'d Url,
    pub(super) output: Output,
    pub(super) inline: Inline,
    pub(super) open: Vec<Open>,
    pub(super) lists: Vec<List>,
    pub(super) tables: Vec<Table>,
    pub(super) headings: Vec<Heading>,
    pub(super) in_heading: bool,
    /// The element that is the page's title, whatever its name.
    title: Option<usize>,
}

impl<'d> Writer<'d> {
    pub(super) fn new(
        dom: &'d Dom,
        facts: &'d Facts,
        dropped: &'d [bool],
        base: &'d Url,
        title: Option<usize>,
    ) -> Self {
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
            title,
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

    pub(super) fn on_exit(&mut self, at: usize, exit: Exit) -> usize {
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
        if let Some(level) = tag.heading_level().or_else(|| (self.title == Some(at)).then_some(1)) {
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
            Tag::Div | Tag::P if self.is_code_paragraph(at) => self.write_code_paragraph(at),
            Tag::Div | Tag::P if self.is_signature(at) => self.write_signature(at),
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
                self.open_link_of_code(at);
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
    pub(super) fn is_flat(&self) -> bool {
        self.inline.in_cell || self.in_heading
    }

    /// Writes the paragraph that has gathered.
    pub(super) fn end_block(&mut self) {
        if self.is_flat() {
            if self.in_heading {
                self.inline.push_space()
            } else {
                self.inline.push_cell_break()
            }
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
        if self.is_box_title(at, level) {
            return self.enter_box_title(at);
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

    /// Code takes its text as it is; a link that is all of it is put around it.
    fn open_link_of_code(&mut self, at: usize) {
        let count = self.facts.at(at);
        if count.n_links != 1 || count.linked != count.text {
            return;
        }
        let link = self.dom.descendants(at).find(|&index| self.dom.tag(index) == Tag::A);
        let href = link.and_then(|link| self.dom.attribute(link, "href"));
        if let Some(target) = href.and_then(|href| self.absolute(href)) {
            let mark = Mark::Link(target.into_owned());
            if !self.inline.holds(&mark) {
                self.inline.open(mark);
                self.open.push(Open { end: self.dom.end(at), exit: Exit::Mark, at });
            }
        }
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
    pub(super) fn absolute<'h>(&self, href: &'h str) -> Option<Cow<'h, str>> {
        let href = href.trim();
        if href.len() > 8192 {
            return None;
        }
        let url = self.base.join(href).ok()?;
        matches!(url.scheme(), "http" | "https" | "mailto" | "ftp").then(|| Cow::Owned(url.into()))
    }
}
