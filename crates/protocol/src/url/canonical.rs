//! The canonical form itself.

use super::host::{Host, Origin};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use url::Url;

/// Part of every page key. Change it with any rule of this module.
pub const CANONICALISER_VERSION: u8 = 1;

/// Query parameters that say where a visitor came from and never what a page holds. Lower case, exact names;
/// `utm_*` is matched by prefix. Source: the parameters documented by the advertising and newsletter systems
/// that set them.
const TRACKING_PARAMETERS: &[&str] = &[
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "_openstat",
    "dclid",
    "fbclid",
    "gbraid",
    "gclid",
    "gclsrc",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "oly_anon_id",
    "oly_enc_id",
    "s_cid",
    "ttclid",
    "twclid",
    "vero_conv",
    "vero_id",
    "wbraid",
    "wickedid",
    "yclid",
];

/// Why a text is no URL that can be crawled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It does not parse.
    #[error("{0}")]
    Syntax(String),
    /// It is no http or https URL.
    #[error("scheme {0:?} is not http or https")]
    Scheme(String),
    /// It names no host.
    #[error("it has no host")]
    NoHost,
}

/// A URL by which pages are known: two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct CanonicalUrl(Url);

impl Serialize for CanonicalUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl CanonicalUrl {
    /// From an absolute URL as written by people.
    ///
    /// # Errors
    /// When it does not parse, is not http or https, or has no host.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        Self::from_url(Url::parse(text.trim()).map_err(|e| InvalidUrl::Syntax(e.to_string()))?)
    }

    /// From a link as written on a page.
    ///
    /// # Errors
    /// As [`CanonicalUrl::parse`].
    pub fn join(base: &Url, link: &str) -> Result<Self, InvalidUrl> {
        Self::from_url(base.join(link.trim()).map_err(|e| InvalidUrl::Syntax(e.to_string()))?)
    }

    /// From a parsed URL.
    ///
    /// # Errors
    /// When it is not http or https, or has no host.
    pub fn from_url(mut url: Url) -> Result<Self, InvalidUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme(url.scheme().chars().take(20).collect()));
        }
        if url.host_str().is_none_or(|text| text.is_empty() || text.ends_with('.')) {
            let host = Host::of(&url).ok_or(InvalidUrl::NoHost)?;
            url.set_host(Some(host.as_str())).map_err(|e| InvalidUrl::Syntax(e.to_string()))?;
        }
        url.set_fragment(None);
        // Both setters fail only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if let Cow::Owned(path) = normalise_percent(url.path()) {
            url.set_path(&path);
        }
        if let Some(query) = url.query() {
            let kept = keep_query(query);
            if kept.as_deref() != Some(query) {
                url.set_query(kept.as_deref());
            }
        }
        Ok(Self(url))
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The parsed form.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> Host {
        Host::of(&self.0).expect("a canonical URL was made with a host")
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let is_https = self.0.scheme() == "https";
        Origin { is_https, host: self.host(), port: self.0.port().unwrap_or(if is_https { 443 } else { 80 }) }
    }

    /// Path and query: what robots rules are matched against.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

impl TryFrom<String> for CanonicalUrl {
    type Error = InvalidUrl;
    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        Self::parse(&text)
    }
}

impl From<CanonicalUrl> for String {
    fn from(url: CanonicalUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for CanonicalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 3986 §6.2.2: escapes of unreserved characters are undone, all other escapes get upper-case digits.
fn normalise_percent(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten().and_then(decode_hex);
        match escape {
            Some(value) if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') => {
                out.push(value)
            }
            Some(value) => out.extend_from_slice(format!("%{value:02X}").as_bytes()),
            None => out.push(byte),
        }
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn decode_hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?).ok()
}

/// The query without tracking parameters; `None` when nothing is left. `?` alone counts as no query.
fn keep_query(query: &str) -> Option<String> {
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_tracking(pair)).collect();
    let joined = kept.join("&");
    (!joined.is_empty()).then(|| normalise_percent(&joined).into_owned())
}

fn is_tracking(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("utm_") || TRACKING_PARAMETERS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(
            CanonicalUrl::parse(input).map(String::from).unwrap_or_else(|e| format!("error: {e}")),
            expected,
            "{input}"
        );
    }

    #[test]
    fn spellings_of_one_address_become_one_text() {
        check("HTTP://Example.ORG:80/a/../b#top", "http://example.org/b");
        check("https://example.org:443", "https://example.org/");
        check("https://user:pw@example.org/", "https://example.org/");
        check("https://example.org./x", "https://example.org/x");
        check("https://bücher.example/", "https://xn--bcher-kva.example/");
        check("https://example.org/%7euser/%e3%83%84?q=%2f", "https://example.org/~user/%E3%83%84?q=%2F");
        check("https://example.org/100%", "https://example.org/100%");
        check("https://example.org/?utm_source=a&b=2&fbclid=x&a=1", "https://example.org/?b=2&a=1");
        check("https://example.org/?utm_medium=x", "https://example.org/");
        check("https://example.org/?", "https://example.org/");
        check("http://0x7f.1/", "http://127.0.0.1/");
        check("http://[::FFFF:7f00:1]/", "http://[::ffff:7f00:1]/");
    }

    #[test]
    fn what_cannot_be_crawled_is_refused() {
        check("ftp://example.org/", "error: scheme \"ftp\" is not http or https");
        check("javascript:alert(1)", "error: scheme \"javascript\" is not http or https");
        check("/relative", "error: relative URL without a base");
    }

    #[test]
    fn domains_follow_the_public_suffix_list() {
        let domain = |url: &str| CanonicalUrl::parse(url).expect("valid").host().domain().to_string();
        assert_eq!(domain("https://docs.example.co.uk/"), "example.co.uk");
        assert_eq!(domain("https://someone.github.io/"), "someone.github.io");
        assert_eq!(domain("http://127.0.0.1:8000/"), "127.0.0.1");
        assert_eq!(domain("http://localhost/"), "localhost");
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(path in "[ -~]{0,40}", query in "[ -~]{0,40}") {
            if let Ok(once) = CanonicalUrl::parse(&format!("http://example.org/{path}?{query}")) {
                let twice = CanonicalUrl::parse(once.as_str()).expect("canonical URLs parse");
                prop_assert_eq!(once, twice);
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,200}") {
            let _ = CanonicalUrl::parse(&text);
        }
    }
}
