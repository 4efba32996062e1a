//! Listings: their text without line numbers and controls, and their language.

use super::super::dom::{Dom, is_invisible};
use super::super::tag::Tag;
use super::inline::longest_run;

/// Parts of a listing that are no code.
const NO_CODE_CLASSES: &[&str] = &[
    "linenos",
    "lineno",
    "linenumber",
    "line-number",
    "line-numbers",
    "line-numbers-rows",
    "ln-num",
    "gutter",
    "rouge-gutter",
    "hljs-ln-numbers",
    "hljs-ln-n",
    "lineNumber",
    "lineNumbers",
    "linenodiv",
    "copybtn",
    "copy-button",
    "copy",
    "clipboard",
    "conum",
    "tooltip",
    "code-block__copy",
    "code-copy",
    "fold",
    "foldopen",
    "ttc",
    "buttons",
    // mdBook and rustdoc: lines that only make an example compile, hidden from readers.
    "boring",
];
/// Ancestors whose class may name the language.
const MAX_WRAPPERS: usize = 3;
/// Words that follow a language prefix and name none.
const NO_LANGUAGE: &[&str] = &[
    "default",
    "none",
    "notranslate",
    "text",
    "block",
    "plaintext",
    "nohighlight",
    "plain",
    "txt",
    "source",
    "code",
    "listing",
];
/// Classes before which, after a `-` or `:`, a language stands.
const PREFIXES: &[&str] = &["language-", "lang-", "highlight-source-", "highlight-", "brush:", "src-", "code-"];
/// Classes after which, as the next word, a language stands.
const WORDS: &[&str] = &["sourceCode", "brush:", "src", "prettyprint", "highlight"];

/// The code of a listing: the raw text, blocks and `br` as line breaks.
pub(super) fn text(dom: &Dom, listing: usize) -> String {
    let mut out = String::new();
    let (mut at, end) = (listing + 1, dom.end(listing));
    let mut line_ends: Vec<usize> = Vec::new();
    while at < end {
        while line_ends.last().is_some_and(|&end| end <= at) {
            line_ends.pop();
            break_line(&mut out);
        }
        if is_no_code(dom, at) {
            at = dom.end(at);
            continue;
        }
        match dom.tag(at) {
            Tag::Br => out.push('\n'),
            Tag::Div | Tag::Li | Tag::P | Tag::Tr => {
                if !out.is_empty() {
                    break_line(&mut out);
                }
                line_ends.push(dom.end(at));
            }
            _ => {}
        }
        if let Some(text) = dom.text(at).filter(|text| !(is_between_lines(dom, at) && text.trim().is_empty())) {
            out.extend(text.chars().filter(|c| !is_invisible(*c)).map(|c| if c == '\u{a0}' { ' ' } else { c }));
        }
        at += 1;
    }
    trim_lines(&out)
}

/// The code of a paragraph, whose lines are ended by `br` alone.
pub(super) fn lines(dom: &Dom, paragraph: usize) -> String {
    let mut out = String::new();
    let (mut at, end) = (paragraph + 1, dom.end(paragraph));
    while at < end {
        if is_no_code(dom, at) {
            at = dom.end(at);
            continue;
        }
        if dom.tag(at) == Tag::Br {
            out.push('\n');
        }
        for c in dom.text(at).unwrap_or_default().chars().filter(|c| !is_invisible(*c)) {
            match c {
                '\u{a0}' => out.push(' '),
                c if !c.is_whitespace() => out.push(c),
                _ if out.is_empty() || out.ends_with([' ', '\n']) => {}
                _ => out.push(' '),
            }
        }
        at += 1;
    }
    trim_lines(&out)
}

fn is_no_code(dom: &Dom, at: usize) -> bool {
    matches!(dom.tag(at), Tag::Button | Tag::Script | Tag::Style | Tag::Svg | Tag::Template)
        || (dom.is_element(at) && dom.has_class(at, NO_CODE_CLASSES))
        || dom.attribute(at, "data-nosnippet").is_some()
}

/// White space between the elements that are the lines, as in `<div class=line>…</div>\n<div class=line>`.
fn is_between_lines(dom: &Dom, at: usize) -> bool {
    let parent = dom.parent(at);
    let (previous, next) = (at.saturating_sub(1), at + 1);
    let is_line = |index: usize| matches!(dom.tag(index), Tag::Div | Tag::Li | Tag::Tr);
    dom.parent(next) == parent && is_line(next)
        || (is_line(parent) && matches!(dom.tag(parent), Tag::Tr))
        || (previous > parent && is_line(previous))
}

fn break_line(out: &mut String) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Without empty lines at both ends and blanks at the ends of lines.
fn trim_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let n_empty = lines.iter().take_while(|line| line.is_empty()).count();
    lines.get(n_empty..).unwrap_or_default().join("\n")
}

/// The code between a fence that is longer than any run of backticks in it.
pub(super) fn fence(code: &str, language: &str) -> String {
    let ticks = "`".repeat(longest_run(code, b'`').max(2) + 1);
    format!("{ticks}{language}\n{code}\n{ticks}")
}

/// The language by the class of the listing, its `code` or a wrapper; empty when none is named.
pub(super) fn language(dom: &Dom, listing: usize) -> String {
    let inner = dom.descendants(listing).take(8).find(|&at| dom.tag(at) == Tag::Code);
    let mut places: Vec<usize> = inner.into_iter().chain([listing]).collect();
    let mut ancestor = listing;
    for _ in 0..MAX_WRAPPERS {
        ancestor = dom.parent(ancestor);
        if !matches!(
            dom.tag(ancestor),
            Tag::Div | Tag::Figure | Tag::Section | Tag::Td | Tag::Tr | Tag::Tbody | Tag::Table
        ) {
            break;
        }
        places.push(ancestor);
    }
    places.into_iter().find_map(|at| named(dom, at)).unwrap_or_default()
}

fn named(dom: &Dom, at: usize) -> Option<String> {
    let attribute = dom.attribute(at, "data-lang").or_else(|| dom.attribute(at, "data-language"));
    if let Some(language) = attribute.and_then(clean) {
        return Some(language);
    }
    let class = dom.attribute(at, "class")?;
    let words: Vec<&str> = class.split_ascii_whitespace().take(16).collect();
    let prefixed = words.iter().find_map(|word| PREFIXES.iter().find_map(|prefix| clean(word.strip_prefix(prefix)?)));
    let following = || {
        words.windows(2).find_map(|pair| match pair {
            [word, language] if WORDS.contains(word) && !language.contains('-') => clean(language),
            _ => None,
        })
    };
    let is_rust = dom.tag(at) == Tag::Pre && words.contains(&"rust");
    prefixed.or_else(following).or_else(|| is_rust.then(|| "rust".to_owned()))
}

fn clean(word: &str) -> Option<String> {
    let name: String =
        word.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '_' | '-' | '.')).collect();
    let name = name.to_ascii_lowercase();
    if name.is_empty()
        || name.len() > 24
        || NO_LANGUAGE.contains(&name.as_str())
        || name.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    Some(match name.as_str() {
        "python3" | "ipython3" | "ipython" | "pycon" | "pycon3" | "py" | "py3" => "python".to_owned(),
        "console" | "shell" | "sh" | "shell-session" | "shellsession" => "bash".to_owned(),
        _ => name,
    })
}
