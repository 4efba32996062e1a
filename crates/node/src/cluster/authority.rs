//! The cluster's own certificate authority: what `argiope ca` writes and the link's tests use.
//!
//! A certificate serves both directions, since every node dials and is dialled. The authority's certificate is not
//! read back when it signs: its name is fixed, so that its key is enough.

use crate::cluster::link::{LinkError, TlsMaterial};
use argiope_protocol::{NodeName, Timestamp};
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

const AUTHORITY_NAME: &str = "argiope cluster authority";

/// A certificate and its private key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is in force; whole days, UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Validity {
    /// From yesterday, since clocks differ, for so many days from now.
    pub(crate) fn days(now: Timestamp, n_days: u32) -> Self {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let from = Timestamp::from_millis(now.as_millis().saturating_sub(DAY));
        let until = Timestamp::from_millis(now.as_millis().saturating_add(DAY * u64::from(n_days)));
        Self { from, until }
    }

    fn apply(self, params: &mut CertificateParams) {
        let date = |timestamp: Timestamp| {
            let millis = i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX);
            let date = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
            let date = date.to_zoned(TimeZone::UTC).date();
            rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
        };
        params.not_before = date(self.from);
        params.not_after = date(self.until);
    }
}

fn failed(error: &rcgen::Error) -> LinkError {
    LinkError::Certificate(format!("it cannot be made: {error}"))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A new authority.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn make(validity: Validity) -> Result<Pair, LinkError> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut params = authority_params();
    validity.apply(&mut params);
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A certificate for a node. `hosts` are further names and addresses, for other uses of the same certificate: the link
/// goes by the node's name alone.
///
/// # Errors
/// When the authority's key or a host cannot be read.
pub(crate) fn issue(
    authority_key: &str,
    name: &NodeName,
    hosts: &[String],
    validity: Validity,
) -> Result<Pair, LinkError> {
    let authority_key = KeyPair::from_pem(authority_key).map_err(|error| failed(&error))?;
    let issuer = Issuer::new(authority_params(), authority_key);
    let names: Vec<String> = std::iter::once(name.as_str().to_owned()).chain(hosts.iter().cloned()).collect();
    let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    validity.apply(&mut params);
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.signed_by(&key, &issuer).map_err(|error| failed(&error))?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Whether a pair belongs to this authority and is in force.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(authority: &str, pair: &Pair) -> Result<(), LinkError> {
    TlsMaterial::from_pem(authority.as_bytes(), pair.certificate.as_bytes(), pair.key.as_bytes())?.check()
}
