//! The measures of one ranked list.

use std::collections::HashMap;

/// Ranks that nDCG and recall look at.
const DEPTH: usize = 10;
/// Ranks that count as a hit.
const HIT_DEPTH: usize = 5;

/// Three measures between 0 and 1, or sums of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Scores {
    /// Normalised discounted cumulative gain over ten ranks (linear gains, log2 discount).
    pub(crate) ndcg: f64,
    /// Share of the judged pages among the first ten.
    pub(crate) recall: f64,
    /// Whether a judged page is among the first five.
    pub(crate) hit: f64,
}

impl Scores {
    /// Adds another query's scores.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ndcg += other.ndcg;
        self.recall += other.recall;
        self.hit += other.hit;
    }

    /// The mean over so many queries.
    #[expect(clippy::cast_precision_loss, reason = "numbers of queries are small")]
    pub(crate) fn mean(&self, n_queries: usize) -> Self {
        let n = n_queries.max(1) as f64;
        Self { ndcg: self.ndcg / n, recall: self.recall / n, hit: self.hit / n }
    }
}

/// Scores a ranked list of pages against the grades of the relevant ones.
#[expect(clippy::cast_precision_loss, reason = "at most ten ranks")]
pub(crate) fn score(ranked: &[String], grades: &HashMap<String, f64>) -> Scores {
    let grade = |page: &String| grades.get(page).copied().unwrap_or_default();
    let gains: Vec<f64> = ranked.iter().take(DEPTH).map(grade).collect();
    let mut ideal: Vec<f64> = grades.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    ideal.truncate(DEPTH);
    let best = discounted(&ideal);
    let n_found = gains.iter().filter(|gain| **gain > 0.0).count();
    Scores {
        ndcg: if best > 0.0 { discounted(&gains) / best } else { 0.0 },
        recall: n_found as f64 / grades.len().max(1) as f64,
        hit: f64::from(u8::from(gains.iter().take(HIT_DEPTH).any(|gain| *gain > 0.0))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most ten ranks")]
fn discounted(gains: &[f64]) -> f64 {
    gains.iter().enumerate().map(|(rank, gain)| gain / (rank as f64 + 2.0).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ranked: &[&str], grades: &[(&str, f64)], expected: [f64; 3]) {
        let ranked: Vec<String> = ranked.iter().map(|page| (*page).to_owned()).collect();
        let grades = grades.iter().map(|(page, grade)| ((*page).to_owned(), *grade)).collect();
        let Scores { ndcg, recall, hit } = score(&ranked, &grades);
        for (seen, wanted) in [ndcg, recall, hit].into_iter().zip(expected) {
            assert!((seen - wanted).abs() < 1e-4, "{ranked:?}: {ndcg} {recall} {hit}");
        }
    }

    #[test]
    fn measures_are_those_of_the_books() {
        check(&["a", "b"], &[("a", 1.0)], [1.0, 1.0, 1.0]);
        check(&["b", "a"], &[("a", 1.0)], [1.0 / 3_f64.log2(), 1.0, 1.0]);
        check(&["x", "y", "z", "v", "w", "a"], &[("a", 1.0), ("q", 1.0)], [0.218_4, 0.5, 0.0]);
        check(&[], &[("a", 1.0)], [0.0, 0.0, 0.0]);
    }
}
