//! What commands ask of a data directory, asked of a node.

use super::{Endpoint, part, query_of};
use crate::api::{Hits, JobView, List, PagePart, Rejected, Retried, UrlView, page};
use crate::boot::{MAX_PAGES, Question};
use crate::control::{Answer, Request};
use crate::errors::{CliError, Result};
use argiope_protocol::{ErrorCode, JobId, JobState, PageKey};
use argiope_store::frontier::{JobRecord, UrlFilter};
use serde_json::json;

/// Items of one part of a list.
const PART: usize = 1_000;

impl Endpoint {
    /// The node's answer.
    ///
    /// # Errors
    /// What the node refused, or `AR0601`.
    pub(crate) async fn answer(&self, request: Request) -> Result<Answer> {
        Ok(match request {
            Request::Jobs => Answer::Jobs(self.jobs().await?),
            Request::Job { id } => self.one_job(&id, None).await?,
            Request::Move { id, state } => self.one_job(&id, Some(verb(state)?)).await?,
            Request::Resume { id } => self.one_job(&id, Some("resume")).await?,
            Request::Retry { id } => {
                let retried: Retried = self.post(&format!("/api/v1/jobs/{}/retry", part(&id)), None).await?;
                Answer::Retried { job: Box::new(retried.job.into()), n_urls: retried.urls }
            }
            Request::Urls { job, filter, after, limit } => self.urls(job, filter, after, limit).await?,
            Request::RejectSamples { job } => {
                let list: List<Rejected> = self.get(&format!("/api/v1/jobs/{job}/rejected")).await?;
                Answer::RejectSamples(list.items.into_iter().map(|one| (one.reason, one.samples)).collect())
            }
            Request::Pages { job, after } => Answer::Pages(self.pages(job, after).await?),
            Request::Search(question) => self.search(question).await?,
            Request::Verify { .. } => {
                return Err(CliError::new(ErrorCode::Usage, "verify compares a data directory, not a node")
                    .advise("run it on the node's machine with `--data-dir`, without an endpoint"));
            }
        })
    }

    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        let mut jobs = Vec::new();
        let mut after = None;
        loop {
            let list: List<JobView> = self.get(&format!("/api/v1/jobs{}", self.next_part(PART, after, &[]))).await?;
            jobs.extend(list.items.into_iter().map(JobRecord::from));
            after = list.next;
            if after.is_none() {
                return Ok(jobs);
            }
        }
    }

    async fn one_job(&self, id: &str, verb: Option<&str>) -> Result<Answer> {
        let path = format!("/api/v1/jobs/{}", part(id));
        let view: JobView = match verb {
            None => self.get(&path).await?,
            Some(verb) => self.post(&format!("{path}/{verb}"), None).await?,
        };
        Ok(Answer::Job(Box::new(view.into())))
    }

    async fn urls(&self, job: JobId, filter: UrlFilter, after: Option<PageKey>, limit: usize) -> Result<Answer> {
        let word = serde_json::to_value(filter).unwrap_or_default();
        let word = word.as_str().unwrap_or_default().to_owned();
        let query = self.next_part(limit.min(PART), after.as_ref().map(page::cursor), &[("filter", word)]);
        let list: List<UrlView> = self.get(&format!("/api/v1/jobs/{job}/urls{query}")).await?;
        Ok(Answer::Urls(list.items.into_iter().filter_map(UrlView::into_entry).collect()))
    }

    async fn pages(&self, job: JobId, after: Option<PageKey>) -> Result<PagePart> {
        let more = [("markdown", "true".to_owned())];
        let query = self.next_part(MAX_PAGES, after.as_ref().map(page::cursor), &more);
        self.get(&format!("/api/v1/jobs/{job}/pages{query}")).await
    }

    async fn search(&self, question: Question) -> Result<Answer> {
        let body = json!({
            "query": question.text, "mode": question.mode, "limit": question.limit, "host": question.filter.host,
            "domain": question.filter.domain, "language": question.filter.language, "per_page": question.one_per_page,
        });
        Ok(Answer::Hits(self.post::<Hits>("/api/v1/search", Some(&body)).await?.hits))
    }

    /// The query of a list's next part.
    fn next_part(&self, limit: usize, after: Option<String>, more: &[(&str, String)]) -> String {
        let mut pairs = vec![("limit", limit.to_string())];
        pairs.extend(after.map(|after| ("after", after)));
        pairs.extend(more.iter().cloned());
        query_of(&pairs)
    }
}

/// The path's last part that moves a job there.
fn verb(state: JobState) -> Result<&'static str> {
    match state {
        JobState::Paused => Ok("pause"),
        JobState::Cancelled => Ok("cancel"),
        JobState::Running => Ok("resume"),
        JobState::Finished => Err(CliError::new(ErrorCode::Internal, "a job is finished by its node only")),
    }
}
