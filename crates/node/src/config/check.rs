//! One typed value against its key: accepted and brought into one form, or refused with what is allowed.

use super::raw::Typed;
use super::schema::{Default, Key, Kind};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A value that fits its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A list of texts (CIDR blocks and ports in their usual spelling).
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::List(items) => write!(f, "{items:?}"),
        }
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => text.as_str().into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(yes) => (*yes).into(),
            Value::List(items) => items.clone().into(),
        }
    }
}

/// The default of a key.
pub(crate) fn default_of(key: &Key) -> Value {
    match key.default {
        Default::Text(text) => Value::Text(text.to_owned()),
        Default::Int(number) => Value::Int(number),
        Default::Float(number) => Value::Float(number),
        Default::Bool(yes) => Value::Bool(yes),
        Default::Nothing => Value::List(Vec::new()),
    }
}

/// Brings a typed value into the key's form.
///
/// # Errors
/// What is allowed, in words.
pub(crate) fn check(key: &Key, typed: &Typed) -> Result<Value, String> {
    accept(key, typed).ok_or_else(|| refusal(key, typed))
}

fn accept(key: &Key, typed: &Typed) -> Option<Value> {
    match key.kind {
        Kind::Bool => bool_of(typed).map(Value::Bool),
        Kind::Int(low, high) => int_of(typed).filter(|number| (low..=high).contains(number)).map(Value::Int),
        Kind::Float(low, high) => float_of(typed).filter(|number| (low..=high).contains(number)).map(Value::Float),
        Kind::Regexes => list_of(typed, |text| regex::Regex::new(text).ok().map(|_| text.to_owned())),
        Kind::Cidrs => list_of(typed, |text| parse_cidr(text).map(|block| block.to_string())),
        Kind::Ports => list_of(typed, |text| text.parse::<u16>().ok().filter(|port| *port > 0).map(|p| p.to_string())),
        Kind::Resolve => list_of(typed, |text| parse_resolve(text).map(|(name, address)| format!("{name}:{address}"))),
        Kind::Words(words) => list_of(typed, |text| words.contains(&text).then(|| text.to_owned())),
        Kind::Addresses => list_of(typed, |text| is_address(text).then(|| text.to_owned())),
        Kind::RedisUrls => list_of(typed, |text| is_redis_url(text).then(|| text.to_owned())),
        Kind::Secrets => list_of(typed, |text| super::Secret::parse(text).map(|_| text.to_owned())),
        Kind::Text
        | Kind::Address
        | Kind::Choice(_)
        | Kind::OptionalUrl
        | Kind::Contact
        | Kind::Secret
        | Kind::Embedder
        | Kind::Name => match typed {
            Typed::Text(text) if text_fits(key.kind, text) => Some(Value::Text(text.clone())),
            _ => None,
        },
    }
}

fn text_fits(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Choice(words) => words.contains(&text),
        Kind::OptionalUrl => text.is_empty() || is_web_url(text),
        Kind::Address => text.is_empty() || is_address(text),
        Kind::Contact => text.is_empty() || is_contact(text),
        Kind::Secret => text.is_empty() || super::Secret::parse(text).is_some(),
        Kind::Embedder => {
            matches!(text, "builtin" | "openai") || text.strip_prefix("static:").is_some_and(|dir| !dir.is_empty())
        }
        Kind::Name => argiope_protocol::TenantId::try_new(text).is_ok(),
        _ => true,
    }
}

/// Something that the owner of a site can write to: a mail address or a page. It becomes part of a header
/// field, so that only printable ASCII is taken.
fn is_contact(text: &str) -> bool {
    let is_mail = text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.'));
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')'));
    is_printable && text.len() <= 200 && (is_mail || is_web_url(text))
}

fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// `HOST:PORT`; port 0 asks the system for a free one.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = host.strip_prefix('[').map_or_else(
        || !host.is_empty() && !host.contains(':') && url::Host::parse(host).is_ok(),
        |rest| rest.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
    );
    is_host && port.parse::<u16>().is_ok()
}

fn is_redis_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "redis" && url.has_host() && url.username().is_empty() && url.password().is_none()
    })
}

/// A CIDR block, or a single address.
pub(crate) fn parse_cidr(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// `HOST:ADDRESS`: a name in lower case and punycode, and an address, of IPv6 with or without brackets.
pub(crate) fn parse_resolve(text: &str) -> Option<(String, IpAddr)> {
    let (name, address) = text.split_once(':')?;
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match url::Host::parse(name).ok()? {
        url::Host::Domain(name) => Some((name, address.parse().ok()?)),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

fn bool_of(typed: &Typed) -> Option<bool> {
    match typed {
        Typed::Bool(yes) => Some(*yes),
        Typed::Text(text) => match text.trim() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn int_of(typed: &Typed) -> Option<i64> {
    match typed {
        Typed::Int(number) => Some(*number),
        Typed::Text(text) => text.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the ranges of all keys lie below 2^53")]
fn float_of(typed: &Typed) -> Option<f64> {
    match typed {
        Typed::Float(number) => Some(*number),
        Typed::Int(number) => Some(*number as f64),
        Typed::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

fn list_of(typed: &Typed, item: impl Fn(&str) -> Option<String>) -> Option<Value> {
    let Typed::List(items) = typed else { return None };
    let texts = items.iter().map(|typed| match typed {
        Typed::Text(text) => item(text),
        Typed::Int(number) => item(&number.to_string()),
        _ => None,
    });
    texts.collect::<Option<Vec<String>>>().map(Value::List)
}

/// What is wrong, as exactly as it is known.
fn refusal(key: &Key, typed: &Typed) -> String {
    let broken = match (key.kind, typed) {
        (Kind::Regexes, Typed::List(items)) => items.iter().find_map(|item| match item {
            Typed::Text(text) => regex::Regex::new(text).err().map(|error| format!("{text:?}: {}", last_line(&error))),
            other => Some(format!("{other} is no text")),
        }),
        _ => None,
    };
    let allowed = key.allowed();
    broken.map_or_else(|| format!("must be {allowed}"), |broken| format!("must be {allowed} ({broken})"))
}

fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}
