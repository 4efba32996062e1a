//! Stored pages, and questions to the index.

use super::{Answer, DEFAULT_ITEMS, MAX_CURSOR_BYTES, ok};
use crate::api::{Hits, page};
use crate::boot::{MAX_PAGES, Mode, Question, parse_url};
use crate::errors::CliError;
use crate::http::App;
use crate::http::fields::{Body, Fields, Named, Query};
use argiope_protocol::ErrorCode;
use argiope_store::vectors::SearchFilter;
use axum::extract::State;

/// Bytes of a question.
const MAX_QUESTION_BYTES: usize = 4 * 1024;
/// Bytes of a URL, host or language.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Most hits.
const MAX_HITS: u64 = 1_000;

const MODES: &[(&str, Mode)] = &[("hybrid", Mode::Hybrid), ("lexical", Mode::Lexical), ("semantic", Mode::Semantic)];

fn limit(fields: &mut Fields) -> usize {
    let max = MAX_PAGES as u64;
    let limit = fields.number("limit", 1..=max).unwrap_or(DEFAULT_ITEMS.min(max));
    usize::try_from(limit).unwrap_or(usize::MAX)
}

pub(super) async fn of_job(State(app): State<App>, Named(id): Named, Query(mut fields): Query) -> Answer {
    let limit = limit(&mut fields);
    let after = fields.parsed("after", page::CURSOR, page::parse_cursor);
    let has_markdown = fields.flag("markdown").unwrap_or(false);
    fields.finish()?;
    let job = app.service().job(&id).await?;
    ok(&app.service().pages(job.id, after, limit, has_markdown).await?)
}

/// One page by its URL, or all of them in parts.
pub(super) async fn find(State(app): State<App>, Query(mut fields): Query) -> Answer {
    let url = fields.text("url", MAX_TEXT_BYTES);
    let limit = limit(&mut fields);
    let after = fields.parsed("after", page::CURSOR, page::parse_cursor);
    let has_markdown = fields.flag("markdown").unwrap_or(false);
    let url = url.map(|url| parse_url(&url).inspect_err(|mistake| fields.wrong("url", mistake)));
    fields.finish()?;
    let Some(Ok(url)) = url else {
        return ok(&app.service().all_pages(after, limit, has_markdown).await?);
    };
    let page = app.service().page(&url, has_markdown).await?;
    let missing = || CliError::new(ErrorCode::NotFound, format!("no page is stored under {url}"));
    ok(&page.ok_or_else(missing)?)
}

pub(super) async fn search(State(app): State<App>, Body(mut fields): Body) -> Answer {
    let text = fields.text("query", MAX_QUESTION_BYTES).unwrap_or_default();
    if text.trim().is_empty() {
        fields.wrong("query", "is missing: what to look for");
    }
    let question = Question {
        text,
        mode: fields.choice("mode", MODES).unwrap_or(Mode::Hybrid),
        limit: usize::try_from(fields.number("limit", 1..=MAX_HITS).unwrap_or(10)).unwrap_or(10),
        filter: SearchFilter {
            host: fields.text("host", MAX_TEXT_BYTES),
            domain: fields.text("domain", MAX_TEXT_BYTES),
            language: fields.text("language", MAX_CURSOR_BYTES),
        },
        one_per_page: fields.flag("per_page").unwrap_or(false),
    };
    fields.finish()?;
    ok(&Hits { hits: app.service().search(question).await? })
}
