//! The two files of an evaluation. Every line is read; all mistakes come back together.

use super::Judged;
use crate::query::MAX_QUESTION_BYTES;
use argiope_protocol::CanonicalUrl;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A question to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// By which the judgements name it.
    pub id: String,
    /// What is asked.
    pub text: String,
}

/// Judgements: which pages are relevant to which question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels(BTreeMap<String, Judged>);

impl Qrels {
    /// The relevant pages of a question; `None` when there are none.
    #[must_use]
    pub fn of(&self, question: &str) -> Option<&Judged> {
        self.0.get(question)
    }

    /// Questions with at least one relevant page.
    #[must_use]
    pub fn n_questions(&self) -> usize {
        self.0.len()
    }
}

/// Reads questions, one a line: `id<TAB>text`, or JSON with `id` (or `_id`) and `text`. Empty lines and lines that
/// begin with `#` are passed over.
///
/// # Errors
/// All mistakes of the file, in its order.
pub fn parse_questions(file: &str) -> Result<Vec<Question>, Vec<Mistake>> {
    let (mut questions, mut mistakes, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (line, text) in lines(file) {
        match question_of(text) {
            Ok(question) if !ids.insert(question.id.clone()) => {
                mistakes.push(Mistake { line, what: format!("the id {:?} was used before", shown(&question.id)) });
            }
            Ok(question) => questions.push(question),
            Err(what) => mistakes.push(Mistake { line, what }),
        }
    }
    if questions.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake { line: 1, what: "the file holds no question".to_owned() });
    }
    if mistakes.is_empty() { Ok(questions) } else { Err(mistakes) }
}

/// Reads judgements, one a line: `question 0 URL grade` (TREC) or `question<TAB>URL<TAB>grade`, white space between
/// columns. Grades below 1 say that a page is not relevant.
///
/// # Errors
/// All mistakes of the file, in its order.
pub fn parse_qrels(file: &str) -> Result<Qrels, Vec<Mistake>> {
    let (mut grades, mut mistakes) = (BTreeMap::<(String, String), i64>::new(), Vec::new());
    for (line, text) in lines(file) {
        match judgement_of(text) {
            Ok((question, url, grade)) => {
                let earlier = grades.entry((question, url)).or_insert(grade);
                if *earlier != grade {
                    let what = format!("the page was judged before with {earlier}, now with {grade}");
                    mistakes.push(Mistake { line, what });
                }
            }
            Err(what) if !is_header(line, text) => mistakes.push(Mistake { line, what }),
            Err(_) => {}
        }
    }
    let mut qrels = Qrels::default();
    for ((question, url), grade) in grades {
        if let Ok(grade @ 1..) = u32::try_from(grade) {
            qrels.0.entry(question).or_default().insert(url, grade);
        }
    }
    if qrels.0.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake { line: 1, what: "the file judges no page relevant".to_owned() });
    }
    if mistakes.is_empty() { Ok(qrels) } else { Err(mistakes) }
}

/// Lines that say something, with their numbers.
fn lines(file: &str) -> impl Iterator<Item = (usize, &str)> {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let numbered = (1..).zip(file.lines().map(str::trim_end));
    numbered.filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#'))
}

fn question_of(line: &str) -> Result<Question, String> {
    let (id, text) = if line.starts_with('{') {
        from_json(line)?
    } else {
        let (id, text) = line.split_once('\t').ok_or("expected an id, a tab and the question, or a JSON object")?;
        (id.to_owned(), text.to_owned())
    };
    let (id, text) = (id.trim().to_owned(), text.trim().to_owned());
    if id.is_empty() || id.contains(char::is_whitespace) {
        return Err("the id is empty or holds white space".to_owned());
    }
    if text.is_empty() {
        return Err("the question is empty".to_owned());
    }
    if text.len() > MAX_QUESTION_BYTES {
        return Err(format!("the question has {} bytes, at most {MAX_QUESTION_BYTES} are allowed", text.len()));
    }
    Ok(Question { id, text })
}

