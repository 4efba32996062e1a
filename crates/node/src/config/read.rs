//! Typed reading of the effective values.

use super::check::Value;
use super::raw::{Mistake, Source};
use super::resolve::Effectives;
use super::secret::Secret;
use std::time::Duration;

/// Typed reading of checked values; the fallbacks are never used, since the schema gives every key its kind.
pub(super) struct Read<'a>(pub(super) &'a Effectives);

impl Read<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        debug_assert!(self.0.contains_key(key), "{key} is not in the schema");
        self.0.get(key).map(|effective| &effective.value)
    }

    pub(super) fn source(&self, key: &str) -> Source {
        self.0.get(key).map_or(Source::Default, |effective| effective.source.clone())
    }

    pub(super) fn text(&self, key: &str) -> String {
        match self.value(key) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn text_opt(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(super) fn uint(&self, key: &str) -> u64 {
        match self.value(key) {
            Some(Value::Int(number)) => u64::try_from(*number).unwrap_or_default(),
            _ => 0,
        }
    }

    pub(super) fn small<T: TryFrom<u64> + std::default::Default>(&self, key: &str) -> T {
        T::try_from(self.uint(key)).unwrap_or_default()
    }

    pub(super) fn float(&self, key: &str) -> f64 {
        match self.value(key) {
            Some(Value::Float(number)) => *number,
            _ => 0.0,
        }
    }

    pub(super) fn seconds(&self, key: &str) -> Duration {
        Duration::try_from_secs_f64(self.float(key)).unwrap_or_default()
    }

    pub(super) fn bool(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Bool(true)))
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.text_opt(key).and_then(|text| Secret::parse(&text))
    }

    /// A value that is right by itself but not beside the others.
    pub(super) fn contradiction(&self, key: &str, problem: impl Into<String>) -> Mistake {
        let value = self.value(key).map_or_else(|| "\"\"".to_owned(), ToString::to_string);
        Mistake { key: key.to_owned(), value, source: self.source(key), problem: problem.into() }
    }
}
