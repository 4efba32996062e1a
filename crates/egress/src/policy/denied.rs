//! What a denial says: what was denied, by which rule, and which flag would allow it.

use std::fmt;

macro_rules! deny_rules {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, $phrase:literal, $cidr:expr;)+) => {
        /// Why something may not be reached. Closed: the codes are metric labels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DenyRule { $($(#[$meta])* $variant,)+ }

        impl DenyRule {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            const fn phrase(self) -> &'static str {
                match self { $(Self::$variant => $phrase,)+ }
            }

            /// The range to open, when the rule stands for one.
            const fn cidr(self) -> Option<&'static str> {
                match self { $(Self::$variant => $cidr,)+ }
            }
        }
    };
}

deny_rules! {
    /// Not http or https.
    Scheme = "scheme", "a scheme other than http and https", None;
    /// The URL has no host.
    NoHost = "no_host", "a URL without a host", None;
    /// The port is not allowed.
    Port = "port", "a port that is not allowed", None;
    /// The machine itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback = "loopback", "a loopback address", Some("127.0.0.0/8");
    /// `0.0.0.0/8` and `::` (RFC 791 §3.2): Linux connects to the machine itself.
    Unspecified = "unspecified", "an address of \"this network\"", None;
    /// RFC 1918.
    Private = "private", "a private address", None;
    /// RFC 6598.
    SharedNat = "shared_nat", "a carrier's NAT address", Some("100.64.0.0/10");
    /// RFC 3927 and RFC 4291 §2.5.6.
    LinkLocal = "link_local", "a link-local address", None;
    /// A cloud's metadata service, which hands out credentials.
    Metadata = "metadata", "a cloud metadata service", None;
    /// RFC 6890: protocol assignments and anycast of the IETF.
    Protocol = "protocol", "an address kept for protocols", None;
    /// RFC 5737, RFC 3849 and RFC 9637.
    Documentation = "documentation", "an address of documentation examples", None;
    /// RFC 2544 and RFC 5180.
    Benchmark = "benchmark", "an address of benchmark networks", Some("198.18.0.0/15");
    /// RFC 5771 and RFC 4291 §2.7.
    Multicast = "multicast", "a multicast address", None;
    /// RFC 919.
    Broadcast = "broadcast", "the broadcast address", None;
    /// RFC 1112 §4 and everything IANA has not given out.
    Reserved = "reserved", "a reserved address", None;
    /// RFC 4193.
    UniqueLocal = "unique_local", "a unique local address", Some("fc00::/7");
    /// RFC 3879.
    SiteLocal = "site_local", "a site-local address", None;
    /// 6to4, Teredo, IPv4-compatible and local NAT64: the packet would end somewhere else.
    Transition = "transition", "an address that tunnels to another one", None;
}

/// The egress policy denies something. The message names the flag that allows it, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {}, which the egress policy denies{hint}", .rule.phrase())]
pub struct Denied {
    /// The address, name, port or scheme as text, at most 100 characters.
    pub address: String,
    /// The rule that denies it.
    pub rule: DenyRule,
    /// What allows it.
    pub hint: Hint,
}

/// The flag that would allow what was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(Option<String>);

impl Hint {
    /// The flag with its value, e.g. `--allow-cidr 127.0.0.0/8`.
    #[must_use]
    pub fn flag(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |flag| write!(f, "; allow it with {flag}"))
    }
}

impl Denied {
    pub(crate) fn new(subject: &str, rule: DenyRule) -> Self {
        let address: String = subject.chars().take(100).collect();
        let hint = Hint(hint(&address, rule).map(|cidr| format!("--allow-cidr {cidr}")));
        Self { address, rule, hint }
    }
}

fn hint(address: &str, rule: DenyRule) -> Option<String> {
    use std::net::IpAddr;
    let parsed = address.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let single = |address: IpAddr| format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
    match (rule, parsed) {
        (DenyRule::Scheme | DenyRule::NoHost | DenyRule::Port, _) => None,
        (DenyRule::Loopback, Some(IpAddr::V6(address))) if address == std::net::Ipv6Addr::LOCALHOST => {
            Some(single(address.into()))
        }
        // Opening these by accident is never what is wanted: the range is not offered, the one address is.
        (_, parsed) => rule.cidr().map(str::to_owned).or_else(|| parsed.map(single)),
    }
}
