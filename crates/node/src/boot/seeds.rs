//! What is checked before anything is opened: that the seeds may be reached at all, and that a crawl of other
//! people's hosts says whom they can write to.

use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_egress::policy::Policy;
use argiope_egress::{Denied, DenyRule};
use argiope_protocol::{CanonicalUrl, ErrorCode, Host};
use std::collections::BTreeSet;

/// Denied seeds that are listed.
const MAX_LISTED: usize = 5;

/// Names that are looked up to learn whether they are the user's own; more are taken for somebody else's.
const MAX_LOOKED_UP: usize = 32;

/// A URL as a person types it: without a scheme it is https.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_url(text: &str) -> std::result::Result<CanonicalUrl, String> {
    let shown: String = text.chars().take(200).collect();
    let has_scheme = text.contains("://");
    let is_host_like =
        !has_scheme && text.split('/').next().is_some_and(|host| host.contains('.') && !host.contains(' '));
    let full = if is_host_like { format!("https://{text}") } else { text.to_owned() };
    CanonicalUrl::parse(&full).map_err(|error| format!("{shown:?}: {error}"))
}

/// Fails when every seed is denied as it is written, or when a foreign host is crawled without a contact. A name that
/// leads to a denied address is found out when it is fetched. Answers which of them are not crawled.
///
/// # Errors
/// `AR0101`, `AR0004`.
pub(crate) async fn check_seeds(config: &Config, seeds: &[CanonicalUrl]) -> Result<Vec<String>> {
    let policy = Policy::new(config.egress.allow_cidrs.clone(), config.egress.allow_ports.clone());
    let mut denied: Vec<(&CanonicalUrl, Denied)> = Vec::new();
    let mut hosts: BTreeSet<Host> = BTreeSet::new();
    for seed in seeds {
        match policy.check_url(seed.as_url()) {
            Ok(()) => drop(hosts.insert(seed.host())),
            Err(rule) => denied.push((seed, rule)),
        }
    }
    if denied.len() == seeds.len() {
        return Err(all_denied(&denied));
    }
    let listed = denied.iter().take(MAX_LISTED);
    let warnings = listed.map(|(seed, denied)| format!("{seed} is not crawled: {denied}")).collect();
    if config.crawl.contact.is_some() {
        return Ok(warnings);
    }
    match first_foreign(config, &hosts).await? {
        None => Ok(warnings),
        Some(host) => Err(CliError::new(ErrorCode::ContactMissing, format!("{host} is not known to be yours"))
            .because("its owner must be able to write to whoever crawls it; the contact is sent in User-Agent")),
    }
}

/// The first host whose addresses are not all among the allowed ones. Names are looked up only when something is
/// allowed at all, since a question to a name server is a packet too.
async fn first_foreign(config: &Config, hosts: &BTreeSet<Host>) -> Result<Option<Host>> {
    let allowed = &config.egress.allow_cidrs;
    let is_own = |address: std::net::IpAddr| allowed.iter().any(|block| block.contains(&address.to_canonical()));
    let client = super::client(config)?;
    let mut n_looked_up = 0;
    for host in hosts {
        let is_localhost = host.as_str() == "localhost" || host.as_str().ends_with(".localhost");
        let is_hosts_own = match host.ip() {
            Some(address) => is_own(address),
            // The policy let it pass, so that one of its addresses is allowed.
            None if is_localhost => true,
            None if allowed.is_empty() || n_looked_up >= MAX_LOOKED_UP => false,
            None => {
                n_looked_up += 1;
                let addresses = client.resolve(host, 80).await.unwrap_or_default();
                !addresses.is_empty() && addresses.iter().all(|address| is_own(address.ip()))
            }
        };
        if !is_hosts_own {
            return Ok(Some(host.clone()));
        }
    }
    Ok(None)
}

fn all_denied(denied: &[(&CanonicalUrl, Denied)]) -> CliError {
    let Some((seed, first)) = denied.first() else {
        return CliError::new(ErrorCode::NothingToCrawl, "there is nothing to crawl");
    };
    let said = if first.rule == DenyRule::Loopback { "loopback is denied" } else { "its address is denied" };
    let mut error = CliError::new(ErrorCode::EgressDenied, format!("{seed} is not crawled: {said}")).because(first);
    for (seed, denied) in denied.iter().skip(1).take(MAX_LISTED) {
        error = error.because(format!("{seed}: {denied}"));
    }
    match first.hint.flag() {
        Some(flag) => error.advise(format!("if the machine is yours, allow it: `argiope crawl {seed} {flag}`")),
        None if first.rule == DenyRule::Port => {
            error.advise("allow the port with `egress.allow_ports` in the configuration, or ARGIOPE_EGRESS_ALLOW_PORTS")
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, Platform, build};

    fn config(file: &str) -> Config {
        let inputs = Inputs { file: Some(("c".to_owned(), file.to_owned())), ..Inputs::default() };
        build(inputs, &Platform { data_dir: "/d".into() }).unwrap()
    }

    /// `expected` is the error's code, or nothing. No case looks a name up.
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
        check("", &["http://docs.example.org:22/"], "AR0101").await;
        check("[egress]\nallow_cidrs = [\"127.0.0.0/8\"]", &["http://localhost:8000/", "http://127.0.0.2/"], "").await;
        check("", &["https://docs.example.org/"], "AR0004").await;
        check("", &["https://docs.example.org/", "http://10.0.0.1/"], "AR0004").await;
        check("[egress]\nallow_cidrs = [\"10.0.0.0/8\"]", &["http://93.184.215.14/"], "AR0004").await;
        check("[crawl]\ncontact = \"me@example.org\"", &["https://docs.example.org/"], "").await;
    }

    #[test]
    fn a_url_may_be_typed_without_its_scheme() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_url(text).map_or_else(|e| e, String::from), expected);
        };
        check("docs.example.org/a", "https://docs.example.org/a");
        check("http://a.example", "http://a.example/");
        check("ftp://a.example/", "\"ftp://a.example/\": scheme \"ftp\" is not http or https");
        check("nonsense", "\"nonsense\": relative URL without a base");
    }
}
