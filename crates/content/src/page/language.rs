//! Language of a page as ISO 639-1: as its head declares it, else as its prose reads.

/// Prose that is looked at, in bytes.
const MAX_PROSE_BYTES: usize = 4_000;

/// The primary subtag of a declared language, when it looks like one.
pub(super) fn declared(value: &str) -> Option<String> {
    let primary = value.trim().split(['-', '_', ',', ';']).next()?.to_ascii_lowercase();
    (primary.len() == 2 && primary.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(primary)
}

/// The language of the prose of a page's Markdown. Listings, code and link targets are left out: their words are of
/// no language, and a page of listings was taken for whatever they resemble.
pub(super) fn detect(markdown: &str) -> Option<&'static str> {
    crate::model::language::detect(&prose(markdown))
}

fn prose(markdown: &str) -> String {
    let mut prose = String::with_capacity(MAX_PROSE_BYTES);
    let mut fence: Option<&str> = None;
    for line in markdown.lines() {
        let line = line.trim_start_matches([' ', '\t', '>', '-']);
        let run = |sign: char| line.get(..line.len() - line.trim_start_matches(sign).len()).unwrap_or_default();
        let sign = [run('`'), run('~')].into_iter().find(|sign| sign.len() >= 3);
        match (fence, sign) {
            (None, Some(sign)) => fence = Some(sign),
            (Some(opening), Some(sign)) if sign.starts_with(opening) => fence = None,
            (Some(_), _) => {}
            (None, None) => push_words(line, &mut prose),
        }
        if prose.len() >= MAX_PROSE_BYTES {
            break;
        }
    }
    prose
}

/// The words of a line outside code spans and link targets. Signs are left out: rows of bars are of no language either.
fn push_words(line: &str, prose: &mut String) {
    for part in line.split('`').step_by(2) {
        let mut rest = part;
        while let Some((before, after)) = rest.split_once("](") {
            push_letters(before, prose);
            rest = after.split_once(')').map_or("", |(_, after)| after);
        }
        push_letters(rest, prose);
        push_letters(" ", prose);
    }
}

fn push_letters(text: &str, prose: &mut String) {
    for c in text.chars() {
        if c.is_alphabetic() || matches!(c, '\'' | '’') {
            prose.push(c);
        } else if !prose.is_empty() && !prose.ends_with(' ') {
            prose.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_listings_is_in_the_language_of_its_prose() {
        let listing = "create table donnees (identifiant entier, valeur texte);\n".repeat(40);
        let markdown = format!(
            "The following example shows how a slot is created and read.\n\n```sql\n{listing}```\n\nThen drop the slot again."
        );
        assert_eq!(detect(&markdown), Some("en"));
        assert_eq!(detect(&format!("```\n{listing}```")), None, "a listing has no language");
    }

    #[test]
    fn prose_is_what_is_no_code_and_no_target() {
        let markdown = "See `struct` and [the guide](http://x.example/la/guia).\n\n- ~~~~\n  no\n  ~~~\n  ~~~~\n> end\n| 1 | `x` |";
        assert_eq!(prose(markdown).split_whitespace().collect::<Vec<_>>(), ["See", "and", "the", "guide", "end"]);
    }
}
