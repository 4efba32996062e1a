//! Single constructs of documentation pages against their Markdown.

use super::{Depth, PageInput, ParsedPage, parse};
use argiope_protocol::CanonicalUrl;

fn page(html: &str) -> ParsedPage {
    parse(&PageInput {
        url: &CanonicalUrl::parse("https://docs.example/a/page.html").unwrap(),
        body: html.as_bytes(),
        content_type: Some("text/html; charset=utf-8"),
        x_robots_tag: &[],
        robots_token: "argiope",
        depth: Depth::Markdown,
        max_links: 100,
    })
}

/// The Markdown of a page whose main text is `html` after a paragraph.
fn check(html: &str, expected: &str) {
    let parsed = page(&format!(
        "<title>T</title><main><h1>T</h1><p>Some text of the page, as there is on most of them.</p>{html}</main>"
    ));
    let markdown = parsed.markdown.trim_end();
    let rest = markdown.strip_prefix("# T\n\nSome text of the page, as there is on most of them.");
    assert_eq!(rest.map(str::trim_start), Some(expected), "{html}");
}

#[test]
fn a_single_row_is_data_where_its_table_names_columns() {
    let row = "<tr><td><p>font</p></td><td><p>The font to use.</p></td></tr>";
    let grid = "|  |  |\n| --- | --- |\n| font | The font to use. |";
    check(&format!("<table><colgroup><col><col></colgroup><tbody>{row}</tbody></table>"), grid);
    check(&format!("<table><caption>Parameters</caption>{row}</table>"), &format!("Parameters\n\n{grid}"));
    check("<table><tr><td class=icon>Note</td><td>Only once.</td></tr></table>", "Note Only once.");
}

#[test]
fn the_lines_of_a_cell_stay_apart() {
    check(
        "<table><tr><th>Function<p>Description</p></th></tr><tr><td><p><code>f</code> () → <code>int</code></p><p>Counts.</p><ul><li>one</li><li>two</li></ul></td></tr><tr><td>a<br><code>b</code><br></td></tr></table>",
        "| Function<br>Description |\n| --- |\n| `f` () → `int`<br>Counts.<br>one<br>two |\n| a<br>`b` |",
    );
}

#[test]
fn code_with_line_breaks_is_a_listing() {
    check(
        "<div class=example><p><code>Status: 301<br />\n Location: /x<br />\n<span class=indent>\n&nbsp;&nbsp;end</span></code></p></div>",
        "```\nStatus: 301\nLocation: /x\n  end\n```",
    );
    check("<p><code>one line</code></p>", "`one line`");
    check("<p><code>a<br>b</code> and text</p>", "`a b` and text");
}

#[test]
fn lines_that_readers_do_not_see_are_no_code() {
    check(
        "<pre><code class=language-rust><span class=boring>fn main() {\n</span>let x = 1;\n<span class=boring>}</span></code></pre>",
        "```rust\nlet x = 1;\n```",
    );
}

#[test]
fn the_title_of_a_box_is_no_heading_of_the_page() {
    let parsed = page(
        "<title>T</title><main><h1>T</h1><h2>Use</h2><p>Before it.</p><div class=note><h3 class=title>Note</h3><p>Inside.</p></div><p>After.</p><div class=note><h2>One</h2><h2>Two</h2></div></main>",
    );
    assert!(parsed.markdown.contains("**Note**\n\nInside.\n\nAfter."), "{}", parsed.markdown);
    assert_eq!(
        parsed.headings.iter().map(|heading| heading.text.as_str()).collect::<Vec<_>>(),
        ["T", "Use", "One", "Two"]
    );
}

#[test]
fn a_link_that_is_all_of_a_code_span_is_kept() {
    check(
        "<p>Use <code class=module><a href=mod_x.html>mod_x</a></code>, <a href=y.html><code>y</code></a> or <code>z <a href=z.html>w</a></code>.</p>",
        "Use [`mod_x`](https://docs.example/a/mod_x.html), [`y`](https://docs.example/a/y.html) or `z w`.",
    );
}

#[test]
fn declarations_set_as_text_become_code() {
    check(
        "<div class=memproto><table class=memname><tr><td class=memname>void push</td><td>(</td><td class=paramtype>int&nbsp;</td><td class=paramname><em>x</em>, </td></tr><tr><td></td><td></td><td>int</td><td><em>y</em></td></tr><tr><td></td><td>)</td></tr></table></div>",
        "`void push ( int x, int y )`",
    );
    check(
        "<div class=top><p class=src><a id='v:f' class=def>f</a> :: <a href=I.html>Int</a> -&gt; a_b <a href=src.html class=link>Source</a> <a href='#v:f' class=selflink>#</a></p></div>",
        "`f :: Int -> a_b`",
    );
    check("<p class=src>Photo: <a href=a.html>*A*</a></p>", "Photo: [\\*A\\*](https://docs.example/a/a.html)");
}

