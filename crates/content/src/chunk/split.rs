//! A block to pieces that stand alone, each no heavier than a passage may be.
//!
//! A block that fits is one piece. One that does not is cut where it hurts least: a fence or table between lines, text
//! between sentences or list items; a line or sentence that is still too heavy between words, a word between characters.
//! Parts are of about equal weight, so that no crumb is left at the end.

use super::blocks::{Block, BlockKind, Marker, is_list_item, marker};
use super::weight::Scale;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a part of a cut word. Longer than any known word, so that most cuts fall into what is unknown anyway.
const CUT_WORD_BYTES: usize = 64;
/// What a fence's last line weighs.
const CLOSING_WEIGHT: usize = 1;

/// A part of one block.
pub(super) struct Piece<'a> {
    pub(super) text: Cow<'a, str>,
    /// Bytes of the Markdown that it stands for.
    pub(super) range: Range<usize>,
    pub(super) weight: usize,
    /// Pieces of text with the same number are joined as they were.
    pub(super) paragraph: Option<usize>,
}

/// What cannot be cut further, and its weight.
type Unit = (Range<usize>, usize);

/// The pieces of `block`, the section's `number`th, of about `target` where it has to be cut.
pub(super) fn pieces<'a>(
    markdown: &'a str,
    number: usize,
    block: &Block,
    target: usize,
    max: usize,
    scale: &Scale<'_>,
) -> Vec<Piece<'a>> {
    let frame = Frame::of(markdown, block, max, scale);
    let source = markdown.get(block.range.clone()).unwrap_or_default();
    let paragraph = matches!(block.kind, BlockKind::Text).then_some(number);
    let weight = block.weight() + if frame.must_close { CLOSING_WEIGHT } else { 0 };
    if weight <= max {
        let text =
            if frame.must_close { Cow::Owned(format!("{source}\n{}", frame.closing)) } else { Cow::Borrowed(source) };
        return vec![Piece { text, range: block.range.clone(), weight, paragraph }];
    }
    let units = units(markdown, block, &frame, max - frame.weight, scale);
    if units.is_empty() {
        // A fence with nothing in it but a long first line.
        return vec![Piece {
            text: frame.around("", true),
            range: block.range.clone(),
            weight: frame.weight,
            paragraph,
        }];
    }
    let target = target.saturating_sub(frame.weight).max(1);
    let parts = parts(&units, target, max - frame.weight);
    let n_parts = parts.len();
    let part = |(n, (content, weight)): (usize, (Range<usize>, usize))| Piece {
        text: frame.around(markdown.get(content.clone()).unwrap_or_default(), n == 0),
        range: if n == 0 { block.range.start } else { content.start }..if n + 1 == n_parts {
            block.range.end
        } else {
            content.end
        },
        weight: weight + frame.weight,
        paragraph,
    };
    parts.into_iter().enumerate().map(part).collect()
}

/// What each part of a cut block gets around it.
#[derive(Default)]
struct Frame {
    /// In front of the first part, as it stands in the Markdown.
    first: String,
    /// In front of the others.
    opening: String,
    closing: String,
    weight: usize,
    /// Lines that the frame stands for.
    n_lines: usize,
    /// The whole block, too, needs the closing line.
    must_close: bool,
}

impl Frame {
    fn of(markdown: &str, block: &Block, max: usize, scale: &Scale<'_>) -> Self {
        match &block.kind {
            BlockKind::Heading(_) | BlockKind::Text => Self::default(),
            BlockKind::Table { header_lines } => Self::table(markdown, block, *header_lines, max),
            BlockKind::Fence { marker, closed } => Self::fence(markdown, block, marker, *closed, max, scale),
        }
    }

    fn table(markdown: &str, block: &Block, header_lines: usize, max: usize) -> Self {
        let header = block.lines.get(..header_lines).unwrap_or_default();
        let weight = header.iter().map(|(_, weight)| weight).sum();
        let Some((last, _)) = header.last().filter(|_| weight <= max / 4) else { return Self::default() };
        let text = markdown.get(block.range.start..last.end).unwrap_or_default().to_owned();
        Self { first: text.clone(), opening: text, weight, n_lines: header_lines, ..Self::default() }
    }

    fn fence(markdown: &str, block: &Block, marker: &Marker, closed: bool, max: usize, scale: &Scale<'_>) -> Self {
        const MAX_LANGUAGE_BYTES: usize = 32;
        let content =
            block.lines.first().and_then(|(line, _)| markdown.get(line.end..block.range.end)).unwrap_or_default();
        let content =
            if closed { content.rfind('\n').and_then(|end| content.get(..end)).unwrap_or_default() } else { content };
        // A line that is cut before such a run must not end the fence.
        let longest = longest_run(content, &marker.sign);
        let (sign, fits) = if longest >= marker.sign.len() {
            (marker.sign.get(..1).unwrap_or("`").repeat((longest + 1).min(max)), false)
        } else {
            (marker.sign.clone(), true)
        };
        let light = block.lines.first().filter(|(_, weight)| *weight <= max / 4);
        let info = if light.is_some() {
            marker.info.as_str()
        } else {
            let word = marker.info.split_whitespace().next().unwrap_or_default();
            &word[..word.floor_char_boundary(MAX_LANGUAGE_BYTES.min(max / 4))]
        };
        // Right behind the sign it would lengthen the sign.
        let info = info.trim_start_matches(|c: char| marker.sign.starts_with(c));
        let indent = marker.indent.get(..marker.indent.floor_char_boundary(max)).unwrap_or_default();
        let opening = format!("{indent}{sign}{info}");
        let source = light.filter(|_| fits).and_then(|(line, _)| markdown.get(line.clone()));
        let closing = format!("{indent}{sign}");
        Self {
            first: source.map_or_else(|| opening.clone(), str::to_owned),
            weight: (scale.weigh(&opening) + CLOSING_WEIGHT).min(max / 2),
            opening,
            closing,
            n_lines: 1,
            must_close: !closed,
        }
    }

