//! Rankings against judgements: search quality as numbers. Pure.
//!
//! A ranking is of pages: their URLs in canonical form, fragments ignored, the first chunk of a page counting.
//! [`parse_questions`] and [`parse_qrels`] read the files and report every mistake in them.

mod files;
mod metrics;

pub use files::{Mistake, Qrels, Question, parse_qrels, parse_questions};
pub use metrics::{Judged, Metrics, Tally};

use super::Mode;
use serde::Serialize;

/// The outcome for one index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Questions that were asked: those with at least one relevant page.
    pub n_questions: usize,
    /// Questions that were left out, since no page is judged relevant to them.
    pub n_unjudged: usize,
    /// Questions that are judged but not in the file of questions.
    pub n_unknown: usize,
    /// One entry a mode.
    pub modes: Vec<ModeEvaluation>,
}

/// The outcome of one mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModeEvaluation {
    /// The mode.
    pub mode: Mode,
    /// Averages over the questions asked.
    #[serde(flatten)]
    pub metrics: Metrics,
}

impl Evaluation {
    /// The outcome before any mode was tried.
    #[must_use]
    pub fn new(questions: &[Question], qrels: &Qrels) -> Self {
        let n_questions = questions.iter().filter(|question| qrels.of(&question.id).is_some()).count();
        Self {
            n_questions,
            n_unjudged: questions.len() - n_questions,
            n_unknown: qrels.n_questions().saturating_sub(n_questions),
            modes: Vec::new(),
        }
    }

    /// Adds what a mode came to.
    pub fn add(&mut self, mode: Mode, tally: &Tally) {
        self.modes.push(ModeEvaluation { mode, metrics: tally.average() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_counts_its_questions_and_reads_as_flat_json() {
        let questions = parse_questions("a\tfirst\nb\tsecond\n").unwrap();
        let qrels = parse_qrels("a 0 http://h/x 1\nb 0 http://h/x 0\nc 0 http://h/y 2\n").unwrap();
        let mut evaluation = Evaluation::new(&questions, &qrels);
        let mut tally = Tally::default();
        tally.add(qrels.of("a").unwrap(), ["http://h/y", "http://h/x#part"]);
        evaluation.add(Mode::Lexical, &tally);
        let json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!((json["n_questions"].as_u64(), json["n_unjudged"].as_u64()), (Some(1), Some(1)));
        assert_eq!((json["n_unknown"].as_u64(), json["modes"][0]["mode"].as_str()), (Some(1), Some("lexical")));
        assert_eq!((json["modes"][0]["mrr"].as_f64(), json["modes"][0]["hit_at_5"].as_f64()), (Some(0.5), Some(1.0)));
    }
}
