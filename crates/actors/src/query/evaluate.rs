//! Asks every judged question in every mode.

use super::evaluation::{Evaluation, Qrels, Question, Tally};
use super::{MAX_LIMIT, Mode, Query, QueryError, SearchRequest};
use argiope_protocol::TenantId;

impl Query {
    /// Asks each question that has a judgement, grouped by page, in each of `modes`, and averages what came back.
    /// `progress` is told after each question how many are done.
    ///
    /// # Errors
    /// The first search that fails.
    pub async fn evaluate(
        &self,
        tenant: &TenantId,
        questions: &[Question],
        qrels: &Qrels,
        modes: &[Mode],
        mut progress: impl FnMut(usize) + Send,
    ) -> Result<Evaluation, QueryError> {
        let mut evaluation = Evaluation::new(questions, qrels);
        let mut n_done = 0;
        for mode in modes {
            let mut tally = Tally::default();
            for question in questions {
                let Some(judged) = qrels.of(&question.id) else { continue };
                let mut request = SearchRequest::new(tenant.clone(), question.text.as_str());
                request.mode = *mode;
                request.limit = MAX_LIMIT;
                request.one_per_page = true;
                let hits = self.search(request).await?;
                tally.add(judged, hits.iter().map(|hit| hit.payload.url.as_str()));
                n_done += 1;
                progress(n_done);
            }
            evaluation.add(*mode, &tally);
        }
        Ok(evaluation)
    }
}
