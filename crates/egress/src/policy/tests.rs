//! Spellings of places that must not be reached, and of some that may.

use super::*;

/// Host as written in a URL, and the code of the rule that denies it.
pub(crate) const FORBIDDEN: &[(&str, &str)] = &[
    // Loopback in every spelling that the WHATWG parser takes.
    ("127.0.0.1", "loopback"),
    ("127.0.0.2", "loopback"),
    ("127.1", "loopback"),
    ("127.0.1", "loopback"),
    ("127.255.255.255", "loopback"),
    ("2130706433", "loopback"),
    ("0x7f000001", "loopback"),
    ("0x7f.1", "loopback"),
    ("0x7f.0.0.1", "loopback"),
    ("0X7F.0X0.0X0.0X1", "loopback"),
    ("0177.0.0.1", "loopback"),
    ("0177.1", "loopback"),
    ("017700000001", "loopback"),
    ("127.0.0.1.", "loopback"),
    ("127.0.0x0.1", "loopback"),
    ("127.000.000.001", "loopback"),
    ("%31%32%37.0.0.1", "loopback"),
    ("１２７.0.0.1", "loopback"),
    ("①②⑦.⓪.⓪.①", "loopback"),
    ("127。0。0。1", "loopback"),
    ("127．0．0．1", "loopback"),
    ("127｡0｡0｡1", "loopback"),
    ("[::1]", "loopback"),
    ("[0:0:0:0:0:0:0:1]", "loopback"),
    ("[0000::0001]", "loopback"),
    ("[::0.0.0.1]", "loopback"),
    ("localhost", "loopback"),
    ("LOCALHOST", "loopback"),
    ("localhost.", "loopback"),
    ("a.localhost", "loopback"),
    ("a.b.localhost.", "loopback"),
    ("loc%61lhost", "loopback"),
    ("ｌｏｃａｌｈｏｓｔ", "loopback"),
    ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "loopback"),
    ("localhost.localdomain", "loopback"),
    ("ip6-localhost", "loopback"),
    ("ip6-loopback", "loopback"),
    // IPv4 inside IPv6.
    ("[::ffff:127.0.0.1]", "loopback"),
    ("[::ffff:7f00:1]", "loopback"),
    ("[::FFFF:7F00:0001]", "loopback"),
    ("[0:0:0:0:0:ffff:127.0.0.1]", "loopback"),
    ("[::127.0.0.1]", "loopback"),
    ("[::7f00:1]", "loopback"),
    ("[::ffff:0:127.0.0.1]", "loopback"),
    ("[64:ff9b::127.0.0.1]", "loopback"),
    ("[64:ff9b::7f00:1]", "loopback"),
    ("[64:ff9b:1::127.0.0.1]", "loopback"),
    ("[2002:7f00:1::]", "loopback"),
    ("[2002:7f00:0001::1]", "loopback"),
    ("[2001:0:0:0:0:0:80ff:fffe]", "loopback"),
    ("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "loopback"),
    ("[2600::5efe:7f00:1]", "loopback"),
    ("[2600::200:5efe:127.0.0.1]", "loopback"),
    // This network.
    ("0.0.0.0", "unspecified"),
    ("0", "unspecified"),
    ("0x0", "unspecified"),
    ("00", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("0.255.255.255", "unspecified"),
    ("[::]", "unspecified"),
    ("[0::0]", "unspecified"),
    ("[::ffff:0.0.0.0]", "unspecified"),
    ("[64:ff9b::]", "unspecified"),
    ("[2002::1]", "unspecified"),
    // Private.
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("10.1", "private"),
    ("167772161", "private"),
    ("0xa.0.0.1", "private"),
    ("012.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("0xac100001", "private"),
    ("192.168.0.1", "private"),
    ("192.168.257", "private"),
    ("3232235777", "private"),
    ("0300.0250.1.1", "private"),
    ("[::ffff:10.0.0.1]", "private"),
    ("[::ffff:c0a8:101]", "private"),
    ("[::192.168.1.1]", "private"),
    ("[64:ff9b::10.0.0.1]", "private"),
    ("[64:ff9b:1::192.168.1.1]", "private"),
    ("[2002:0a00:0001::1]", "private"),
    ("[2002:c0a8:0101::]", "private"),
    ("[2001::f5ff:fffe]", "private"),
    ("[2600::5efe:10.0.0.1]", "private"),
    // Carrier NAT, link-local, metadata.
    ("100.64.0.1", "shared_nat"),
    ("100.127.255.255", "shared_nat"),
    ("[::ffff:100.64.0.1]", "shared_nat"),
    ("169.254.0.1", "link_local"),
    ("169.254.255.255", "link_local"),
    ("[::ffff:169.254.1.1]", "link_local"),
    ("[fe80::1]", "link_local"),
    ("[febf::1]", "link_local"),
    ("169.254.169.254", "metadata"),
    ("2852039166", "metadata"),
    ("0xa9fea9fe", "metadata"),
    ("0251.0376.0251.0376", "metadata"),
    ("169.254.43518", "metadata"),
    ("169.16689662", "metadata"),
    ("0xa9.0xfe.0xa9.0xfe", "metadata"),
    ("[::ffff:169.254.169.254]", "metadata"),
    ("[::ffff:a9fe:a9fe]", "metadata"),
    ("[::169.254.169.254]", "metadata"),
    ("[64:ff9b::169.254.169.254]", "metadata"),
    ("[2002:a9fe:a9fe::]", "metadata"),
    ("[fd00:ec2::254]", "metadata"),
    ("[fd20:ce::254]", "metadata"),
    ("169.254.170.2", "metadata"),
    ("100.100.100.200", "metadata"),
    ("192.0.0.192", "metadata"),
    ("168.63.129.16", "metadata"),
    ("metadata.google.internal", "metadata"),
    ("METADATA.google.internal.", "metadata"),
    ("metadata", "metadata"),
    ("metadata.goog", "metadata"),
    ("instance-data.ec2.internal", "metadata"),
    // Kept for protocols, examples, measurements.
    ("192.0.0.1", "protocol"),
    ("192.31.196.1", "protocol"),
    ("192.52.193.1", "protocol"),
    ("192.175.48.1", "protocol"),
    ("[2001:1::1]", "protocol"),
    ("[2001:20::1]", "protocol"),
    ("[2620:4f:8000::1]", "protocol"),
    ("192.0.2.1", "documentation"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("[2001:db8::1]", "documentation"),
    ("[3fff::1]", "documentation"),
    ("198.18.0.1", "benchmark"),
    ("198.19.255.255", "benchmark"),
    ("[2001:2::1]", "benchmark"),
    // Multicast, broadcast, never given out.
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("[ff02::1]", "multicast"),
    ("[ff0e::1]", "multicast"),
    ("255.255.255.255", "broadcast"),
    ("4294967295", "broadcast"),
    ("[::ffff:255.255.255.255]", "broadcast"),
    ("240.0.0.1", "reserved"),
    ("254.1.2.3", "reserved"),
    ("[4000::1]", "reserved"),
    ("[100::1]", "reserved"),
    ("[5f00::1]", "reserved"),
    ("[e000::1]", "reserved"),
    ("[fc00::1]", "unique_local"),
    ("[fd12:3456:789a::1]", "unique_local"),
    ("[fec0::1]", "site_local"),
    ("[feff::1]", "site_local"),
    // Tunnels whose inside is public all the same end where a router that we do not know wants.
    ("192.88.99.1", "transition"),
    ("[2002:808:808::1]", "transition"),
    ("[2001:0:4136:e378:8000:63bf:f7f7:f7f7]", "transition"),
    ("[::8.8.8.8]", "transition"),
    ("[64:ff9b:1::8.8.8.8]", "transition"),
];

const PUBLIC: &[&str] = &[
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "[2606:4700::1111]",
    "[2a00:1450:4001::1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::8.8.8.8]",
    "example.org",
    "notlocalhost",
    "localhost.example.org",
    "metadata.example.org",
];

fn judge(policy: &Policy, host: &str) -> Result<(), Denied> {
    policy.check_url(&Url::parse(&format!("http://{host}/")).expect(host))
}

#[track_caller]
fn check_allowed(allow: &[&str], host: &str, expected: bool) {
    let allow = allow.iter().map(|cidr| cidr.parse().expect("a CIDR")).collect();
    assert_eq!(judge(&Policy::new(allow, None), host).is_ok(), expected, "{host}");
}

#[test]
fn every_spelling_of_a_forbidden_place_is_denied_by_its_rule() {
    assert!(FORBIDDEN.len() >= 120, "{}", FORBIDDEN.len());
    for (host, code) in FORBIDDEN {
        assert_eq!(judge(&Policy::default(), host).map_err(|denied| denied.rule.code()), Err(*code), "{host}");
    }
}

#[test]
fn the_public_internet_is_allowed_up_to_its_borders() {
    for host in PUBLIC {
        assert_eq!(judge(&Policy::default(), host), Ok(()), "{host}");
    }
}

#[test]
fn ranges_are_opened_explicitly_and_metadata_only_by_its_own_address() {
    check_allowed(&["127.0.0.0/8"], "127.0.0.1", true);
    check_allowed(&["127.0.0.0/8"], "localhost", true);
    check_allowed(&["::1/128"], "localhost", true);
    check_allowed(&["127.0.0.0/8"], "[::ffff:127.0.0.1]", true);
    check_allowed(&["127.0.0.0/8"], "[::1]", false);
    check_allowed(&["127.0.0.0/8"], "[64:ff9b::127.0.0.1]", false);
    check_allowed(&["127.0.0.0/8"], "[2002:7f00:1::]", false);
    check_allowed(&["127.0.0.0/8"], "10.0.0.1", false);
    check_allowed(&["10.1.0.0/16"], "10.1.2.3", true);
    check_allowed(&["10.1.0.0/16"], "10.2.2.3", false);
    check_allowed(&["0.0.0.0/0"], "169.254.169.254", false);
    check_allowed(&["169.254.0.0/16"], "169.254.169.254", false);
    check_allowed(&["169.254.0.0/16"], "169.254.1.1", true);
    check_allowed(&["169.254.169.254/32"], "169.254.169.254", true);
    check_allowed(&["169.254.169.254/32"], "metadata.google.internal", false);
}

#[test]
fn a_denial_names_the_flag_that_allows_it() {
    let message = |host: &str| judge(&Policy::default(), host).expect_err(host).to_string();
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        assert!(message(host).ends_with("; allow it with --allow-cidr 127.0.0.0/8"), "{}", message(host));
    }
    assert!(message("[::1]").ends_with("--allow-cidr ::1/128"), "{}", message("[::1]"));
    assert!(message("10.0.0.9").ends_with("--allow-cidr 10.0.0.9/32"), "{}", message("10.0.0.9"));
}

#[test]
fn schemes_and_ports_are_judged_too() {
    let rule = |url: &str| {
        Policy::default().check_url(&Url::parse(url).expect(url)).map_err(|denied| denied.rule).expect_err(url)
    };
    assert_eq!(rule("ftp://example.org/"), DenyRule::Scheme);
    assert_eq!(rule("file:///etc/passwd"), DenyRule::Scheme);
    assert_eq!(rule("gopher://example.org/"), DenyRule::Scheme);
    assert_eq!(rule("http://example.org:22/"), DenyRule::Port);
    assert_eq!(rule("http://example.org:6379/"), DenyRule::Port);
    let policy = Policy::new(Vec::new(), Some(vec![22]));
    assert!(policy.check_port(22).is_ok() && policy.check_port(80).is_err());
}

proptest::proptest! {
    #[test]
    fn a_mapped_address_is_judged_as_the_address_it_connects_to(bits: u32) {
        let address = std::net::Ipv4Addr::from_bits(bits);
        let rule = |address: IpAddr| Policy::default().check_address(address).map_err(|denied| denied.rule);
        proptest::prop_assert_eq!(rule(address.into()), rule(address.to_ipv6_mapped().into()));
        let nat64 = std::net::Ipv6Addr::from_bits((0x0064_ff9b_u128 << 96) | u128::from(bits));
        proptest::prop_assert_eq!(rule(address.into()), rule(nat64.into()));
    }
}
