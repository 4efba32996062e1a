//! The effective configuration as a person or a script reads it.

use super::check::Value;
use super::schema::{KEYS, Kind, SECTIONS};
use super::{Config, Secret};
use std::fmt::Write as _;

/// TOML with the source of each value beside it. What it prints can be used as a configuration file, but for
/// secrets, which are shown as `***`.
pub(crate) fn to_text(config: &Config) -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let _ = writeln!(out, "[{section}]");
        for key in KEYS {
            let Some(name) = key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let Some(effective) = config.effective.get(key.path) else { continue };
            let line = format!("{name} = {}", shown(key.kind, &effective.value));
            let _ = writeln!(out, "{line:<44} # {}", effective.source);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "# data directory in effect: {}", config.data_dir.display());
    let _ = writeln!(out, "# User-Agent in effect: {}", config.egress.user_agent);
    out
}

/// One object: key → value and source.
pub(crate) fn to_json(config: &Config) -> serde_json::Value {
    let values: serde_json::Map<String, serde_json::Value> = KEYS
        .iter()
        .filter_map(|key| {
            let effective = config.effective.get(key.path)?;
            let value = json_value(key.kind, &effective.value);
            let entry = serde_json::json!({
                "value": value, "source": effective.source.to_string(),
                "environment": key.environment_name(), "allowed": key.allowed(), "meaning": key.meaning,
            });
            Some((key.path.to_owned(), entry))
        })
        .collect();
    serde_json::json!({
        "event": "config", "data_dir": config.data_dir, "user_agent": config.egress.user_agent, "keys": values,
    })
}

fn shown(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Secret, Value::Text(text)) => match Secret::parse(text) {
            Some(secret) => format!("\"{secret}\""),
            None => "\"\"".to_owned(),
        },
        (Kind::Secrets, Value::List(secrets)) => format!("{:?}", vec!["***"; secrets.len()]),
        (Kind::Ports, Value::List(ports)) => format!("[{}]", ports.join(", ")),
        _ => value.to_string(),
    }
}

fn json_value(kind: Kind, value: &Value) -> serde_json::Value {
    match (kind, value) {
        (Kind::Secret, Value::Text(text)) => Secret::parse(text).map(|secret| secret.to_string()).into(),
        (Kind::Secrets, Value::List(secrets)) => vec!["***"; secrets.len()].into(),
        _ => value.into(),
    }
}
