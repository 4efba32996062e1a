//! `argiope eval QUERIES QRELS`: search quality as numbers.
//!
//! Queries are one a line, JSON (`{"_id": …, "text": …}`) or `id TAB text`; judgements are `query TAB url TAB grade`
//! or TREC's four columns. A document is a page; of several hits on one page the best counts.

mod score;

use super::Context;
use crate::boot::{self, Mode, Question, Stores};
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode};
use argiope_store::vectors::SearchFilter;
use clap::Args;
use score::{Scores, score};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Hits asked for: several may lie on one page, and ten pages are scored.
const N_HITS: usize = 50;

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

/// Grades by page of one query.
type Grades = HashMap<String, f64>;

/// Asks every judged question in each mode and prints the means.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let queries = parse_queries(&read(&arguments.queries)?, &arguments.queries)?;
    let judgements = parse_judgements(&read(&arguments.judgements)?, &arguments.judgements)?;
    let judged: Vec<(&String, &Grades)> =
        queries.iter().filter_map(|(id, text)| Some((text, judgements.get(id)?))).collect();
    if judged.is_empty() {
        return Err(CliError::new(ErrorCode::File, "no question has a judgement")
            .advise("the ids of QUERIES and QRELS must be the same"));
    }
    let stores = Stores::open(&context.config).await?;
    let mut rows = vec![["MODE", "nDCG@10", "RECALL@10", "HIT@5", "QUERIES"].map(str::to_owned).to_vec()];
    for (name, mode) in [("lexical", Mode::Lexical), ("semantic", Mode::Semantic), ("hybrid", Mode::Hybrid)] {
        let mut total = Scores::default();
        for (text, grades) in &judged {
            total.add(&score(&pages(context, &stores, text, mode).await?, grades));
        }
        let mean = total.mean(judged.len());
        let numbers = [mean.ndcg, mean.recall, mean.hit].map(|number| format!("{number:.3}"));
        let mut row = vec![name.to_owned()];
        row.extend(numbers);
        row.push(judged.len().to_string());
        rows.push(row);
        context.output.object(&serde_json::json!({
            "event": "scores", "mode": name, "ndcg_10": mean.ndcg, "recall_10": mean.recall, "hit_5": mean.hit,
            "queries": judged.len(),
        }));
    }
    context.output.text(super::output::table(&rows));
    context.output.object(&serde_json::json!({ "event": "summary", "queries": judged.len() }));
    Ok(0)
}

/// The pages of an answer, best first, each once.
async fn pages(context: &Context, stores: &Stores, text: &str, mode: Mode) -> Result<Vec<String>> {
    let filter = SearchFilter::default();
    let question = Question { text: text.to_owned(), mode, limit: N_HITS, filter, one_per_page: true };
    let hits = boot::search(&context.config, stores, question).await?;
    let mut pages = Vec::new();
    for hit in hits {
        let page = page_of(&hit.url);
        if !pages.contains(&page) {
            pages.push(page);
        }
    }
    Ok(pages)
}

/// A page is known by its canonical URL; ids that are no URLs stay as they are.
fn page_of(text: &str) -> String {
    CanonicalUrl::parse(text).map_or_else(|_| text.to_owned(), String::from)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

fn malformed(path: &Path, line: usize, expected: &str) -> CliError {
    CliError::new(ErrorCode::File, format!("{}:{line} is not understood", path.display()))
        .because(format!("expected {expected}"))
}

fn parse_queries(text: &str, path: &Path) -> Result<BTreeMap<String, String>> {
    let parse = |line: &str| {
        if !line.starts_with('{') {
            return line.split_once('\t').map(|(id, text)| (id.to_owned(), text.to_owned()));
        }
        let object: serde_json::Value = serde_json::from_str(line).ok()?;
        let id = object.get("_id").or_else(|| object.get("id"))?;
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        Some((id, object.get("text").or_else(|| object.get("query"))?.as_str()?.to_owned()))
    };
    lines(text)
        .map(|(at, line)| parse(line).ok_or_else(|| malformed(path, at, "{\"_id\": …, \"text\": …} or id TAB text")))
        .collect()
}

fn parse_judgements(text: &str, path: &Path) -> Result<BTreeMap<String, Grades>> {
    let mut judgements: BTreeMap<String, Grades> = BTreeMap::new();
    for (at, line) in lines(text) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (query, page, grade) = match columns.as_slice() {
            [query, page, grade] | [query, _, page, grade] => (*query, *page, *grade),
            [query, page] => (*query, *page, "1"),
            _ => return Err(malformed(path, at, "query, url and grade")),
        };
        match grade.parse::<f64>() {
            Ok(grade) if grade > 0.0 => {
                judgements.entry(query.to_owned()).or_default().insert(page_of(page), grade);
            }
            Ok(_) => {}
            // The heading of a table.
            Err(_) if at == 1 => {}
            Err(_) => return Err(malformed(path, at, "a number as grade")),
        }
    }
    Ok(judgements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_judgements_are_read_in_their_usual_forms() {
        let path = Path::new("f");
        let queries = parse_queries("{\"_id\": \"q1\", \"text\": \"how\"}\nq2\twhy\n", path).unwrap();
        assert_eq!(queries["q1"], "how");
        assert_eq!(queries["q2"], "why");
        let text = "query-id\tcorpus-id\tscore\nq1\thttp://a.example\t2\nq2 0 http://b.example/#x 1\nq2 0 d 0\n";
        let judgements = parse_judgements(text, path).unwrap();
        assert_eq!(judgements["q1"]["http://a.example/"], 2.0);
        assert_eq!(judgements["q2"].len(), 1);
        assert!(parse_judgements("a\tb\t1\nq d x\n", path).is_err());
        assert!(parse_queries("no tab here", path).is_err());
    }
}
