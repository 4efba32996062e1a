//! Markdown to blocks: headings, fences, tables, text. One pass over the lines, each weighed once.

use super::weight::Scale;
use crate::page::Heading;
use std::ops::Range;

/// Consecutive lines of one kind, without the blank lines around them.
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// Bytes of the Markdown, without the last line end.
    pub(super) range: Range<usize>,
    /// Each line's range, without its line end, and weight.
    pub(super) lines: Vec<(Range<usize>, usize)>,
}

pub(super) enum BlockKind {
    /// The line of the heading with this index.
    Heading(usize),
    /// A code fence, its first line included, its last line only where it was closed.
    Fence { marker: Marker, closed: bool },
    /// Rows; `header_lines` are the header and its rule (2), or 0 when there is none.
    Table { header_lines: usize },
    /// A paragraph, a list, a quote: whatever is none of the others.
    Text,
}

/// The start of a fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// What stands before the sign on lines after the first: a list marker becomes blanks.
    pub(super) indent: String,
    /// Backticks or tildes, at least three.
    pub(super) sign: String,
    /// What stands behind the sign: the language.
    pub(super) info: String,
}

impl Block {
    /// Sum of the lines' weights.
    pub(super) fn weight(&self) -> usize {
        self.lines.iter().map(|(_, weight)| weight).sum()
    }
}

/// Reads all blocks. A heading's line heavier than `max_heading` is text.
pub(super) fn read(markdown: &str, headings: &[Heading], scale: &Scale<'_>, max_heading: usize) -> Vec<Block> {
    let mut reader = Reader { blocks: Vec::new(), fence: None, open: false };
    let mut headings = headings.iter().enumerate().peekable();
    let mut start = 0;
    for line in markdown.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        let range = start..start + text.len();
        while headings.next_if(|(_, heading)| heading.offset < start).is_some() {}
        let heading = headings.next_if(|(_, heading)| heading.offset == start && !text.trim().is_empty());
        start += line.len();
        let weight = scale.weigh(text);
        match heading {
            Some((index, _)) if weight <= max_heading => reader.heading(index, range, weight),
            _ => reader.line(text, range, weight),
        }
    }
    reader.blocks
}

struct Reader {
    blocks: Vec<Block>,
    /// The open fence's first line.
    fence: Option<Marker>,
    /// Whether the last block may go on.
    open: bool,
}

impl Reader {
    /// Headings come from the page's own outline, so an open fence that one lies in was never meant to reach it.
    fn heading(&mut self, index: usize, range: Range<usize>, weight: usize) {
        self.fence = None;
        self.open = false;
        self.start(BlockKind::Heading(index), range, weight);
        self.open = false;
    }

    fn line(&mut self, text: &str, range: Range<usize>, weight: usize) {
        if let Some(marker) = &self.fence {
            let closes = closes(text, marker);
            self.go_on(range, weight);
            if closes {
                self.fence = None;
                self.open = false;
                if let Some(Block { kind: BlockKind::Fence { closed, .. }, .. }) = self.blocks.last_mut() {
                    *closed = true;
                }
            }
        } else if text.trim().is_empty() {
            self.open = false;
        } else if let Some(marker) = marker(text) {
            self.open = false;
            self.fence = Some(marker.clone());
            self.start(BlockKind::Fence { marker, closed: false }, range, weight);
        } else if text.trim_start().starts_with('|') {
            self.row(text, range, weight);
        } else if matches!(self.last_open(), Some(BlockKind::Text)) {
            self.go_on(range, weight);
        } else {
            self.start(BlockKind::Text, range, weight);
        }
    }

    fn row(&mut self, text: &str, range: Range<usize>, weight: usize) {
        if !matches!(self.last_open(), Some(BlockKind::Table { .. })) {
            self.start(BlockKind::Table { header_lines: 0 }, range, weight);
            return;
        }
        self.go_on(range, weight);
        if let Some(Block { kind: BlockKind::Table { header_lines }, lines, .. }) = self.blocks.last_mut()
            && lines.len() == 2
            && is_rule(text)
        {
            *header_lines = 2;
        }
    }

    fn last_open(&self) -> Option<&BlockKind> {
        self.blocks.last().filter(|_| self.open).map(|block| &block.kind)
    }

    fn start(&mut self, kind: BlockKind, range: Range<usize>, weight: usize) {
        self.blocks.push(Block { kind, range: range.clone(), lines: vec![(range, weight)] });
        self.open = true;
    }

    fn go_on(&mut self, range: Range<usize>, weight: usize) {
        if let Some(block) = self.blocks.last_mut() {
            block.range.end = range.end;
            block.lines.push((range, weight));
        }
    }
}

/// The rule below a table's header: only bars, colons, dashes and blanks.
fn is_rule(row: &str) -> bool {
    row.contains('-') && row.chars().all(|character| matches!(character, '|' | ':' | '-' | ' ' | '\t'))
}

/// The marker of a line that opens a fence, also inside quotes and on a list item's first line.
pub(super) fn marker(line: &str) -> Option<Marker> {
    let unquoted = line.trim_start_matches([' ', '\t', '>']);
    let rest = behind_list_marker(unquoted);
    let (indent, rest) = line.split_at_checked(line.len() - rest.len())?;
    let character = rest.chars().next().filter(|character| matches!(character, '`' | '~'))?;
    let (sign, info) = rest.split_at_checked(rest.len() - rest.trim_start_matches(character).len())?;
    // An info string with backticks makes the line inline code.
    if sign.len() < 3 || (character == '`' && info.contains('`')) {
        return None;
    }
    let indent = indent.chars().map(|character| if matches!(character, '\t' | '>') { character } else { ' ' });
    Some(Marker { indent: indent.collect(), sign: sign.to_owned(), info: info.trim().to_owned() })
}

fn behind_list_marker(text: &str) -> &str {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let item = if digits > 0 {
        text.get(digits..).unwrap_or_default().strip_prefix(['.', ')'])
    } else {
        text.strip_prefix(['-', '*', '+'])
    };
    item.filter(|item| item.starts_with([' ', '\t'])).map_or(text, |item| item.trim_start_matches([' ', '\t']))
}

/// Whether a line starts a list item, after any quote marks.
pub(super) fn is_list_item(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t', '>']);
    behind_list_marker(line).len() < line.len()
}

/// Whether a line ends the fence that `marker` opened.
pub(super) fn closes(line: &str, marker: &Marker) -> bool {
    let line = line.trim_matches([' ', '\t', '>']);
    line.len() >= marker.sign.len() && marker.sign.chars().next().is_some_and(|sign| line.chars().all(|c| c == sign))
}
