//! What is checked before anything is opened: that the seeds may be reached at all, and that a crawl of other
//! people's hosts says whom they can write to.

use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_protocol::{CanonicalUrl, ErrorCode, Host};
use std::net::IpAddr;

/// Addresses that `localhost` and the names below it stand for (RFC 6761 §6.3).
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

/// Seeds that an error lists.
const MAX_LISTED: usize = 5;

/// What is known of a seed's host without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its addresses are allowed by name: the user's own.
    Own,
    /// Denied by the egress policy, and not allowed.
    Denied(IpAddr),
    /// Somebody else's, as far as can be known.
    Foreign,
}

/// Fails when every seed is denied, or when a foreign one is crawled without a contact. Names are not resolved
/// here, since a DNS question is a packet too; a name that leads to a denied address fails when it is fetched.
///
/// # Errors
/// `AR0101`, `AR0004`.
pub(crate) async fn check_seeds(config: &Config, seeds: &[CanonicalUrl]) -> Result<()> {
    let standings: Vec<Standing> = seeds.iter().map(|seed| standing(config, &seed.host())).collect();
    let denied: Vec<(&CanonicalUrl, IpAddr)> = seeds
        .iter()
        .zip(&standings)
        .filter_map(|(seed, standing)| match standing {
            Standing::Denied(address) => Some((seed, *address)),
            Standing::Own | Standing::Foreign => None,
        })
        .collect();
    if denied.len() == seeds.len() {
        return Err(all_denied(&denied));
    }
    for (seed, address) in denied.iter().take(MAX_LISTED) {
        crate::cli::output::note(format!("warning: {seed} is not crawled: {} is denied", kind_of(*address)));
    }
    if standings.contains(&Standing::Foreign) && config.crawl.contact.is_none() {
        let host = seeds.iter().zip(&standings).find(|(_, standing)| **standing == Standing::Foreign);
        let name = host.map(|(seed, _)| seed.host().to_string()).unwrap_or_default();
        return Err(CliError::new(ErrorCode::ContactMissing, format!("{name} is not known to be yours"))
            .because("its owner must be able to write to whoever crawls it; the contact is sent in User-Agent"));
    }
    Ok(())
}

fn standing(config: &Config, host: &Host) -> Standing {
    let is_localhost = host.as_str() == "localhost" || host.as_str().ends_with(".localhost");
    let addresses: Vec<IpAddr> = if is_localhost { LOCALHOST.to_vec() } else { host.ip().into_iter().collect() };
    let is_allowed = |address: &IpAddr| config.egress.allow_cidrs.iter().any(|block| block.contains(address));
    match addresses.first() {
        None => Standing::Foreign,
        Some(_) if addresses.iter().any(is_allowed) => Standing::Own,
        Some(address) if is_denied(*address) => Standing::Denied(*address),
        Some(_) => Standing::Foreign,
    }
}

/// The plain cases of the egress policy, for a message before anything is opened. The policy itself, with all
/// disguises of such addresses, is the egress crate's.
fn is_denied(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

fn kind_of(address: IpAddr) -> &'static str {
    match address.to_canonical() {
        address if address.is_loopback() => "loopback",
        IpAddr::V4(v4) if v4.is_private() => "a private address",
        IpAddr::V4(v4) if v4.is_link_local() => "a link-local address",
        _ => "such an address",
    }
}

fn all_denied(denied: &[(&CanonicalUrl, IpAddr)]) -> CliError {
    let (seed, address) = denied.first().map_or((String::new(), LOCALHOST[0]), |(seed, a)| (seed.to_string(), *a));
    let flags = match address.to_canonical() {
        address if address.is_loopback() => "--allow-cidr 127.0.0.0/8 --allow-cidr ::1/128".to_owned(),
        address => format!("--allow-cidr {address}"),
    };
    let error =
        CliError::new(ErrorCode::EgressDenied, format!("{seed} is not crawled: {} is denied", kind_of(address)))
            .advise(format!("if the machine is yours, allow it: `argiope crawl {seed} {flags}`"));
    denied
        .iter()
        .skip(1)
        .take(MAX_LISTED)
        .fold(error, |error, (seed, address)| error.because(format!("{seed}: {} is denied", kind_of(*address))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, Platform, build};

    fn config(file: &str) -> Config {
        let inputs = Inputs { file: Some(("c".to_owned(), file.to_owned())), ..Inputs::default() };
        build(inputs, &Platform { data_dir: "/d".into() }).unwrap()
    }

    /// `expected` is the error's code, or nothing.
    async fn check(file: &str, seeds: &[&str], expected: &str) {
        let seeds: Vec<CanonicalUrl> = seeds.iter().map(|seed| CanonicalUrl::parse(seed).unwrap()).collect();
        let seen = check_seeds(&config(file), &seeds).await.err().map_or("", |error| error.code.code());
        assert_eq!(seen, expected, "{file} {seeds:?}");
    }

    #[tokio::test]
    async fn seeds_are_denied_or_need_a_contact_before_anything_is_sent() {
        check("", &["http://localhost:8000/"], "AR0101").await;
        check("", &["http://app.localhost/"], "AR0101").await;
        check("", &["http://2130706433/", "http://10.0.0.1/"], "AR0101").await;
        check("", &["http://[::ffff:7f00:1]/"], "AR0101").await;
        check("[egress]\nallow_cidrs = [\"127.0.0.0/8\"]", &["http://localhost:8000/"], "").await;
        check("", &["https://docs.example.org/"], "AR0004").await;
        check("", &["https://docs.example.org/", "http://10.0.0.1/"], "AR0004").await;
        check("[crawl]\ncontact = \"me@example.org\"", &["https://docs.example.org/"], "").await;
        check("[egress]\nallow_cidrs = [\"10.0.0.0/8\"]", &["https://docs.example.org/"], "AR0004").await;
    }
}
