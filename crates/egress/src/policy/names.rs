//! Host names that can be judged without a look-up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What `localhost` means, IPv4 first since that is where development servers listen.
pub(super) const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Names under which clouds serve credentials to their machines; from the documentation of Google Cloud, AWS and Azure.
/// Their addresses are denied anyway: the names are denied so that not even the look-up is made.
const METADATA: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.azure.com",
];

/// RFC 6761 §6.3: `localhost` and every name under it. `localhost.localdomain`, `ip6-localhost` and
/// `ip6-loopback` are in the hosts files of common systems.
pub(super) fn is_localhost(name: &str) -> bool {
    let name = plain(name);
    name == "localhost"
        || name.ends_with(".localhost")
        || matches!(name.as_str(), "localhost.localdomain" | "ip6-localhost" | "ip6-loopback")
}

pub(super) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&plain(name).as_str())
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
