//! The address ranges that are not the public Internet: IANA's special-purpose registries for IPv4 and IPv6, cloud
//! metadata services, and IPv6 forms with an IPv4 address inside, which is judged too.

use super::DenyRule;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First address, prefix length, rule. More specific ranges come first.
const V4: &[([u8; 4], u32, DenyRule)] = &[
    // AWS, Azure and Google; AWS container credentials; Alibaba; Oracle; Azure's wire server, a public address.
    ([169, 254, 169, 254], 32, DenyRule::Metadata),
    ([169, 254, 170, 2], 32, DenyRule::Metadata),
    ([169, 254, 170, 23], 32, DenyRule::Metadata),
    ([100, 100, 100, 200], 32, DenyRule::Metadata),
    ([192, 0, 0, 192], 32, DenyRule::Metadata),
    ([168, 63, 129, 16], 32, DenyRule::Metadata),
    ([255, 255, 255, 255], 32, DenyRule::Broadcast),
    ([0, 0, 0, 0], 8, DenyRule::Unspecified),
    ([10, 0, 0, 0], 8, DenyRule::Private),
    ([100, 64, 0, 0], 10, DenyRule::SharedNat),
    ([127, 0, 0, 0], 8, DenyRule::Loopback),
    ([169, 254, 0, 0], 16, DenyRule::LinkLocal),
    ([172, 16, 0, 0], 12, DenyRule::Private),
    ([192, 0, 0, 0], 24, DenyRule::Protocol),
    ([192, 0, 2, 0], 24, DenyRule::Documentation),
    ([192, 31, 196, 0], 24, DenyRule::Protocol),
    ([192, 52, 193, 0], 24, DenyRule::Protocol),
    ([192, 88, 99, 0], 24, DenyRule::Transition),
    ([192, 168, 0, 0], 16, DenyRule::Private),
    ([192, 175, 48, 0], 24, DenyRule::Protocol),
    ([198, 18, 0, 0], 15, DenyRule::Benchmark),
    ([198, 51, 100, 0], 24, DenyRule::Documentation),
    ([203, 0, 113, 0], 24, DenyRule::Documentation),
    ([224, 0, 0, 0], 4, DenyRule::Multicast),
    ([240, 0, 0, 0], 4, DenyRule::Reserved),
];

/// First address, prefix length, rule. More specific ranges come first.
const V6: &[(Ipv6Addr, u32, DenyRule)] = &[
    // AWS, Google and Oracle.
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), 128, DenyRule::Metadata),
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023), 128, DenyRule::Metadata),
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128, DenyRule::Metadata),
    (Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, DenyRule::Metadata),
    (Ipv6Addr::UNSPECIFIED, 128, DenyRule::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, DenyRule::Loopback),
    // IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated (RFC 2765 §2.1).
    (Ipv6Addr::UNSPECIFIED, 96, DenyRule::Transition),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, DenyRule::Transition),
    // NAT64 of one's own network (RFC 8215).
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, DenyRule::Transition),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, DenyRule::Transition),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, DenyRule::Benchmark),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, DenyRule::Documentation),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, DenyRule::Protocol),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, DenyRule::Transition),
    (Ipv6Addr::new(0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0), 48, DenyRule::Protocol),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, DenyRule::Documentation),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, DenyRule::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, DenyRule::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, DenyRule::SiteLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, DenyRule::Multicast),
];

/// NAT64 (RFC 6052 §2.1): the way to IPv4 hosts on networks without IPv4, so it is as good as what is inside.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// IANA gives out unicast addresses from here alone (RFC 3513 §4).
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The rule that denies an address; `None` for the public Internet.
pub(super) fn rule_of(address: IpAddr) -> Option<DenyRule> {
    match address {
        IpAddr::V4(address) => rule_of_v4(address),
        IpAddr::V6(address) => rule_of_v6(address),
    }
}

fn rule_of_v4(address: Ipv4Addr) -> Option<DenyRule> {
    let bits = address.to_bits();
    let found = V4.iter().find(|(first, length, _)| {
        let first = Ipv4Addr::from(*first).to_bits();
        (bits ^ first).checked_shr(32 - length).unwrap_or(0) == 0
    });
    found.map(|(_, _, rule)| *rule)
}

fn rule_of_v6(address: Ipv6Addr) -> Option<DenyRule> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return rule_of_v4(mapped);
    }
    if is_in(address, NAT64) {
        return rule_of_v4(last_v4(address));
    }
    let listed = V6.iter().find(|(first, length, _)| is_in(address, (*first, *length))).map(|(_, _, rule)| *rule);
    // What is inside a tunnelled address says more than the tunnel does.
    let inner = embedded(address).and_then(rule_of_v4);
    match listed {
        Some(DenyRule::Transition) => inner.or(listed),
        Some(_) => listed,
        None => inner.or_else(|| (!is_in(address, GLOBAL_UNICAST)).then_some(DenyRule::Reserved)),
    }
}

fn is_in(address: Ipv6Addr, (first, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ first.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
}

/// The IPv4 address inside: 6to4 (RFC 3056 §2), Teredo (RFC 4380 §4, bits inverted), ISATAP (RFC 5214 §6.1),
/// IPv4-compatible, IPv4-translated, and NAT64 of one's own network with a /96 below it.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, _, _, sixth, _, _] = address.segments();
    let fifth = address.segments()[4];
    match (first, second) {
        (0x2002, _) => Some(v4_of(second, third)),
        (0x2001, 0) => Some(Ipv4Addr::from_bits(!last_v4(address).to_bits())),
        (0, _) | (0x64, 0xff9b) => Some(last_v4(address)),
        _ if matches!(fifth, 0 | 0x0200) && sixth == 0x5efe => Some(last_v4(address)),
        _ => None,
    }
}

fn last_v4(address: Ipv6Addr) -> Ipv4Addr {
    let [.., high, low] = address.segments();
    v4_of(high, low)
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}
