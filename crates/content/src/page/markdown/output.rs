//! Blocks under the prefixes of open lists and quotes.

use super::MAX_MARKDOWN_BYTES;

struct Prefix {
    first: String,
    rest: String,
    is_used: bool,
}

/// The Markdown, growing block by block.
#[derive(Default)]
pub(super) struct Output {
    text: String,
    prefixes: Vec<Prefix>,
    is_tight: bool,
    is_cut: bool,
}

impl Output {
    /// Writes a block after a blank line (or directly, when tight); gives the offset of its first line.
    pub(super) fn block(&mut self, block: &str) -> usize {
        let is_tight = std::mem::take(&mut self.is_tight);
        if !self.text.is_empty() && !is_tight {
            self.blank_line();
        }
        let offset = self.text.len();
        for line in block.split('\n') {
            if self.is_full() {
                break;
            }
            self.line(line);
        }
        offset
    }

    fn blank_line(&mut self) {
        for prefix in self.prefixes.iter().filter(|prefix| prefix.is_used) {
            self.text.push_str(&prefix.rest);
        }
        self.end_line();
    }

    fn line(&mut self, line: &str) {
        for prefix in &mut self.prefixes {
            self.text.push_str(if prefix.is_used { &prefix.rest } else { &prefix.first });
            prefix.is_used = true;
        }
        self.text.push_str(line);
        if line.is_empty() { self.end_line() } else { self.text.push('\n') }
    }

    /// Ends a line that holds prefixes only, without their trailing blanks.
    fn end_line(&mut self) {
        while self.text.ends_with(' ') {
            self.text.pop();
        }
        self.text.push('\n');
    }

    /// Opens a list item or a quote.
    pub(super) fn open(&mut self, first: String, rest: String) {
        self.prefixes.push(Prefix { first, rest, is_used: false });
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        self.prefixes.pop();
    }

    /// Whether the innermost item has a block already.
    pub(super) fn is_begun(&self) -> bool {
        self.prefixes.last().is_some_and(|prefix| prefix.is_used)
    }

    /// Whether the next block follows without a blank line.
    pub(super) fn set_tight(&mut self, is_tight: bool) {
        self.is_tight = is_tight;
    }

    /// Whether the bound is reached; notes it.
    pub(super) fn is_full(&mut self) -> bool {
        self.is_cut |= self.text.len() > MAX_MARKDOWN_BYTES;
        self.is_cut
    }

    /// The text and whether it was cut.
    pub(super) fn finish(mut self) -> (String, bool) {
        // What a rule divided from the text was left out.
        while let Some(before) = self.text.trim_end().strip_suffix("\n---") {
            self.text.truncate(before.trim_end().len());
        }
        let end = self.text.floor_char_boundary(MAX_MARKDOWN_BYTES);
        self.is_cut |= end < self.text.len();
        self.text.truncate(end);
        (self.text, self.is_cut)
    }
}