    fn around<'a>(&self, content: &'a str, is_first: bool) -> Cow<'a, str> {
        if self.n_lines == 0 {
            // Cut text that now starts like a fence was none.
            return if !is_first && content.lines().next().and_then(marker).is_some() {
                Cow::Owned(format!("\\{content}"))
            } else {
                Cow::Borrowed(content)
            };
        }
        let opening = if is_first { &self.first } else { &self.opening };
        let end = if self.closing.is_empty() { "" } else { "\n" };
        let start = if content.is_empty() { "" } else { "\n" };
        Cow::Owned(format!("{opening}{start}{content}{end}{}", self.closing))
    }
}

fn longest_run(text: &str, sign: &str) -> usize {
    let sign = sign.bytes().next().unwrap_or(b'`');
    text.as_bytes()
        .chunk_by(|left, right| left == right)
        .filter(|run| run.first() == Some(&sign))
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

/// The smallest parts that are needed, none heavier than `max`.
fn units(markdown: &str, block: &Block, frame: &Frame, max: usize, scale: &Scale<'_>) -> Vec<Unit> {
    let coarse: Vec<Unit> = match &block.kind {
        BlockKind::Heading(_) | BlockKind::Text => sentences(markdown, block.range.clone())
            .into_iter()
            .map(|range| (range.clone(), scale.weigh(markdown.get(range).unwrap_or_default())))
            .collect(),
        BlockKind::Fence { closed, .. } => {
            let end = block.lines.len() - usize::from(*closed);
            block.lines.get(frame.n_lines..end).unwrap_or_default().to_vec()
        }
        BlockKind::Table { .. } => block.lines.get(frame.n_lines..).unwrap_or_default().to_vec(),
    };
    let mut units = Vec::with_capacity(coarse.len());
    for (range, weight) in coarse {
        let text = markdown.get(range.clone()).unwrap_or_default();
        if weight <= max {
            units.extend((!text.trim().is_empty()).then_some((range, weight)));
        } else {
            words(text, range.start, max, scale, &mut units);
        }
    }
    units
}

/// Words of `text`, which starts at `offset`; those heavier than `max` in parts.
fn words(text: &str, offset: usize, max: usize, scale: &Scale<'_>, units: &mut Vec<Unit>) {
    let mut end = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let start = offset + end;
        end += word.len();
        let mut rest = word.trim_end();
        let mut start_of_rest = start;
        let weight = scale.weigh(rest);
        if weight <= max {
            units.extend((!rest.is_empty()).then_some((start..start + rest.len(), weight)));
            continue;
        }
        // Four bytes hold any character, so that each step goes on.
        let part_bytes = CUT_WORD_BYTES.min(max).max(4);
        while let Some((part, behind)) =
            rest.split_at_checked(rest.floor_char_boundary(part_bytes)).filter(|(part, _)| !part.is_empty())
        {
            units.push((start_of_rest..start_of_rest + part.len(), scale.weigh(part)));
            start_of_rest += part.len();
            rest = behind;
        }
    }
}

/// Sentences and list items, without the white space between them.
fn sentences(markdown: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let text = markdown.get(range.clone()).unwrap_or_default();
    let mut cuts = Vec::new();
    let mut ended = false;
    for (position, character) in text.char_indices() {
        match character {
            '.' | '!' | '?' => ended = true,
            '。' | '！' | '？' => cuts.push(position + character.len_utf8()),
            ')' | ']' | '"' | '\'' | '”' | '’' | '»' | '*' | '_' | '`' => {}
            _ if character.is_whitespace() => {
                let line = text.get(position + 1..).filter(|_| character == '\n').and_then(|rest| rest.lines().next());
                if ended || line.is_some_and(is_list_item) {
                    cuts.push(position);
                }
                ended = false;
            }
            _ => ended = false,
        }
    }
    cuts.push(text.len());
    let mut start = 0;
    let mut sentences = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let part = text.get(start..cut).unwrap_or_default();
        let kept = part.trim_start();
        let first = range.start + start + (part.len() - kept.len());
        sentences.extend((!kept.is_empty()).then(|| first..first + kept.trim_end().len()));
        start = cut;
    }
    sentences
}

/// Runs of units of about equal weight near `target`, none above `max` but a single unit.
fn parts(units: &[Unit], target: usize, max: usize) -> Vec<(Range<usize>, usize)> {
    let total: usize = units.iter().map(|(_, weight)| weight).sum::<usize>().max(1);
    let n_parts = total.div_ceil(target);
    let mut parts: Vec<(Range<usize>, usize)> = Vec::with_capacity(n_parts);
    let mut weight_before = 0;
    let mut last_share = 0;
    for (range, weight) in units {
        // The share of the whole that the unit's middle falls into.
        let share = (weight_before + weight / 2) * n_parts / total;
        weight_before += weight;
        match parts.last_mut() {
            Some((part, so_far)) if share == last_share && *so_far + weight <= max => {
                part.end = range.end;
                *so_far += weight;
            }
            _ => parts.push((range.clone(), *weight)),
        }
        last_share = share;
    }
    parts
}
