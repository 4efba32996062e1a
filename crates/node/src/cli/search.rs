//! `argiope search QUERY`.

use super::Context;
use crate::boot::{Found, Mode, Question};
use crate::control::Session;
use crate::errors::Result;
use argiope_store::vectors::SearchFilter;
use clap::Args;
use std::fmt::Write as _;

/// Characters of a passage that are shown.
const SHOWN_CHARS: usize = 320;

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to look for.
    #[arg(required = true, num_args = 1.., value_name = "QUERY")]
    query: Vec<String>,
    /// Most hits.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Words, meaning, or both.
    #[arg(long, default_value = "hybrid", value_name = "M")]
    mode: Mode,
    /// Only this host.
    #[arg(long)]
    host: Option<String>,
    /// Only this registrable domain.
    #[arg(long)]
    domain: Option<String>,
    /// Only this language (ISO 639-1).
    #[arg(long)]
    language: Option<String>,
    /// At most one hit a page.
    #[arg(long)]
    per_page: bool,
}

/// Asks and prints.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let question = Question {
        text: arguments.query.join(" "),
        mode: arguments.mode,
        limit: usize::from(arguments.limit),
        filter: SearchFilter { host: arguments.host, domain: arguments.domain, language: arguments.language },
        one_per_page: arguments.per_page,
    };
    let found = Session::new(&context.config).search(question).await?;
    for (rank, hit) in found.iter().enumerate() {
        context.output.text(to_text(rank + 1, hit));
        let mut object = serde_json::to_value(hit).unwrap_or_default();
        object["event"] = "hit".into();
        object["rank"] = (rank + 1).into();
        context.output.object(&object);
    }
    if found.is_empty() {
        let place = context.place().text;
        context.output.text(format!("Nothing found in {place}. `argiope jobs` shows what was crawled."));
    }
    context.output.object(&serde_json::json!({ "event": "summary", "hits": found.len() }));
    Ok(0)
}

/// A hit as a person reads it.
pub(crate) fn to_text(rank: usize, hit: &Found) -> String {
    let mut text = format!("{rank:>2}. {}  ({:.3})\n", title_of(hit), hit.score);
    if !hit.heading_path.is_empty() {
        let _ = writeln!(text, "    {}", hit.heading_path.join(" › "));
    }
    let _ = writeln!(text, "    {}", hit.url);
    let words: Vec<&str> = hit.text.split_whitespace().collect();
    let passage = words.join(" ");
    let shown: String = passage.chars().take(SHOWN_CHARS).collect();
    let more = if shown.len() < passage.len() { "…" } else { "" };
    for line in wrap(&format!("{shown}{more}"), 100) {
        let _ = writeln!(text, "      {line}");
    }
    text
}

fn title_of(hit: &Found) -> &str {
    if hit.title.is_empty() { "(no title)" } else { &hit.title }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let is_full = lines.last().is_some_and(|line| line.chars().count() + word.chars().count() >= width);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
