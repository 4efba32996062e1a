//! `--include` and `--exclude`.

use argiope_protocol::{CanonicalUrl, Scope};
use regex::{Regex, RegexBuilder};

/// Bytes of one compiled pattern. A sentence of Unicode classes fits; thousandfold repetitions do not.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// Patterns of one list. With the size above this bounds what a job's filter holds.
const MAX_PATTERNS: usize = 100;

/// Which list a pattern stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternList {
    /// `--include`.
    Include,
    /// `--exclude`.
    Exclude,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{list:?} pattern {pattern:?}: {reason}")]
pub struct InvalidPattern {
    /// Its list.
    pub list: PatternList,
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Debug, Clone)]
pub(super) struct Patterns {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl Patterns {
    pub(super) fn try_new(scope: &Scope) -> Result<Self, Vec<InvalidPattern>> {
        let mut invalid = Vec::new();
        let include = compile(&scope.include, PatternList::Include, &mut invalid);
        let exclude = compile(&scope.exclude, PatternList::Exclude, &mut invalid);
        if invalid.is_empty() { Ok(Self { include, exclude }) } else { Err(invalid) }
    }

    /// Whether `url` matches an exclude pattern, or none of the include patterns. Seeds need no include pattern.
    pub(super) fn refuse(&self, url: &CanonicalUrl, is_seed: bool) -> bool {
        let matches = |list: &[Regex]| list.iter().any(|pattern| pattern.is_match(url.as_str()));
        matches(&self.exclude) || !(is_seed || self.include.is_empty() || matches(&self.include))
    }
}

fn compile(patterns: &[String], list: PatternList, invalid: &mut Vec<InvalidPattern>) -> Vec<Regex> {
    let mut compiled = Vec::new();
    for (n, pattern) in patterns.iter().enumerate() {
        let result = if n < MAX_PATTERNS {
            let mut builder = RegexBuilder::new(pattern);
            builder.size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).build().map_err(|e| e.to_string())
        } else {
            Err(format!("there are more than {MAX_PATTERNS}"))
        };
        match result {
            Ok(regex) => compiled.push(regex),
            Err(reason) => invalid.push(InvalidPattern { list, pattern: pattern.clone(), reason }),
        }
    }
    compiled
}
