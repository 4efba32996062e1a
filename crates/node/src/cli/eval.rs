//! `argiope eval QUERIES QRELS`: search quality as numbers.
//!
//! Queries are one a line, JSON (`{"_id": …, "text": …}`) or `id TAB text`; judgements are `query TAB url TAB grade`
//! or TREC's four columns. A document is a page; of several hits on one page the best counts.

use super::{Context, output};
use crate::boot::{Stores, query};
use crate::errors::{CliError, Result};
use argiope_actors::query::Mode;
use argiope_actors::query::evaluation::{Mistake, parse_qrels, parse_questions};
use argiope_protocol::ErrorCode;
use clap::Args;
use std::path::{Path, PathBuf};

/// Mistakes of a file that an error lists.
const MAX_LISTED: usize = 20;

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The questions.
    #[arg(value_name = "QUERIES")]
    queries: PathBuf,
    /// Which pages answer them, and how well.
    #[arg(value_name = "QRELS")]
    judgements: PathBuf,
}

/// Asks every judged question in each mode and prints the means.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let questions = read(&arguments.queries, parse_questions)?;
    let judgements = read(&arguments.judgements, parse_qrels)?;
    if !questions.iter().any(|question| judgements.of(&question.id).is_some()) {
        return Err(CliError::new(ErrorCode::File, "no question has a judgement")
            .advise("the ids of QUERIES and QRELS must be the same"));
    }
    let stores = Stores::open(&context.config).await?;
    let query = query(&context.config, &stores.vectors)?;
    let asked = query.evaluate(&context.config.tenant, &questions, &judgements, &Mode::ALL, |_| {});
    let evaluation =
        asked.await.map_err(|error| CliError::new(error.code(), "the questions cannot be answered").because(error))?;
    let mut rows = vec![["MODE", "nDCG@10", "RECALL@100", "HIT@5", "MRR"].map(str::to_owned).to_vec()];
    for mode in &evaluation.modes {
        let metrics = mode.metrics;
        let numbers = [metrics.ndcg_at_10, metrics.recall_at_100, metrics.hit_at_5, metrics.mrr];
        let mut row = vec![mode.mode.as_str().to_owned()];
        row.extend(numbers.map(|number| format!("{number:.3}")));
        rows.push(row);
    }
    context.output.text(output::table(&rows));
    context
        .output
        .text(format!("{} questions asked, {} have no judgement", evaluation.n_questions, evaluation.n_unjudged));
    let mut object = serde_json::to_value(&evaluation).unwrap_or_default();
    object["event"] = "summary".into();
    context.output.object(&object);
    Ok(0)
}

/// Reads a file and tells all of its mistakes at once.
fn read<T>(path: &Path, parse: impl Fn(&str) -> std::result::Result<T, Vec<Mistake>>) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?;
    parse(&text).map_err(|mistakes| {
        let error = CliError::new(ErrorCode::File, format!("{} is not understood", path.display()));
        let told = mistakes.into_iter().take(MAX_LISTED);
        told.fold(error, |error, mistake| error.because(format!("line {}: {}", mistake.line, mistake.what)))
    })
}
