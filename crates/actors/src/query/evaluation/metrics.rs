//! What a ranking is worth.

use argiope_protocol::CanonicalUrl;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Judged pages of one question: canonical URL to grade, 1 or more. Never empty.
pub type Judged = BTreeMap<String, u32>;

const NDCG_DEPTH: usize = 10;
const RECALL_DEPTH: usize = 100;
const HIT_DEPTH: usize = 5;

/// Averages over questions, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Normalised discounted cumulative gain of the first 10: gain = grade, discount = log2(rank + 1), as `trec_eval`
    /// computes it.
    pub ndcg_at_10: f64,
    /// Share of the relevant pages among the first 100.
    pub recall_at_100: f64,
    /// Share of questions with a relevant page among the first 5.
    pub hit_at_5: f64,
    /// Mean of 1 / rank of the first relevant page among the first 100.
    pub mrr: f64,
}

/// Sums over the questions asked so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    sum: Metrics,
    n_questions: u32,
}

impl Tally {
    /// Adds the ranking for one question, best first. Later chunks of a page that came before are passed over.
    pub fn add<'a>(&mut self, judged: &Judged, ranking: impl IntoIterator<Item = &'a str>) {
        let of_one = measure(judged, &grades(judged, ranking));
        self.sum.ndcg_at_10 += of_one.ndcg_at_10;
        self.sum.recall_at_100 += of_one.recall_at_100;
        self.sum.hit_at_5 += of_one.hit_at_5;
        self.sum.mrr += of_one.mrr;
        self.n_questions += 1;
    }

    /// The averages; all zero before the first question.
    #[must_use]
    pub fn average(&self) -> Metrics {
        let n_questions = f64::from(self.n_questions.max(1));
        Metrics {
            ndcg_at_10: self.sum.ndcg_at_10 / n_questions,
            recall_at_100: self.sum.recall_at_100 / n_questions,
            hit_at_5: self.sum.hit_at_5 / n_questions,
            mrr: self.sum.mrr / n_questions,
        }
    }
}

/// The grade of each page in the ranking, 0 where it is not relevant.
fn grades<'a>(judged: &Judged, ranking: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let pages = ranking.into_iter().map(page_of).filter(|url| seen.insert(url.clone()));
    pages.take(RECALL_DEPTH).map(|url| judged.get(&url).copied().unwrap_or(0)).collect()
}

/// The page that a URL is of. What does not parse is left as it is: it then matches nothing but itself.
fn page_of(url: &str) -> String {
    CanonicalUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.as_str().to_owned())
}

fn measure(judged: &Judged, grades: &[u32]) -> Metrics {
    let mut ideal: Vec<u32> = judged.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best_gain = gain(&ideal);
    let n_found = grades.iter().filter(|grade| **grade > 0).count();
    let first = grades.iter().position(|grade| *grade > 0);
    Metrics {
        ndcg_at_10: if best_gain > 0.0 { gain(grades) / best_gain } else { 0.0 },
        recall_at_100: number(n_found) / number(judged.len().max(1)),
        hit_at_5: if first.is_some_and(|place| place < HIT_DEPTH) { 1.0 } else { 0.0 },
        mrr: first.map_or(0.0, |place| 1.0 / number(place + 1)),
    }
}

fn gain(grades: &[u32]) -> f64 {
    let discounts = (0..NDCG_DEPTH).map(|place| number(place + 2).log2());
    grades.iter().zip(discounts).map(|(grade, discount)| f64::from(*grade) / discount).sum()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, u32)]) -> Judged {
        pairs.iter().map(|(page, grade)| (format!("http://h/{page}"), *grade)).collect()
    }

    #[track_caller]
    fn check(judged: &Judged, ranking: &[&str], expected: [f64; 4]) {
        let urls: Vec<String> = ranking.iter().map(|page| format!("http://h/{page}")).collect();
        let mut tally = Tally::default();
        tally.add(judged, urls.iter().map(String::as_str));
        let Metrics { ndcg_at_10, recall_at_100, hit_at_5, mrr } = tally.average();
        for (found, expected) in [ndcg_at_10, recall_at_100, hit_at_5, mrr].into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{:?} is not {expected}", tally.average());
        }
    }

    #[test]
    fn one_ranking_gives_the_numbers_computed_by_hand() {
        let two = judged(&[("a", 1), ("b", 1)]);
        // Ideal: 1 + 1/log2(3) = 1.63093.
        check(&two, &["a", "b"], [1.0, 1.0, 1.0, 1.0]);
        // 1/log2(3) + 1/log2(5) = 0.63093 + 0.43068 = 1.06161.
        check(&two, &["x", "a", "y", "b"], [0.65092, 1.0, 1.0, 0.5]);
        // 1/log2(7) = 0.35621: rank 6 is no hit at 5.
        check(&two, &["1", "2", "3", "4", "5", "a"], [0.21841, 0.5, 0.0, 1.0 / 6.0]);
        check(&two, &[], [0.0; 4]);
        let graded = judged(&[("a", 1), ("b", 3)]);
        // 1 + 3/log2(3) = 2.89279 of 3 + 1/log2(3) = 3.63093.
        check(&graded, &["a", "b"], [0.79671, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn ranks_are_of_pages_and_depths_are_kept() {
        let two = judged(&[("a", 1), ("b", 1)]);
        // Two chunks of x, two spellings of a.
        check(&two, &["x#1", "x#2", "%61?utm_source=n#top", "a", "b"], [0.69342, 1.0, 1.0, 0.5]);
        let mut deep: Vec<String> = (0..99).map(|n| n.to_string()).collect();
        deep.extend(["a".to_owned(), "b".to_owned()]);
        check(&two, &deep.iter().map(String::as_str).collect::<Vec<_>>(), [0.0, 0.5, 0.0, 0.01]);
        let many: Vec<(String, u32)> = (0..20).map(|n| (n.to_string(), 1)).collect();
        let many: Vec<(&str, u32)> = many.iter().map(|(page, grade)| (page.as_str(), *grade)).collect();
        let ranking: Vec<&str> = many.iter().map(|(page, _)| *page).take(10).collect();
        check(&judged(&many), &ranking, [1.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_tally_is_the_mean_over_its_questions() {
        let mut tally = Tally::default();
        assert_eq!(tally.average(), Metrics::default());
        tally.add(&judged(&[("a", 1)]), ["http://h/a"]);
        tally.add(&judged(&[("a", 1)]), ["http://h/b"]);
        let half = Metrics { ndcg_at_10: 0.5, recall_at_100: 0.5, hit_at_5: 0.5, mrr: 0.5 };
        assert_eq!(tally.average(), half);
    }
}