#[test]
fn a_rule_before_what_was_left_out_goes_too() {
    check("<p>End.</p><hr><footer>Updated today</footer>", "End.");
    check("<p>One.</p><hr><p>Two.</p>", "One.\n\n---\n\nTwo.");
}

#[test]
fn a_table_of_image_links_is_navigation() {
    check(
        "<table class=navigation><tr><td><a href=i.html><img src=home.png alt=Home></a></td><td><a href=n.html><img src=n.png alt=Next></a></td></tr></table><p>Text.</p>",
        "Text.",
    );
}

#[test]
fn a_page_of_links_keeps_them_and_loses_its_navigation() {
    let parsed = page(
        "<title>Part</title><div class=navheader><table><tr><th>Part</th></tr><tr><td><a href=p.html>Prev</a></td><td><a href=n.html>Next</a></td></tr></table><hr></div><div class=part><h1>Part</h1><dl><dt><a href=a.html>1. First chapter</a></dt><dt><a href=b.html>2. Second chapter</a></dt></dl></div>",
    );
    assert_eq!(
        parsed.markdown.trim_end(),
        "# Part\n\n**[1. First chapter](https://docs.example/a/a.html)**\n\n**[2. Second chapter](https://docs.example/a/b.html)**"
    );
}

#[test]
fn links_in_a_paragraph_are_no_menu() {
    let links: String = (0..9).map(|n| format!("<a href=l{n}.html>link-number-{n}</a>, ")).collect();
    let text = "<p>This page has text, and it has no container around it at all.</p>".repeat(4);
    let parsed = page(&format!(
        "<meta name=generator content=Sphinx><title>T</title><h1>T</h1>{text}<div><h2>SEE ALSO</h2><div><p>{links}</p></div></div><ul>{}</ul>",
        links.replace("<a", "<li><a").replace("number", "menu").replace(',', "")
    ));
    assert!(parsed.markdown.contains("## SEE ALSO\n\n[link-number-0]"), "{}", parsed.markdown);
    assert!(!parsed.markdown.contains("menu"), "{}", parsed.markdown);
}

fn check_headings(html: &str, expected: &[(u8, &str, Option<&str>)]) {
    let parsed = page(html);
    let found: Vec<_> = parsed.headings.iter().map(|h| (h.level, h.text.as_str(), h.anchor.as_deref())).collect();
    assert_eq!(found, expected, "{}", parsed.markdown);
}

const FILLER: &str = "<p>Some text of the page, as there is on most of them, and a little more of it.</p>";

#[test]
fn a_title_that_is_no_heading_becomes_one() {
    let doxygen = "<title>Opus: opus.h File Reference</title><div id=top><div class=title>Opus</div></div><div class=header><div class=headertitle><div class=title>opus.h File Reference</div></div></div>";
    check_headings(
        &format!("{doxygen}<div class=contents>{FILLER}<h2>Macros</h2><p class=title>opus.h File Reference</p></div>"),
        &[(1, "opus.h File Reference", None), (2, "Macros", None)],
    );
    check_headings(
        &format!(
            "<title>Data.Text</title><div id=content><div id=module-header><table class=info><tr><th>License</th><td>BSD3</td></tr></table><p class=caption>Data.Text</p></div>{FILLER}<h1>Documentation</h1>{FILLER}</div>"
        ),
        &[(1, "Data.Text", None), (1, "Documentation", None)],
    );
    check_headings(
        &format!(
            "<title>Release Notes</title><main>{FILLER}<div class=admonition><p class=title>Notes</p></div><h2>Fixed</h2>{FILLER}</main>"
        ),
        &[(2, "Fixed", None)],
    );
}

#[test]
fn the_name_of_the_site_is_no_heading_of_the_page() {
    check_headings(
        &format!(
            "<title>Control Flow - The Book</title><div class=menu-bar><h1 class=menu-title>The Book</h1></div><main><h2 id=flow>Control Flow</h2>{FILLER}</main>"
        ),
        &[(2, "Control Flow", Some("flow"))],
    );
    check_headings(
        &format!(
            "<title>Control Flow - The Book</title><h1>Control Flow</h1><main>{FILLER}<h2>Loops</h2>{FILLER}</main>"
        ),
        &[(1, "Control Flow", None), (2, "Loops", None)],
    );
}

#[test]
fn an_empty_link_to_a_heading_is_its_anchor() {
    check_headings(
        &format!(
            "<title>T</title><main><h1>T</h1>{FILLER}<section id=method.new><span class=rightside><span class=since>1.9.0</span> · <a class=srclink href=s.html>source</a></span><a href='#method.new' class=anchor></a><h4>pub fn new()</h4></section>{FILLER}<p><a href='#x'>text</a></p><h2>Other</h2></main>"
        ),
        &[(1, "T", None), (4, "pub fn new()", Some("method.new")), (2, "Other", None)],
    );
}
