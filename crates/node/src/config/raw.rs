//! What was typed, layer by layer: file, environment, flags. Nothing is decided here but whether a key exists.

use super::schema::{self, KEYS, Key, Kind};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nowhere: the default.
    Default,
    /// In the configuration file.
    File {
        /// Its path as given.
        path: String,
        /// Line from 1.
        line: usize,
    },
    /// In the environment, by this name.
    Environment(String),
    /// On the command line, by this flag.
    Flag(&'static str),
    /// In a request over HTTP.
    Request,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Request => f.write_str("request"),
        }
    }
}

/// A value as it was typed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typed {
    /// A text; the environment has nothing else, so it may stand for any kind.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A list.
    List(Vec<Typed>),
    /// Something that no key takes (a date, a table).
    Other(&'static str),
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", text.chars().take(120).collect::<String>()),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Other(what) => write!(f, "a {what}"),
        }
    }
}

/// One layer: values by key path, with their source.
pub(crate) type Layer = BTreeMap<&'static str, (Typed, Source)>;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The key, as typed; empty for syntax errors.
    pub(crate) key: String,
    /// The value, as typed; empty for unknown keys and syntax errors.
    pub(crate) value: String,
    /// Where.
    pub(crate) source: Source,
    /// What is allowed, or what is wrong.
    pub(crate) problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, source, problem } = self;
        match (key.is_empty(), value.is_empty()) {
            (true, _) => write!(f, "{source}: {problem}"),
            (false, true) => write!(f, "{source}: {key}: {problem}"),
            (false, false) => write!(f, "{source}: {key} = {value}: {problem}"),
        }
    }
}

/// Reads a configuration file's text. Everything wrong with it is added to `mistakes`.
pub(crate) fn from_toml(path: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Layer {
    let (table, errors) = DeTable::parse_recoverable(text);
    let source = |span: Range<usize>| Source::File { path: path.to_owned(), line: line_of(text, span.start) };
    for error in &errors {
        let source = source(error.span().unwrap_or_default());
        let problem = format!("not valid TOML: {}", error.message().replace('\n', ", "));
        mistakes.push(Mistake { key: String::new(), value: String::new(), source, problem });
    }
    let mut layer = Layer::new();
    for (section, content) in table.get_ref() {
        let Some(keys) = content.get_ref().as_table() else {
            mistakes.push(unknown(section.get_ref(), source(section.span())));
            continue;
        };
        if !schema::SECTIONS.contains(&section.get_ref().as_ref()) {
            mistakes.push(unknown_section(section.get_ref(), source(section.span())));
            continue;
        }
        for (name, value) in keys {
            let path = format!("{}.{}", section.get_ref(), name.get_ref());
            match schema::find(&path) {
                Some(key) => drop(layer.insert(key.path, (typed(value.get_ref()), source(name.span())))),
                None => mistakes.push(unknown(&path, source(name.span()))),
            }
        }
    }
    layer
}

/// Reads the `ARGIOPE_…` variables. Names that begin like a section but are no key are mistakes; others
/// belong to somebody else.
pub(crate) fn from_environment(
    variables: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix("ARGIOPE_") else { continue };
        let Some(section) = schema::SECTIONS
            .iter()
            .find(|section| rest.to_ascii_lowercase().strip_prefix(*section).is_some_and(|key| key.starts_with('_')))
        else {
            continue;
        };
        let key_name = rest.to_ascii_lowercase().split_off(section.len() + 1);
        let path = format!("{section}.{key_name}");
        match schema::find(&path) {
            Some(key) => drop(layer.insert(key.path, (environment_value(key, value), Source::Environment(name)))),
            None => mistakes.push(unknown(&path, Source::Environment(name))),
        }
    }
    layer
}

/// A list in the environment is a TOML array, or its items with commas between; a regular expression may hold
/// commas, so that one without brackets is one item.
fn environment_value(key: &Key, text: String) -> Typed {
    let is_list = matches!(
        key.kind,
        Kind::Regexes
            | Kind::Cidrs
            | Kind::Ports
            | Kind::Resolve
            | Kind::Words(_)
            | Kind::Addresses
            | Kind::RedisUrls
            | Kind::Secrets
    );
    if !is_list {
        return Typed::Text(text);
    }
    if text.trim_start().starts_with('[')
        && let Ok(value) = DeValue::parse(text.trim())
    {
        return typed(value.get_ref());
    }
    match key.kind {
        _ if text.trim().is_empty() => Typed::List(Vec::new()),
        Kind::Regexes => Typed::List(vec![Typed::Text(text)]),
        _ => Typed::List(text.split(',').map(|item| Typed::Text(item.trim().to_owned())).collect()),
    }
}

fn typed(value: &DeValue<'_>) -> Typed {
    match value {
        DeValue::String(text) => Typed::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Typed::Other("number out of range"), Typed::Int)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Typed::Other("number out of range"), Typed::Float),
        DeValue::Boolean(yes) => Typed::Bool(*yes),
        DeValue::Array(items) => Typed::List(items.iter().map(|item| typed(item.get_ref())).collect()),
        DeValue::Datetime(_) => Typed::Other("date"),
        DeValue::Table(_) => Typed::Other("table"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn unknown(path: &str, source: Source) -> Mistake {
    let name = path.rsplit('.').next().unwrap_or(path);
    let nearest = KEYS
        .iter()
        .map(|key| (distance(key.path, path).min(1 + distance(key.path.rsplit('.').next().unwrap_or(""), name)), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2 + name.len() / 3);
    let problem = nearest
        .map_or_else(|| "unknown key".to_owned(), |(_, key)| format!("unknown key; did you mean `{}`?", key.path));
    Mistake { key: path.to_owned(), value: String::new(), source, problem }
}

fn unknown_section(name: &str, source: Source) -> Mistake {
    let problem = format!("unknown section; there are {}", schema::SECTIONS.join(", "));
    Mistake { key: format!("[{name}]"), value: String::new(), source, problem }
}

/// Levenshtein distance in characters; names are short.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (r, cell) in right.chars().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(l != r);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (left, right, expected) in [("", "", 0), ("abc", "abc", 0), ("dely", "delay", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
