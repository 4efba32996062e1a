//! Which URLs and addresses may be reached. Pure: no look-up is made here.
//!
//! A URL is judged three times: as written ([`Policy::check_url`]: scheme, port, names, address literals in any
//! spelling, which the WHATWG parser has already turned into addresses), as resolved ([`Policy::check_address`] on
//! each DNS answer), and as connected, since the client connects to nothing but a judged address.

mod denied;
mod names;
mod ports;
mod ranges;

pub use denied::{Denied, DenyRule};

use ipnet::IpNet;
use std::net::IpAddr;
use url::{Host, Url};

/// What is allowed beyond the public Internet on ordinary ports.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow_cidrs: Vec<IpNet>,
    allow_ports: Option<Vec<u16>>,
}

impl Policy {
    /// A policy that opens denied ranges explicitly, and that replaces the default ports when `allow_ports` is given.
    #[must_use]
    pub fn new(allow_cidrs: Vec<IpNet>, allow_ports: Option<Vec<u16>>) -> Self {
        Self { allow_cidrs, allow_ports }
    }

    /// Judges everything that the URL itself says.
    ///
    /// # Errors
    /// The first rule that denies it.
    pub fn check_url(&self, url: &Url) -> Result<(), Denied> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Denied::new(url.scheme(), DenyRule::Scheme));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        match url.host() {
            None => return Err(Denied::new(url.as_str(), DenyRule::NoHost)),
            Some(Host::Ipv4(address)) => self.check_address(address.into())?,
            Some(Host::Ipv6(address)) => self.check_address(address.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
        }
        self.check_port(port)
    }

    /// Judges a host name without resolving it: names of the machine itself and of metadata services.
    ///
    /// # Errors
    /// When the name can only mean an address that is denied.
    pub fn check_name(&self, name: &str) -> Result<(), Denied> {
        if names::is_localhost(name) {
            let is_open = names::LOCALHOST.iter().any(|address| self.check_address(*address).is_ok());
            return if is_open { Ok(()) } else { Err(Denied::new(name, DenyRule::Loopback)) };
        }
        if names::is_metadata(name) { Err(Denied::new(name, DenyRule::Metadata)) } else { Ok(()) }
    }

    /// Judges an address. IPv4-mapped IPv6 is judged as the IPv4 address that it connects to.
    ///
    /// # Errors
    /// The rule of the range it is in, unless that range was opened.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Denied> {
        let connected = address.to_canonical();
        let Some(rule) = ranges::rule_of(connected) else { return Ok(()) };
        let is_open = self.allow_cidrs.iter().any(|net| {
            // A metadata service hands out credentials: a broad range does not open it, its own address does.
            net.contains(&connected) && (rule != DenyRule::Metadata || net.prefix_len() == net.max_prefix_len())
        });
        if is_open { Ok(()) } else { Err(Denied::new(&address.to_string(), rule)) }
    }

    /// Judges a port.
    ///
    /// # Errors
    /// When it is not among the allowed ones, or by default when browsers or databases speak something else there.
    pub fn check_port(&self, port: u16) -> Result<(), Denied> {
        let is_open = match &self.allow_ports {
            Some(allowed) => allowed.contains(&port),
            None => ports::is_open_by_default(port),
        };
        if is_open { Ok(()) } else { Err(Denied::new(&port.to_string(), DenyRule::Port)) }
    }
}

/// The addresses that `localhost` and names under it mean (RFC 6761 §6.3).
#[must_use]
pub(crate) fn localhost_addresses(name: &str) -> Option<[IpAddr; 2]> {
    names::is_localhost(name).then_some(names::LOCALHOST)
}

#[cfg(test)]
pub(crate) mod tests;
