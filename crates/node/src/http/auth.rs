//! Who may ask: whoever shows a bearer key, or, where no key is set, programs of this machine.
//!
//! Without a key the interface listens on loopback only, yet every web page that a browser shows can send requests
//! there. So then a request must name this machine as its host (a page that re-points its own name to 127.0.0.1 does
//! not), and must not come from a page of another origin.

use crate::config::Secret;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// Shorter keys can be guessed.
const MIN_KEY_BYTES: usize = 16;

/// The keys that are taken, as hashes: a comparison of hashes takes the same time wherever they differ, and none of
/// them can be printed.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<blake3::Hash>);

impl Keys {
    /// Reads the configured keys.
    ///
    /// # Errors
    /// `AR0002` when one cannot be read, or is shorter than 16 bytes.
    pub(crate) fn read(secrets: &[Secret]) -> Result<Self> {
        let hash = |secret: &Secret| {
            let key = secret.read()?;
            if key.len() < MIN_KEY_BYTES {
                return Err(CliError::new(ErrorCode::Config, "a key of http.keys is too short")
                    .because(format!("it has {} bytes, at least {MIN_KEY_BYTES} are needed", key.len()))
                    .advise("make one with `openssl rand -hex 32`"));
            }
            Ok(blake3::hash(key.as_bytes()))
        };
        secrets.iter().map(hash).collect::<Result<_>>().map(Self)
    }

    /// Judges a request by its head.
    ///
    /// # Errors
    /// `AR0602`.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<()> {
        if self.0.is_empty() {
            return check_local(headers);
        }
        let shown = text_of(headers, &AUTHORIZATION).and_then(bearer);
        let Some(shown) = shown else {
            return Err(refused("the request shows no bearer key"));
        };
        let shown = blake3::hash(shown.as_bytes());
        // All are compared, so that the time does not tell which one it was.
        let n_equal = self.0.iter().filter(|key| **key == shown).count();
        if n_equal > 0 { Ok(()) } else { Err(refused("the bearer key is not one of this node's")) }
    }
}

fn refused(message: &str) -> CliError {
    CliError::new(ErrorCode::KeyRefused, message)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The scheme's name in any case (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn check_local(headers: &HeaderMap) -> Result<()> {
    let host = text_of(headers, &HOST).unwrap_or_default();
    if !is_this_machine(host) {
        return Err(refused("without a key only this machine is answered")
            .because(format!("the request was sent to the host {:?}", host.chars().take(80).collect::<String>())));
    }
    match text_of(headers, &ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.split_once("://").is_some_and(|(_, place)| place == host) => Ok(()),
        Some(_) => Err(refused("without a key no web page is answered")),
    }
}

/// `HOST[:PORT]` of loopback.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check(keys: &Keys, fields: &[(HeaderName, &'static str)], is_taken: bool) {
        let outcome = keys.check(&headers(fields));
        assert_eq!(outcome.is_ok(), is_taken, "{fields:?} {outcome:?}");
    }

    #[test]
    fn only_a_whole_key_opens() {
        let keys = Keys(vec![blake3::hash(b"first key of two"), blake3::hash(b"the second key")]);
        check(&keys, &[(AUTHORIZATION, "Bearer the second key")], true);
        check(&keys, &[(AUTHORIZATION, "bearer  first key of two ")], true);
        check(&keys, &[(AUTHORIZATION, "Bearer the second ke")], false);
        check(&keys, &[(AUTHORIZATION, "Basic the second key")], false);
        check(&keys, &[(AUTHORIZATION, "Bearer ")], false);
        check(&keys, &[(HOST, "127.0.0.1:7700")], false);
    }

    #[test]
    fn without_a_key_only_programs_of_this_machine_are_answered() {
        let keys = Keys::default();
        for host in ["127.0.0.1:7700", "localhost", "LOCALHOST:1", "[::1]:7700"] {
            check(&keys, &[(HOST, host)], true);
        }
        for host in ["evil.example:7700", "127.0.0.1.evil.example", "10.0.0.1", ""] {
            check(&keys, &[(HOST, host)], false);
        }
        check(&keys, &[(HOST, "localhost:7700"), (ORIGIN, "http://localhost:7700")], true);
        check(&keys, &[(HOST, "localhost:7700"), (ORIGIN, "https://evil.example")], false);
        check(&keys, &[(HOST, "localhost:7700"), (ORIGIN, "null")], false);
    }

    #[test]
    fn short_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Keys::read(&[Secret::parse(&format!("file:{}", path.display())).unwrap()])
        };
        assert_eq!(read("short").err().map(|error| error.code), Some(ErrorCode::Config));
        assert!(read("0123456789abcdef").is_ok());
    }
}