fn from_json(line: &str) -> Result<(String, String), String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let id = match object.get("id").or_else(|| object.get("_id")) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err("the object has no \"id\" that is a string or a number".to_owned()),
    };
    let text = object.get("text").and_then(Value::as_str).ok_or("the object has no \"text\" that is a string")?;
    Ok((id, text.to_owned()))
}

fn judgement_of(line: &str) -> Result<(String, String, i64), String> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (question, url, grade) = match columns.as_slice() {
        [question, url, grade] | [question, _, url, grade] => (*question, *url, *grade),
        _ => return Err(format!("{} columns, expected: question 0 URL grade, or: question URL grade", columns.len())),
    };
    let url = CanonicalUrl::parse(url).map_err(|error| format!("{:?} is no page's URL: {error}", shown(url)))?;
    let grade = grade.parse().map_err(|_| format!("the grade {:?} is no whole number", shown(grade)))?;
    Ok((question.to_owned(), url.as_str().to_owned(), grade))
}

/// Judgements of the BEIR collections begin with a line of column names.
fn is_header(line: usize, text: &str) -> bool {
    line == 1 && text.split_whitespace().eq(["query-id", "corpus-id", "score"])
}

fn shown(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_as_columns_or_as_json() {
        let check = |file: &str, expected: &[(&str, &str)]| {
            let questions = parse_questions(file).unwrap();
            let pairs: Vec<_> = questions.iter().map(|q| (q.id.as_str(), q.text.as_str())).collect();
            assert_eq!(pairs, expected, "{file}");
        };
        check("\u{feff}1\thow to log\r\n\n# note\n2\ttabs\tstay\n", &[("1", "how to log"), ("2", "tabs\tstay")]);
        check("{\"id\":\"a\",\"text\":\" why \"}\n{\"_id\":7,\"text\":\"so\"}", &[("a", "why"), ("7", "so")]);
    }

    #[track_caller]
    fn check_mistakes(found: Option<Vec<Mistake>>, expected: &[&str]) {
        let found: Vec<String> = found.unwrap_or_default().iter().map(Mistake::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn every_mistake_in_the_questions_is_told_with_its_line() {
        let file = format!(
            "1\tgood\nno tab\n1\tagain\n\n\tno id\n2\t \n{{\"id\":3}}\n{{\"text\":\"x\"}}\n{{\n4\t{}\n",
            "x".repeat(4_097)
        );
        let expected = [
            "line 2: expected an id, a tab",
            "line 3: the id \"1\" was used before",
            "line 5: the id is empty",
            "line 6: expected an id, a tab",
            "line 7: the object has no \"text\"",
            "line 8: the object has no \"id\"",
            "line 9: no JSON",
            "line 10: the question has 4097 bytes",
        ];
        check_mistakes(parse_questions(&file).err(), &expected);
        check_mistakes(parse_questions("# nothing\n").err(), &["line 1: the file holds no question"]);
    }

    #[test]
    fn judgements_come_in_three_or_four_columns_and_name_pages() {
        let file = "query-id\tcorpus-id\tscore\na\thttp://H/x#part\t2\na 0 http://h/x 2\nb Q0 http://h/y 0\nb 0 http://h/z 1\n";
        let qrels = parse_qrels(file).unwrap();
        let of = |id: &str| qrels.of(id).map(|judged| judged.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(of("a"), Some(vec![("http://h/x".to_owned(), 2)]));
        assert_eq!(of("b"), Some(vec![("http://h/z".to_owned(), 1)]));
        assert_eq!((of("c"), qrels.n_questions()), (None, 2));
    }

    #[test]
    fn every_mistake_in_the_judgements_is_told_with_its_line() {
        let file = "a 0 http://h/x 1\na http://h/x 2\na 0 page 1\na 0 http://h/y yes\na b\n1 2 3 4 5\n";
        let expected = [
            "line 2: the page was judged before with 1, now with 2",
            "line 3: \"page\" is no page's URL",
            "line 4: the grade \"yes\" is no whole number",
            "line 5: 2 columns",
            "line 6: 5 columns",
        ];
        check_mistakes(parse_qrels(file).err(), &expected);
        check_mistakes(parse_qrels("a 0 http://h/x 0\n").err(), &["line 1: the file judges no page relevant"]);
    }
}
