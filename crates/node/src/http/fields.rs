//! What a request says, field by field: from a JSON object or from the query of its URL. All mistakes are gathered.

use super::Problem;
use crate::errors::CliError;
use argiope_protocol::ErrorCode;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Fields that were not asked for yet, and what was wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    given: Map<String, Value>,
    known: Vec<&'static str>,
    mistakes: Vec<String>,
}

impl Fields {
    fn of_json(bytes: &[u8]) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::invalid(vec![what]);
        let value: Value = serde_json::from_slice(bytes).map_err(|error| wrong(format!("body: no JSON ({error})")))?;
        match value {
            Value::Object(given) => Ok(Self { given, ..Self::default() }),
            _ => Err(wrong("body: must be a JSON object".to_owned())),
        }
    }

    fn of_query(query: &str) -> Self {
        let mut fields = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if fields.given.insert(name.clone().into_owned(), value.into_owned().into()).is_some() {
                fields.wrong(&name, "stands twice");
            }
        }
        fields
    }

    /// Adds a mistake.
    pub(crate) fn wrong(&mut self, name: &str, problem: &str) {
        let name: String = name.chars().take(80).collect();
        self.mistakes.push(format!("{name}: {problem}"));
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.given.remove(name).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, name: &str, value: &Value, allowed: &str) {
        let shown: String = value.to_string().chars().take(120).collect();
        self.wrong(name, &format!("{shown} must be {allowed}"));
    }

    /// A text of at most so many bytes.
    pub(crate) fn text(&mut self, name: &'static str, max_bytes: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.len() <= max_bytes => Some(text),
            other => {
                self.refuse(name, &other, &format!("a text of at most {max_bytes} bytes"));
                None
            }
        }
    }

    /// A whole number; in a query as text.
    pub(crate) fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(name, &value, &format!("a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// Yes or no; in a query as text.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        let flag = value.as_bool().or_else(|| value.as_str()?.parse().ok());
        if flag.is_none() {
            self.refuse(name, &value, "true or false");
        }
        flag
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.take(name)?;
        let found = choices.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, choice)| *choice);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.refuse(name, &value, &format!("one of {}", words.join(", ")));
        }
        found
    }

    /// What a reader makes of a text.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let parsed = value.as_str().and_then(read);
        if parsed.is_none() {
            self.refuse(name, &value, allowed);
        }
        parsed
    }

    /// All fields that were not asked for: somebody else judges them.
    pub(crate) fn rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.given)
    }

    /// Fields that nobody asked for are mistakes too.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        for name in self.rest().keys() {
            self.wrong(name, &format!("unknown field; there are {known}"));
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(Problem::invalid(self.mistakes)) }
    }
}

/// A JSON object as body.
pub(super) struct Body(pub(super) Fields);

/// The URL's query.
pub(super) struct Query(pub(super) Fields);

/// The one parameter of the path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    /// Another content type is refused: a web page cannot send JSON to another origin without asking first.
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
        if !is_json {
            let error = CliError::new(ErrorCode::RequestInvalid, "the body's content type must be application/json");
            return Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let error =
                CliError::new(ErrorCode::RequestInvalid, "the body cannot be read").because(rejection.body_text());
            Problem::with_status(rejection.status(), error)
        })?;
        Fields::of_json(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(Fields::of_query(parts.uri.query().unwrap_or_default())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid(vec![format!("path: {}", rejection.body_text())]))?;
        Ok(Self(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_gathered() {
        let mut fields = Fields::of_query("limit=0&filter=moon&markdown=yes&more=1&more=2");
        assert_eq!(fields.number("limit", 1..=10), None);
        assert_eq!(fields.choice("filter", &[("all", 1)]), None);
        assert_eq!(fields.flag("markdown"), None);
        assert_eq!(fields.text("after", 10), None);
        let problem = format!("{:?}", fields.finish().unwrap_err());
        for part in ["5 mistakes", "from 1 to 10", "one of all", "true or false", "stands twice", "unknown field"] {
            assert!(problem.contains(part), "{part}: {problem}");
        }
    }

    #[test]
    fn values_are_read_from_json_and_query_alike() {
        let json = Fields::of_json(br#"{"limit": 3, "markdown": true, "host": null}"#).unwrap();
        for mut fields in [json, Fields::of_query("limit=3&markdown=true")] {
            assert_eq!((fields.number("limit", 1..=10), fields.flag("markdown")), (Some(3), Some(true)));
            assert_eq!(fields.text("host", 10), None);
            assert!(fields.finish().is_ok());
        }
        assert!(Fields::of_json(b"[]").is_err() && Fields::of_json(b"{").is_err());
    }
}
