//! Markdown to HTML, as much of it as the documentation uses: headings, paragraphs, lists, tables, fenced code,
//! inline code, bold text and links.

use super::pages::{PAGES, Page};
use std::fmt::Write as _;

/// A whole HTML page: menu, main part, footer.
pub(crate) fn page(page: &Page) -> String {
    let title = title_of(page);
    let mut menu = String::new();
    for other in PAGES {
        let _ = write!(menu, "<li><a href=\"{}.html\">{}</a></li>", other.name, escape(title_of(other)));
    }
    let body = body(page.markdown);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} - Argiope</title></head>\n<body>\n\
         <nav><ul>{menu}</ul></nav>\n<main>\n{body}</main>\n<footer>Argiope {version}</footer>\n</body>\n</html>\n",
        title = escape(title),
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The first heading.
fn title_of(page: &Page) -> &'static str {
    page.markdown.lines().next().unwrap_or_default().trim_start_matches("# ")
}

/// Which block the lines read so far belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Paragraph,
    List,
    Table,
    Code,
}

fn body(markdown: &str) -> String {
    let mut html = String::new();
    let mut block = Block::None;
    for line in markdown.lines() {
        if block == Block::Code {
            if line.starts_with("```") {
                block = Block::None;
                html.push_str("</code></pre>\n");
            } else {
                html.push_str(&escape(line));
                html.push('\n');
            }
            continue;
        }
        let next = kind_of(line);
        if next != block {
            close(&mut html, block);
            open(&mut html, next, line);
        }
        content(&mut html, next, next != block, line);
        block = next;
    }
    close(&mut html, block);
    html
}

fn kind_of(line: &str) -> Block {
    match line {
        _ if line.starts_with("```") => Block::Code,
        _ if line.starts_with("- ") => Block::List,
        _ if line.starts_with('|') => Block::Table,
        _ if line.is_empty() || line.starts_with('#') => Block::None,
        _ => Block::Paragraph,
    }
}

fn open(html: &mut String, block: Block, line: &str) {
    match block {
        Block::None => {}
        Block::Paragraph => html.push_str("<p>"),
        Block::List => html.push_str("<ul>\n"),
        Block::Table => html.push_str("<table>\n"),
        Block::Code => {
            let language = escape(line.trim_start_matches('`'));
            let _ = write!(html, "<pre><code class=\"language-{language}\">");
        }
    }
}

fn close(html: &mut String, block: Block) {
    html.push_str(match block {
        Block::None => "",
        Block::Paragraph => "</p>\n",
        Block::List => "</ul>\n",
        Block::Table => "</table>\n",
        Block::Code => "</code></pre>\n",
    });
}

fn content(html: &mut String, block: Block, is_first: bool, line: &str) {
    match block {
        Block::None => heading(html, line),
        Block::Paragraph => {
            html.push_str(if is_first { "" } else { "\n" });
            html.push_str(&inline(line));
        }
        Block::List => {
            let _ = writeln!(html, "<li>{}</li>", inline(line.trim_start_matches("- ")));
        }
        Block::Table => row(html, is_first, line),
        Block::Code => {}
    }
}

fn heading(html: &mut String, line: &str) {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let text = text.trim();
    if level > 0 && !text.is_empty() {
        let _ = writeln!(html, "<h{level} id=\"{}\">{}</h{level}>", anchor(text), inline(text));
    }
}

fn row(html: &mut String, is_first: bool, line: &str) {
    if line.chars().all(|c| matches!(c, '|' | '-' | ' ' | ':')) {
        return;
    }
    let tag = if is_first { "th" } else { "td" };
    html.push_str("<tr>");
    for cell in line.trim_matches('|').split('|') {
        let _ = write!(html, "<{tag}>{}</{tag}>", inline(cell.trim()));
    }
    html.push_str("</tr>\n");
}

fn anchor(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}

/// Inline marks. Text between backquotes is code and nothing else.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
        } else {
            html.push_str(&bold(&links(&escape(part))));
        }
    }
    html
}

fn links(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('[') {
        html.push_str(before);
        let link = tail.split_once("](").and_then(|(label, tail)| {
            let (target, tail) = tail.split_once(')')?;
            Some((label, target, tail))
        });
        match link {
            Some((label, target, tail)) => {
                let _ = write!(html, "<a href=\"{target}\">{label}</a>");
                rest = tail;
            }
            None => {
                html.push('[');
                rest = tail;
            }
        }
    }
    html.push_str(rest);
    html
}

fn bold(text: &str) -> String {
    text.split("**")
        .enumerate()
        .map(|(at, part)| if at % 2 == 1 { format!("<strong>{part}</strong>") } else { part.to_owned() })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(markdown: &str, expected: &str) {
        assert_eq!(body(markdown), expected, "{markdown}");
    }

    #[test]
    fn markdown_becomes_html() {
        check("# A b\ntext\nmore", "<h1 id=\"a-b\">A b</h1>\n<p>text\nmore</p>\n");
        check("- a\n- `b<c`", "<ul>\n<li>a</li>\n<li><code>b&lt;c</code></li>\n</ul>\n");
        check("```sh\na # b\n```", "<pre><code class=\"language-sh\">a # b\n</code></pre>\n");
        check(
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "<table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td>2</td></tr>\n</table>\n",
        );
        check("see [x](y.html) and **z**", "<p>see <a href=\"y.html\">x</a> and <strong>z</strong></p>\n");
    }
}
