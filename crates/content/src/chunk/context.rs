//! Where in its page a passage stands: the headings above it, and the line that tells the embedding model.

use super::weight::Scale;
use crate::page::Heading;

/// A heading or title is cut here: longer ones are text that was marked up as a heading.
const MAX_ENTRY_BYTES: usize = 200;
const SEPARATOR: &str = " › ";
const DEEPEST_LEVEL: u8 = 6;

/// The title and the headings that are open at a place of the page.
pub(super) struct Outline {
    title: Entry,
    open: Vec<Open>,
}

struct Open {
    level: u8,
    entry: Entry,
    anchor: Option<String>,
}

struct Entry {
    text: String,
    weight: usize,
}

/// The line in front of an embedded passage.
pub(super) struct Context {
    pub(super) line: String,
    pub(super) weight: usize,
}

impl Outline {
    pub(super) fn new(title: &str, scale: &Scale<'_>) -> Self {
        Self { title: Entry::new(title, scale), open: Vec::new() }
    }

    /// Goes on below `heading`: headings of its level and deeper ones are closed.
    pub(super) fn enter(&mut self, heading: &Heading, scale: &Scale<'_>) {
        let level = depth(heading);
        self.open.retain(|open| open.level < level);
        self.open.push(Open { level, entry: Entry::new(&heading.text, scale), anchor: heading.anchor.clone() });
    }

    /// The open headings' texts, outermost first.
    pub(super) fn path(&self) -> Vec<String> {
        self.open.iter().map(|open| open.entry.text.clone()).collect()
    }

    /// The innermost open heading's anchor, or that of the nearest one around it.
    pub(super) fn anchor(&self) -> Option<String> {
        self.open.iter().rev().find_map(|open| open.anchor.clone())
    }

    /// The context line of at most `max` tokens: the outermost headings are left out first, the title last but one.
    pub(super) fn context(&self, max: usize) -> Context {
        let mut entries: Vec<&Entry> = Vec::with_capacity(1 + self.open.len());
        for entry in std::iter::once(&self.title).chain(self.open.iter().map(|open| &open.entry)) {
            match entries.last() {
                _ if entry.text.is_empty() => {}
                Some(last) if repeats(&last.text, &entry.text) => {}
                // `Logging` › `Logging HOWTO`: the longer one says both.
                Some(last) if repeats(&entry.text, &last.text) => {
                    entries.pop();
                    entries.push(entry);
                }
                _ => entries.push(entry),
            }
        }
        while entries.len() > 1 && entries.iter().map(|entry| entry.weight).sum::<usize>() > max {
            entries.remove(usize::from(entries.len() > 2));
        }
        let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
        let mut line = texts.join(SEPARATOR);
        let mut weight = entries.iter().map(|entry| entry.weight).sum();
        if weight > max {
            // At most a token a byte, whatever it says.
            line.truncate(line.floor_char_boundary(max));
            weight = max;
        }
        Context { line, weight }
    }
}

impl Entry {
    fn new(text: &str, scale: &Scale<'_>) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text[..text.floor_char_boundary(MAX_ENTRY_BYTES)].trim_end().to_owned();
        // One more for the separator, which has no token but four bytes.
        Self { weight: if text.is_empty() { 0 } else { scale.weigh(&text) + 1 }, text }
    }
}

/// A heading's level, 1 to 6 whatever it says.
pub(super) fn depth(heading: &Heading) -> u8 {
    heading.level.clamp(1, DEEPEST_LEVEL)
}

/// Whether `later` says nothing that `earlier` does not begin with (`Logging HOWTO — Python`, then `Logging HOWTO`).
fn repeats(earlier: &str, later: &str) -> bool {
    let mut earlier = earlier.chars().flat_map(char::to_lowercase);
    later.chars().flat_map(char::to_lowercase).all(|character| earlier.next() == Some(character))
        && earlier.next().is_none_or(|next| !next.is_alphanumeric())
}
