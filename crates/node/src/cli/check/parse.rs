//! `argiope check parse FILE_OR_URL`: what the parser makes of a page.

use super::fetch;
use crate::boot;
use crate::cli::Context;
use crate::errors::{CliError, Result};
use argiope_content::chunk::{Chunk, ChunkLimits, chunk};
use argiope_content::page::{Depth, PageInput, ParsedPage, parse};
use argiope_egress::Accept;
use argiope_protocol::{CanonicalUrl, ErrorCode};
use std::io::Read;
use std::path::Path;

/// Links and chunks shown to a person; `--json` has all.
const MAX_SHOWN: usize = 40;

/// What is parsed.
struct Source {
    url: CanonicalUrl,
    body: Vec<u8>,
    content_type: Option<String>,
    x_robots_tag: Vec<String>,
}

/// Parses and prints.
pub(super) async fn run(source: &str, context: &Context) -> Result<u8> {
    let source = if source.contains("://") { from_url(source, context).await? } else { from_file(source, context)? };
    let embedder = boot::embedder(&context.config)?;
    let config = &context.config;
    let max_links = usize::try_from(config.crawl.limits.max_outlinks).unwrap_or(usize::MAX);
    // Off the async threads: a hostile page may take seconds.
    let task = tokio::task::spawn_blocking(move || {
        let page = parse(&PageInput {
            url: &source.url,
            body: &source.body,
            content_type: source.content_type.as_deref(),
            x_robots_tag: &source.x_robots_tag,
            robots_token: boot::ROBOTS_TOKEN,
            depth: Depth::Markdown,
            max_links,
        });
        let chunks = chunk(&page.markdown, &page.headings, &page.title, embedder.tokenizer(), ChunkLimits::default());
        (source.url, page, chunks)
    });
    let (url, page, chunks) =
        task.await.map_err(|error| CliError::new(ErrorCode::Internal, "the parser failed").because(error))?;
    print_text(&url, &page, &chunks, context);
    context.output.object(&to_json(&url, &page, &chunks));
    Ok(0)
}

async fn from_url(text: &str, context: &Context) -> Result<Source> {
    let url = super::parse_argument(text)?;
    let max_bytes = context.config.crawl.limits.max_body_bytes;
    let (url, answer) = fetch::follow(&context.config, &url, Accept::Html, max_bytes).await?;
    let x_robots_tag = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-robots-tag"));
    let x_robots_tag = x_robots_tag.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
    let content_type = answer.header("content-type");
    Ok(Source { url, body: answer.body.to_vec(), content_type, x_robots_tag })
}

/// A file's links are shown as if it lay at the root of a site.
fn from_file(text: &str, context: &Context) -> Result<Source> {
    let path = Path::new(text);
    let limit = context.config.crawl.limits.max_body_bytes;
    let mut body = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut body));
    read.map_err(|error| CliError::file("read", path, &error))?;
    let url = super::parse_argument("http://file.example/")?;
    let content_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("md" | "markdown") => Some("text/markdown".to_owned()),
        Some("txt") => Some("text/plain".to_owned()),
        _ => None,
    };
    Ok(Source { url, body, content_type, x_robots_tag: Vec::new() })
}

fn print_text(url: &CanonicalUrl, page: &ParsedPage, chunks: &[Chunk], context: &Context) {
    let output = context.output;
    let problems: Vec<&str> = page.problems.iter().map(argiope_content::page::Problem::code).collect();
    output.text(format!("url         {url}"));
    output.text(format!("title       {}", page.title));
    output.text(format!("language    {}", page.language.as_deref().unwrap_or("-")));
    output.text(format!("charset     {}", page.charset));
    output.text(format!("generator   {}", page.generator.as_deref().unwrap_or("-")));
    output.text(format!("canonical   {}", page.canonical.as_ref().map_or("-", |url| url.as_str())));
    output.text(format!("noindex     {}   nofollow {}", page.directives.noindex, page.directives.nofollow));
    output.text(format!("main text   found by {}", page.extraction.code()));
    output.text(format!("problems    {}", if problems.is_empty() { "none".to_owned() } else { problems.join(", ") }));
    output.text(format!("\n{} links ({} invalid)", page.links.len(), page.n_links_invalid));
    for link in page.links.iter().take(MAX_SHOWN) {
        output.text(format!("  {}{}", link.url, if link.nofollow { "  nofollow" } else { "" }));
    }
    output.text(format!("\n--- Markdown ---\n{}\n--- {} chunks ---", page.markdown.trim_end(), chunks.len()));
    for (position, chunk) in chunks.iter().take(MAX_SHOWN).enumerate() {
        let anchor = chunk.anchor.as_deref().map_or_else(String::new, |anchor| format!("#{anchor} "));
        let path = chunk.heading_path.join(" › ");
        output.text(format!("{position:>3}  {:>4} tokens  {anchor}{path}", chunk.n_tokens()));
    }
}

fn to_json(url: &CanonicalUrl, page: &ParsedPage, chunks: &[Chunk]) -> serde_json::Value {
    let links: Vec<serde_json::Value> =
        page.links.iter().map(|link| serde_json::json!({ "url": link.url, "nofollow": link.nofollow })).collect();
    let chunks: Vec<serde_json::Value> = chunks
        .iter()
        .map(|chunk| {
            serde_json::json!({
                "heading_path": chunk.heading_path, "anchor": chunk.anchor, "tokens": chunk.n_tokens(),
                "range": chunk.range, "text": chunk.text,
            })
        })
        .collect();
    serde_json::json!({
        "event": "page", "url": url, "title": page.title, "language": page.language, "charset": page.charset,
        "description": page.description, "generator": page.generator, "canonical": page.canonical,
        "noindex": page.directives.noindex, "nofollow": page.directives.nofollow,
        "extraction": page.extraction.code(), "metadata": page.metadata, "feeds": page.feeds, "links": links,
        "links_invalid": page.n_links_invalid, "links_over": page.n_links_over, "markdown": page.markdown,
        "chunks": chunks, "problems": page.problems.iter().map(|problem| problem.code()).collect::<Vec<_>>(),
    })
}
