//! Markdown to passages: what is embedded, stored and shown as a search hit.
//!
//! [`blocks`] reads the Markdown once into headings, fences, tables and text; [`split`] cuts a block that is too long
//! for one passage into pieces that stand alone (a fence keeps its language, a table its header row); [`pack`] joins
//! pieces up to the target; [`context`] writes the line `title › heading path` that is embedded in front.
//!
//! - A passage never holds text of two sections: each heading starts a new one, whatever its level, so an edit changes
//!   no passage of another section. A heading without text of its own travels with the first passage below it, or is
//!   a passage by itself when nothing deeper follows.
//! - Every piece is weighed once (see [`weight`]); joined, weights add up, because no token reaches over white space.
//! - Ranges are byte ranges of the Markdown, ascending and disjoint; together they hold all that is not white space.
//! - Total on any input: headings that point nowhere are ignored.

mod blocks;
mod context;
mod pack;
mod split;
mod weight;

use crate::model::Tokenizer;
use crate::page::Heading;
use argiope_protocol::ChunkHash;
use argiope_protocol::passage::indexed_text;
use blocks::{Block, BlockKind};
use context::{Context, Outline};
use pack::Passage;
use std::borrow::Cow;
use weight::Scale;

/// Grows when equal Markdown may give other chunks, so that their hashes differ from the old ones.
pub const CHUNKER_VERSION: u16 = 2;

/// Smallest maximum that is honoured; below it a heading path alone would fill a chunk.
const MIN_TOKENS: usize = 16;

/// How large chunks may be, in tokens of the embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Blocks are joined up to here.
    pub target_tokens: usize,
    /// No chunk's embedded text is longer, except by [`CUT_WORD_SLACK_TOKENS`].
    pub max_tokens: usize,
}

/// Tokens that a chunk may hold beyond the maximum when a word longer than a chunk was cut inside: the two ends of the
/// cut word can need other pieces than the word did.
pub const CUT_WORD_SLACK_TOKENS: usize = 16;

impl Default for ChunkLimits {
    /// What the built-in model was scored with: passages of about 256 tokens.
    fn default() -> Self {
        Self { target_tokens: 256, max_tokens: 384 }
    }
}

/// One passage of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Markdown that stands alone, for display: fences are closed, a continued table has its header row.
    pub text: String,
    /// What is embedded: `title › heading path`, a line end, the text without its leading headings and link targets.
    pub embedded_text: String,
    /// Of the chunker's version and the embedded text with its link targets: they are shown, so a changed one is a
    /// changed chunk.
    pub hash: ChunkHash,
    /// Headings above the passage, outermost first, each cut to 200 bytes.
    pub heading_path: Vec<String>,
    /// Fragment of the nearest of these headings that has one.
    pub anchor: Option<String>,
    /// Start and end byte in the Markdown.
    pub range: (u32, u32),
    /// The embedded text's tokens, by the tokenizer that measured it.
    pub token_ids: Vec<u32>,
}

impl Chunk {
    /// Tokens of the embedded text.
    #[must_use]
    pub fn n_tokens(&self) -> u32 {
        saturated(self.token_ids.len())
    }
}

/// Cuts `markdown` into passages. `headings` are the page's, with the byte offsets of their lines.
#[must_use]
pub fn chunk(
    markdown: &str,
    headings: &[Heading],
    title: &str,
    tokenizer: &Tokenizer,
    limits: ChunkLimits,
) -> Vec<Chunk> {
    let scale = Scale::new(tokenizer);
    let max = limits.max_tokens.max(MIN_TOKENS);
    let room = Room { target: limits.target_tokens.clamp(MIN_TOKENS / 2, max), max };
    let blocks = blocks::read(markdown, headings, &scale, max / 4);
    let mut outline = Outline::new(title, &scale);
    let mut chunks = Vec::new();
    for (head, body) in sections(&blocks, headings) {
        for heading in head.iter().filter_map(Block::heading).filter_map(|index| headings.get(index)) {
            outline.enter(heading, &scale);
        }
        passages(markdown, head, body, &outline, room, &scale, &mut chunks);
    }
    chunks
}

/// Bounds of a passage, in the scale's weights.
#[derive(Clone, Copy)]
struct Room {
    target: usize,
    max: usize,
}

/// Each section's headings, deeper and deeper, and what stands below them.
fn sections<'a>(blocks: &'a [Block], headings: &[Heading]) -> Vec<(&'a [Block], &'a [Block])> {
    let level = |block: &Block| block.heading().and_then(|index| headings.get(index)).map(context::depth);
    let mut sections = Vec::new();
    let mut rest = blocks;
    while !rest.is_empty() {
        let n_head = rest.chunk_by(|upper, lower| level(upper).is_some() && level(lower) > level(upper)).next();
        let n_head = n_head.map_or(0, |run| run.iter().take_while(|block| block.heading().is_some()).count());
        let (head, behind) = rest.split_at(n_head);
        let n_body = behind.iter().take_while(|block| block.heading().is_none()).count();
        let (body, behind) = behind.split_at(n_body);
        sections.push((head, body));
        rest = behind;
    }
    sections
}

/// The passages of one section: its leading headings and what stands below them.
fn passages(
    markdown: &str,
    head: &[Block],
    body: &[Block],
    outline: &Outline,
    room: Room,
    scale: &Scale<'_>,
    chunks: &mut Vec<Chunk>,
) {
    let context = outline.context(room.max / 4);
    let max = room.max - context.weight;
    let target = room.target.saturating_sub(context.weight).max(room.target / 2).min(max);
    let pieces = body.iter().enumerate().flat_map(|(n, block)| split::pieces(markdown, n, block, target, max, scale));
    let mut passages = pack::pack(markdown, pieces, target, max);
    let mut head = head.first().zip(head.last()).map(|(first, last)| first.range.start..last.range.end);
    if let Some(head) = head.as_ref().filter(|_| passages.is_empty()) {
        passages.push(Passage { text: String::new(), range: head.clone(), weight: 0 });
    }
    chunks.extend(passages.into_iter().map(|passage| finish(markdown, head.take(), passage, &context, outline, scale)));
}

fn finish(
    markdown: &str,
    head: Option<std::ops::Range<usize>>,
    passage: Passage,
    context: &Context,
    outline: &Outline,
    scale: &Scale<'_>,
) -> Chunk {
    let source = match (context.line.is_empty(), passage.text.is_empty()) {
        (true, _) => passage.text.clone(),
        (_, true) => context.line.clone(),
        _ => format!("{}\n{}", context.line, passage.text),
    };
    let hash = ChunkHash::of(CHUNKER_VERSION, &source);
    let embedded_text = match indexed_text(&source) {
        Cow::Owned(text) => text,
        Cow::Borrowed(_) => source,
    };
    let (text, range) = match head {
        None => (passage.text, passage.range),
        Some(head) => {
            let lines = markdown.get(head.clone()).unwrap_or_default();
            if passage.text.is_empty() {
                (lines.to_owned(), head)
            } else {
                (format!("{lines}\n\n{}", passage.text), head.start..passage.range.end)
            }
        }
    };
    Chunk {
        hash,
        token_ids: scale.token_ids(&embedded_text),
        heading_path: outline.path(),
        anchor: outline.anchor(),
        range: (saturated(range.start), saturated(range.end)),
        text,
        embedded_text,
    }
}

/// Pages are capped far below 4 GiB.
fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Block {
    const fn heading(&self) -> Option<usize> {
        match self.kind {
            BlockKind::Heading(index) => Some(index),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
