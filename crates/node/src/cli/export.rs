//! `argiope export ID --format jsonl|markdown --out DIR`.

use super::{Context, jobs, output};
use crate::api::{PageView, page};
use crate::control::Session;
use crate::errors::{CliError, Result};
use argiope_protocol::job::Retain;
use argiope_protocol::{CanonicalUrl, PageKey};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of one part of a file's path; file systems allow 255.
const MAX_PART_BYTES: usize = 120;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The job's id or its first characters; `last` is the newest.
    #[arg(value_name = "ID")]
    id: String,
    /// One JSON object a page in pages.jsonl, or one Markdown file a page.
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Where the files go; made when it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Markdown,
}

/// Writes the pages.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let mut session = Session::new(&context.config);
    let job = session.job(&arguments.id).await?;
    let mut writer = Writer::new(arguments.format, &arguments.out)?;
    let (mut after, mut n_without) = (None, 0);
    loop {
        let part = session.pages(job.id, after).await?;
        part.items.iter().try_for_each(|page| writer.write(page))?;
        n_without += part.missing;
        let Some(next) = part.next else { break };
        after = page::parse_cursor(&next);
    }
    writer.finish()?;
    let (n_pages, retain) = (writer.n_pages, job.spec.retain);
    if retain == Retain::None {
        output::note("the job kept no text of its pages (retain = none): what was written are links and facts");
    }
    context.output.text(format!("{n_pages} pages written to {}", arguments.out.display()));
    context.output.object(&serde_json::json!({
        "event": "summary", "job": job.id, "pages": n_pages, "without_record": n_without, "retain": retain,
        "out": arguments.out,
    }));
    Ok(0)
}

struct Writer {
    format: Format,
    out: PathBuf,
    lines: Option<std::io::BufWriter<std::fs::File>>,
    n_pages: u64,
}

impl Writer {
    fn new(format: Format, out: &Path) -> Result<Self> {
        std::fs::create_dir_all(out).map_err(|error| CliError::file("make", out, &error))?;
        let path = out.join("pages.jsonl");
        let lines = match format {
            Format::Jsonl => {
                let file = std::fs::File::create(&path).map_err(|error| CliError::file("write", &path, &error))?;
                Some(std::io::BufWriter::new(file))
            }
            Format::Markdown => None,
        };
        Ok(Self { format, out: out.to_path_buf(), lines, n_pages: 0 })
    }

    fn write(&mut self, page: &PageView) -> Result<()> {
        self.n_pages += 1;
        if let Some(lines) = &mut self.lines {
            return writeln!(lines, "{}", to_json(page))
                .map_err(|error| CliError::file("write", &self.out.join("pages.jsonl"), &error));
        }
        let path = self.out.join(file_path(&page.url));
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, format!("{}{}", front_matter(page), page.markdown.as_deref().unwrap_or_default()))
        };
        write().map_err(|error| CliError::file("write", &path, &error))
    }

    fn finish(&mut self) -> Result<()> {
        debug_assert_eq!(self.lines.is_some(), self.format == Format::Jsonl);
        match &mut self.lines {
            Some(lines) => lines.flush().map_err(|error| CliError::file("write", &self.out, &error)),
            None => Ok(()),
        }
    }
}

fn to_json(page: &PageView) -> serde_json::Value {
    serde_json::json!({
        "url": page.url, "title": page.title, "language": page.language, "depth": page.depth,
        "status": page.status, "content_type": page.content_type,
        "fetched_at": jobs::time(page.fetched_at), "chunks": page.chunks,
        "links": page.links, "problems": page.problems, "markdown": page.markdown.as_deref().unwrap_or_default(),
    })
}

/// YAML whose values are JSON strings: every JSON string is a YAML string.
fn front_matter(page: &PageView) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "---\ntitle: {}\nurl: {}\nfetched_at: {}\n---\n\n",
        quoted(&page.title),
        quoted(page.url.as_str()),
        jobs::time(page.fetched_at)
    )
}

/// `host/path.md` made of harmless characters. The page key at the end keeps two URLs apart that would otherwise
/// share a name, and no part can be `..`.
fn file_path(url: &CanonicalUrl) -> PathBuf {
    let key = PageKey::of(url).to_string();
    let short_key: String = key.chars().take(8).collect();
    let mut parts: Vec<String> = url.as_url().path().split('/').filter(|part| !part.is_empty()).map(safe).collect();
    let name =
        if url.as_url().path().ends_with('/') { None } else { parts.pop() }.unwrap_or_else(|| "index".to_owned());
    let mut path = PathBuf::from(safe(url.host().as_str()));
    // Deeper trees than any real site's become flat, so that the path stays within the system's bound.
    path.extend(parts.into_iter().take(16));
    path.join(format!("{name}-{short_key}.md"))
}

fn safe(part: &str) -> String {
    let text: String = part
        .chars()
        .take(MAX_PART_BYTES)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .collect();
    if text.chars().all(|c| c == '.') { "_".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_their_page_and_stay_inside() {
        let check = |url: &str, expected: &str| {
            let path = file_path(&CanonicalUrl::parse(url).unwrap());
            let text = path.to_string_lossy();
            assert!(text.starts_with(expected) && text.ends_with(".md"), "{url}: {text}");
            assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{text}");
        };
        check("http://a.example/", "a.example/index-");
        check("http://a.example/x/y.html?q=1", "a.example/x/y.html-");
        check("http://a.example/%2e%2e/%2F..%2Fetc", "a.example/");
        check("http://[::1]:8000/a:b", "__1/a_b-");
    }
}
