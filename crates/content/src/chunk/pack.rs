//! Pieces to passages: neighbours are joined up to the target.

use super::split::Piece;
use std::ops::Range;

/// A passage before it is told where it stands.
pub(super) struct Passage {
    pub(super) text: String,
    pub(super) range: Range<usize>,
    pub(super) weight: usize,
}

/// Joins pieces while they stay within `target`. A passage below a quarter of it (`For example:`) takes what follows up
/// to `max`, and the last one, if it is so small, goes to the one before.
pub(super) fn pack<'a>(
    markdown: &str,
    pieces: impl Iterator<Item = Piece<'a>>,
    target: usize,
    max: usize,
) -> Vec<Passage> {
    let small = target / 4;
    let mut passages: Vec<Open> = Vec::new();
    for piece in pieces {
        match passages.last_mut() {
            Some(open) if open.takes(piece.weight, if open.passage.weight < small { max } else { target }) => {
                open.add(markdown, Open::of(piece));
            }
            _ => passages.push(Open::of(piece)),
        }
    }
    if let Some(last) = passages.pop_if(|open| open.passage.weight < small) {
        match passages.last_mut() {
            Some(open) if open.takes(last.passage.weight, max) => open.add(markdown, last),
            _ => passages.push(last),
        }
    }
    passages.into_iter().map(|open| open.passage).collect()
}

struct Open {
    passage: Passage,
    first_paragraph: Option<usize>,
    last_paragraph: Option<usize>,
}

impl Open {
    fn of(piece: Piece<'_>) -> Self {
        Self {
            passage: Passage { text: piece.text.into_owned(), range: piece.range, weight: piece.weight },
            first_paragraph: piece.paragraph,
            last_paragraph: piece.paragraph,
        }
    }

    const fn takes(&self, weight: usize, limit: usize) -> bool {
        self.passage.weight + weight <= limit
    }

    fn add(&mut self, markdown: &str, next: Self) {
        // Two parts of one paragraph are joined as they were, possibly by nothing.
        let same = self.last_paragraph.is_some() && self.last_paragraph == next.first_paragraph;
        let between = markdown.get(self.passage.range.end..next.passage.range.start).filter(|_| same);
        self.passage.text.push_str(between.unwrap_or("\n\n"));
        self.passage.text.push_str(&next.passage.text);
        self.passage.range.end = next.passage.range.end;
        self.passage.weight += next.passage.weight;
        self.last_paragraph = next.last_paragraph;
    }
}
