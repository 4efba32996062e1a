//! Keeps a page's text from being read as markup, with as few backslashes as possible.

/// Appends text with escapes. `before` is the character before it, `in_link` and `in_cell` say what surrounds it.
pub(super) fn push_escaped(out: &mut String, word: &str, in_link: bool, in_cell: bool) {
    if !word.bytes().any(|byte| matches!(byte, b'\\' | b'`' | b'*' | b'_' | b'[' | b']' | b'<' | b'&' | b'~' | b'|')) {
        out.push_str(word);
        return;
    }
    let mut before = out.chars().next_back().filter(|_| !out.is_empty());
    let is_block_start = out.is_empty();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next();
        let escapes = match c {
            '`' => true,
            '\\' => next.is_none_or(|c| c.is_ascii_punctuation()),
            '*' => !(is_open(before) && is_open(next)),
            '_' => !(is_within_word(before, next) || (is_open(before) && is_open(next))),
            '[' => in_link || (is_block_start && before.is_none()),
            ']' => in_link || matches!(next, Some('(' | ':')),
            '<' => next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')),
            '&' => next.is_some_and(|c| c.is_ascii_alphabetic() || c == '#') && rest.clone().take(12).any(|c| c == ';'),
            '~' => next == Some('~') || before == Some('~'),
            '|' => in_cell,
            _ => false,
        };
        if escapes {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
}

fn is_within_word(before: Option<char>, next: Option<char>) -> bool {
    before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric)
}

fn is_open(neighbour: Option<char>) -> bool {
    neighbour.is_none_or(char::is_whitespace)
}

/// Escapes what would make a line a heading, quote, list item, rule or fence.
pub(in crate::page) fn escape_line_start(line: &str, out: &mut String) {
    let first = line.chars().next();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let ends_word = |at: usize| line.get(at..).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
    match first {
        Some('#') if ends_word(line.bytes().take_while(|byte| *byte == b'#').count()) => out.push('\\'),
        Some('>') => out.push('\\'),
        Some('-' | '+') if ends_word(1) => out.push('\\'),
        Some('-' | '=') if line.chars().all(|c| matches!(c, '-' | '=' | ' ')) => out.push('\\'),
        Some('~') if line.starts_with("~~~") => out.push('\\'),
        Some('0'..='9')
            if digits <= 9
                && line.get(digits..).is_some_and(|rest| rest.starts_with(['.', ')']))
                && ends_word(digits + 1) =>
        {
            out.push_str(line.get(..digits).unwrap_or_default());
            out.push('\\');
            out.push_str(line.get(digits..).unwrap_or_default());
            return;
        }
        _ => {}
    }
    out.push_str(line);
}
