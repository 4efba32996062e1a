//! Host, registrable domain, origin.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// A lower-case punycode host or an IP literal (IPv6 without brackets). Politeness hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Host(String);

impl Host {
    /// The host of a parsed URL; `None` for URLs without one.
    #[must_use]
    pub fn of(url: &url::Url) -> Option<Self> {
        Some(Self(match url.host()? {
            url::Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        }))
        .filter(|host| !host.0.is_empty())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when the host is an IP literal.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// The registrable domain (public suffix list, private section on); the host itself when it has none
    /// (IP literals, `localhost`, a bare public suffix).
    #[must_use]
    pub fn domain(&self) -> Domain {
        let registrable = if self.ip().is_some() { None } else { psl::domain_str(&self.0) };
        Domain(registrable.unwrap_or(&self.0).to_owned())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A registrable domain. Shards hang on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Domain(String);

impl Domain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Scheme, host and port: what one robots.txt speaks for (RFC 9309 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// `true` for https.
    pub is_https: bool,
    /// The host.
    pub host: Host,
    /// The port, default ports included.
    pub port: u16,
}

impl Origin {
    /// `scheme://host[:port]`, without a trailing slash.
    #[must_use]
    pub fn to_url_prefix(&self) -> String {
        let (scheme, default_port) = if self.is_https { ("https", 443) } else { ("http", 80) };
        let host = if self.host.as_str().contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == default_port {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}
