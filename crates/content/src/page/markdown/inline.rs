//! The text of the block that is being read: white space collapsed, emphasis, links and code put around it.

use super::super::dom::is_invisible;
use super::escape::push_escaped;

/// Markup around a stretch of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Strong,
    Emphasis,
    Strike,
    Link(String),
}

impl Mark {
    const fn sign(&self) -> &'static str {
        match self {
            Self::Strong => "**",
            Self::Emphasis => "*",
            Self::Strike => "~~",
            Self::Link(_) => "[",
        }
    }
}

struct OpenMark {
    mark: Mark,
    is_written: bool,
}

/// Text of one block, growing.
#[derive(Default)]
pub(super) struct Inline {
    text: String,
    space: bool,
    cell_break: bool,
    marks: Vec<OpenMark>,
    code: Option<String>,
    code_depth: usize,
    last_closed: Option<(Mark, usize)>,
    last_code: Option<(usize, usize, String)>,
    /// Inside a table's cell: pipes are escaped and line breaks become spaces.
    pub(super) in_cell: bool,
    /// Inside a heading: only code is marked.
    pub(super) is_plain: bool,
}

impl Inline {
    /// Takes a text node.
    pub(super) fn push_text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            push_collapsed(code, text);
            return;
        }
        self.space |= text.starts_with(char::is_whitespace);
        let mut words = text.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if word.chars().any(is_invisible) {
                let visible: String = word.chars().filter(|c| !is_invisible(*c)).collect();
                self.push_word(&visible);
            } else {
                self.push_word(word);
            }
            self.space |= words.peek().is_some();
        }
        self.space |= text.ends_with(char::is_whitespace);
    }

    /// White space, as a line break in a cell or heading.
    pub(super) fn push_space(&mut self) {
        match &mut self.code {
            Some(code) => push_collapsed(code, " "),
            None => self.space = true,
        }
    }

    /// A line break within a paragraph. Gives `true` when it is the second in a row: the paragraph ends.
    pub(super) fn push_break(&mut self) -> bool {
        if self.in_cell && !self.is_plain {
            self.push_cell_break();
            return false;
        }
        if self.code.is_some() || self.is_plain {
            self.push_space();
            return false;
        }
        self.space = false;
        if self.text.is_empty() {
            return false;
        }
        if self.text.ends_with('\n') {
            return true;
        }
        self.text.push('\n');
        false
    }

    /// A line break within a cell, which stays one line; nothing is written before text follows.
    pub(super) fn push_cell_break(&mut self) {
        self.push_space();
        self.cell_break |= self.code.is_none() && !self.text.is_empty();
    }

    /// Text that is markup already: an image, a formula.
    pub(super) fn push_raw(&mut self, raw: &str) {
        if let Some(code) = &mut self.code {
            push_collapsed(code, raw);
            return;
        }
        self.begin();
        self.text.push_str(raw);
    }

    fn push_word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        self.begin();
        let in_link = self.marks.iter().any(|open| matches!(open.mark, Mark::Link(_)));
        push_escaped(&mut self.text, word, in_link, self.in_cell);
    }

    /// Writes the pending space and opens the pending marks.
    fn begin(&mut self) {
        if self.cell_break {
            self.text.push_str("<br>");
        } else if self.space && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push(' ');
        }
        (self.space, self.cell_break) = (false, false);
        for open in &mut self.marks {
            if open.is_written {
                continue;
            }
            open.is_written = true;
            let joins =
                self.last_closed.as_ref().is_some_and(|(mark, end)| *mark == open.mark && *end == self.text.len());
            if joins && !matches!(open.mark, Mark::Link(_)) {
                self.text.truncate(self.text.len() - open.mark.sign().len());
            } else {
                if matches!(open.mark, Mark::Link(_)) && self.text.ends_with('!') {
                    self.text.insert(self.text.len() - 1, '\\');
                }
                self.text.push_str(open.mark.sign());
            }
            self.last_closed = None;
        }
    }

    /// Opens a mark; nothing is written before text follows.
    pub(super) fn open(&mut self, mark: Mark) {
        self.marks.push(OpenMark { mark, is_written: false });
    }

    /// Closes the innermost mark.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.marks.pop()
            && open.is_written
        {
            self.write_close(&open.mark);
        }
    }

    fn write_close(&mut self, mark: &Mark) {
        while self.text.ends_with('\n') {
            self.text.pop();
            self.space = true;
        }
        match mark {
            Mark::Link(target) => {
                self.text.push_str("](");
                push_target(&mut self.text, target);
                self.text.push(')');
            }
            mark => self.text.push_str(mark.sign()),
        }
        self.last_closed = Some((mark.clone(), self.text.len()));
    }

    /// Whether the innermost marks already hold this kind, so that opening it again would write it twice.
    pub(super) fn holds(&self, mark: &Mark) -> bool {
        self.is_plain
            || self.code.is_some()
            || self
                .marks
                .iter()
                .any(|open| open.mark == *mark || (matches!(mark, Mark::Link(_)) && matches!(open.mark, Mark::Link(_))))
    }

    /// Opens inline code; everything up to its end is taken as it is.
    pub(super) fn open_code(&mut self) {
        self.code_depth += 1;
        if self.code.is_none() {
            self.code = Some(String::new());
        }
    }

    /// Closes inline code.
    pub(super) fn close_code(&mut self) {
        self.code_depth = self.code_depth.saturating_sub(1);
        if self.code_depth == 0 {
            self.write_code();
        }
    }

    fn write_code(&mut self) {
        let Some(code) = self.code.take() else { return };
        self.space |= code.starts_with(' ');
        let mut trimmed = code.trim().to_owned();
        if !trimmed.is_empty() {
            self.begin();
            let previous = self.last_code.take().filter(|(_, end, _)| *end == self.text.len());
            if let Some((start, _, earlier)) = previous {
                self.text.truncate(start);
                trimmed.insert_str(0, &earlier);
            }
            let start = self.text.len();
            push_code(&mut self.text, &trimmed, self.in_cell);
            self.last_code = Some((start, self.text.len(), trimmed));
        }
        self.space |= code.ends_with(' ');
    }

    /// Ends the block: everything open is closed and will be opened again by what follows.
    pub(super) fn take(&mut self) -> String {
        if self.code.is_some() {
            self.write_code();
            self.code = (self.code_depth > 0).then(String::new);
        }
        for index in (0..self.marks.len()).rev() {
            let Some(open) = self.marks.get_mut(index) else { continue };
            if std::mem::take(&mut open.is_written) {
                let mark = open.mark.clone();
                self.write_close(&mark);
            }
        }
        (self.space, self.cell_break, self.last_closed, self.last_code) = (false, false, None, None);
        let mut text = std::mem::take(&mut self.text);
        text.truncate(text.trim_end().len());
        text
    }

    /// Nothing was taken since the block began.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.code.as_ref().is_none_or(|code| code.trim().is_empty())
    }

    /// The last character that was written.
    pub(super) fn last_char(&self) -> Option<char> {
        if self.space { None } else { self.text.chars().next_back() }
    }
}

/// A link's target, with the characters that would end it escaped.
pub(super) fn push_target(out: &mut String, target: &str) {
    for c in target.chars() {
        match c {
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            ' ' => out.push_str("%20"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '|' => out.push_str("%7C"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

/// Code between as many backticks as it needs.
pub(super) fn push_code(out: &mut String, code: &str, in_cell: bool) {
    let ticks = "`".repeat(longest_run(code, b'`') + 1);
    let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    out.push_str(&ticks);
    out.push_str(pad);
    if in_cell && code.contains('|') {
        out.push_str(&code.replace('|', "\\|"));
    } else {
        out.push_str(code);
    }
    out.push_str(pad);
    out.push_str(&ticks);
}

/// Length of the longest run of a byte.
pub(super) fn longest_run(text: &str, byte: u8) -> usize {
    text.as_bytes().split(|other| *other != byte).map(<[u8]>::len).max().unwrap_or(0)
}

fn push_collapsed(out: &mut String, text: &str) {
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
}
