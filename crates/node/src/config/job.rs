//! A job's settings as a request gives them: keys of section `[crawl]` by their last part, laid over those of the node.

use super::check::check;
use super::raw::{Mistake, Source, Typed};
use super::read::Read;
use super::resolve::{self, Effective};
use super::schema::{self, Key};
use super::sections::{Config, Crawl};
use serde_json::{Map, Value as Json};

/// Keys that a job may be given; the others belong to the node that crawls.
const JOB_KEYS: &[&str] = &[
    "scope",
    "include",
    "exclude",
    "limit",
    "depth",
    "delay_secs",
    "per_host",
    "process",
    "retain",
    "robots",
    "sitemaps",
    "max_url_bytes",
    "max_outlinks",
    "max_redirects",
    "max_attempts",
    "max_body_bytes",
];

/// The settings of a job for which these were given; what is wrong is added to `mistakes`.
pub(crate) fn job_settings(config: &Config, given: &Map<String, Json>, mistakes: &mut Vec<Mistake>) -> Crawl {
    let mut effective = config.effective.clone();
    for (name, json) in given {
        let mistake = |value: String, problem: String| Mistake {
            key: name.chars().take(80).collect(),
            value,
            source: Source::Request,
            problem,
        };
        let Some(key) = key_of(name) else {
            let problem = format!("unknown field; there are seeds, {}", JOB_KEYS.join(", "));
            mistakes.push(mistake(String::new(), problem));
            continue;
        };
        let typed = typed(json);
        match check(key, &typed) {
            Ok(value) => drop(effective.insert(key.path, Effective { value, source: Source::Request })),
            Err(problem) => mistakes.push(mistake(typed.to_string(), problem)),
        }
    }
    resolve::crawl(&Read(&effective), config.crawl.contact.clone())
}

/// What somebody set, in the form that [`job_settings`] reads: a command's flags for a job that a node crawls.
pub(crate) fn given_settings(config: &Config) -> Map<String, Json> {
    let given = JOB_KEYS.iter().filter_map(|name| {
        let effective = config.effective.get(key_of(name)?.path)?;
        (effective.source != Source::Default).then(|| ((*name).to_owned(), Json::from(&effective.value)))
    });
    given.collect()
}

fn key_of(name: &str) -> Option<&'static Key> {
    JOB_KEYS.contains(&name).then(|| schema::find(&format!("crawl.{name}"))).flatten()
}

fn typed(json: &Json) -> Typed {
    match json {
        Json::String(text) => Typed::Text(text.clone()),
        Json::Bool(yes) => Typed::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Typed::Int(number),
            (None, Some(number)) => Typed::Float(number),
            (None, None) => Typed::Other("number out of range"),
        },
        Json::Array(items) => Typed::List(items.iter().map(typed).collect()),
        Json::Null => Typed::Other("null"),
        Json::Object(_) => Typed::Other("object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, Layer, Platform, build};
    use argiope_protocol::job::Retain;

    fn config() -> Config {
        let mut flags = Layer::new();
        flags.insert("crawl.delay_secs", (Typed::Float(0.5), Source::Flag("--delay")));
        flags.insert("crawl.include", (Typed::List(vec![Typed::Text("/a/".to_owned())]), Source::Flag("--include")));
        build(Inputs { flags, ..Inputs::default() }, &Platform { data_dir: "/d".into() }).unwrap()
    }

    fn settings(body: &str) -> (Crawl, Vec<String>) {
        let mut mistakes = Vec::new();
        let crawl = job_settings(&config(), &serde_json::from_str(body).unwrap(), &mut mistakes);
        (crawl, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_request_stands_over_the_nodes_settings() {
        let (crawl, mistakes) = settings(r#"{"limit": 7, "scope": "host", "sitemaps": false}"#);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!((crawl.limits.max_pages, crawl.sitemaps), (7, false));
        assert_eq!(crawl.politeness.delay, std::time::Duration::from_millis(500));
        assert_eq!(crawl.scope.include, ["/a/"]);
    }

    #[test]
    fn what_stays_follows_from_how_far_pages_are_processed_unless_it_is_said() {
        let retained = |body: &str| settings(body).0.retain;
        assert_eq!(retained("{}"), Retain::Raw);
        assert_eq!(retained(r#"{"process": "markdown"}"#), Retain::Raw);
        assert_eq!(retained(r#"{"process": "links"}"#), Retain::None);
        assert_eq!(retained(r#"{"process": "links", "retain": "raw"}"#), Retain::Raw);
        assert_eq!(retained(r#"{"retain": "none"}"#), Retain::None);
    }

    #[test]
    fn all_mistakes_of_a_request_are_told() {
        let (_, mistakes) = settings(r#"{"limit": 0, "scop": "host", "include": ["("], "depth": null}"#);
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().any(|text| text.starts_with("request: limit = 0: must be")), "{mistakes:?}");
    }

    #[test]
    fn what_was_set_goes_over_the_wire_and_back() {
        let given = serde_json::Value::from(given_settings(&config()));
        assert_eq!(given, serde_json::json!({ "delay_secs": 0.5, "include": ["/a/"] }));
    }
}
